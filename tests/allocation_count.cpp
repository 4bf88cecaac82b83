// Every form of operator new and delete, by malloc and free. A sanitizer minds when only some are
// replaced.
#include "tests/allocation_count.h"

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::int64_t> allocations{0}, aligned{0}, aligned_peak{0};

void* counted(std::size_t bytes) noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(bytes == 0 ? 1 : bytes);
}
void* counted(std::size_t bytes, std::align_val_t alignment) noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* memory = nullptr;
  const auto at = static_cast<std::size_t>(alignment);
  if (posix_memalign(&memory, at, bytes == 0 ? 1 : bytes) != 0) return nullptr;
  aligned += static_cast<std::int64_t>(malloc_usable_size(memory));
  aligned_peak = std::max(aligned_peak.load(), aligned.load());
  return memory;
}
void free_aligned(void* memory) noexcept {
  if (memory != nullptr) aligned -= static_cast<std::int64_t>(malloc_usable_size(memory));
  std::free(memory);
}
void* or_throw(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

std::int64_t fornax::allocation_count() noexcept { return allocations.load(); }
std::int64_t fornax::aligned_bytes() noexcept { return aligned.load(); }
std::int64_t fornax::aligned_peak_bytes() noexcept { return aligned_peak.load(); }
void fornax::reset_aligned_peak() noexcept { aligned_peak = aligned.load(); }

using Align = std::align_val_t;
using NoThrow = const std::nothrow_t&;

void* operator new(std::size_t bytes) { return or_throw(counted(bytes)); }
void* operator new[](std::size_t bytes) { return or_throw(counted(bytes)); }
void* operator new(std::size_t bytes, NoThrow) noexcept { return counted(bytes); }
void* operator new[](std::size_t bytes, NoThrow) noexcept { return counted(bytes); }
void* operator new(std::size_t bytes, Align at) { return or_throw(counted(bytes, at)); }
void* operator new[](std::size_t bytes, Align at) { return or_throw(counted(bytes, at)); }
void* operator new(std::size_t bytes, Align at, NoThrow) noexcept { return counted(bytes, at); }
void* operator new[](std::size_t bytes, Align at, NoThrow) noexcept { return counted(bytes, at); }

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, NoThrow) noexcept { std::free(memory); }
void operator delete[](void* memory, NoThrow) noexcept { std::free(memory); }
void operator delete(void* memory, Align) noexcept { free_aligned(memory); }
void operator delete[](void* memory, Align) noexcept { free_aligned(memory); }
void operator delete(void* memory, std::size_t, Align) noexcept { free_aligned(memory); }
void operator delete[](void* memory, std::size_t, Align) noexcept { free_aligned(memory); }
void operator delete(void* memory, Align, NoThrow) noexcept { free_aligned(memory); }
void operator delete[](void* memory, Align, NoThrow) noexcept { free_aligned(memory); }
