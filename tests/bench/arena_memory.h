// Arrays of a benchmark in memory like that of the library's arenas.
#pragma once
#include <sys/mman.h>

#include <cstddef>
#include <new>
#include <vector>

namespace fornax::bench {

/// Memory as a backend gives it to an arena: in pages of 2 MiB where the system grants them.
template <class T>
struct InArena {
  using value_type = T;
  static constexpr std::size_t page = std::size_t{2} << 20;
  InArena() = default;
  template <class U>
  InArena(const InArena<U>&) {}
  T* allocate(std::size_t count) {
    const std::size_t bytes = (count * sizeof(T) + page - 1) / page * page;
    void* memory = ::operator new (bytes, std::align_val_t{page});
    ::madvise(memory, bytes, MADV_HUGEPAGE);
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t) { ::operator delete (memory, std::align_val_t{page}); }
  bool operator==(const InArena&) const { return true; }
};
using Floats = std::vector<float, InArena<float>>;

}  // namespace fornax::bench
