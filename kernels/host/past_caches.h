// Copies and zeros written past the caches, for outputs that do not wait for their reader in one:
// see is_streamed in offer.h.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace fornax::host {

/// How a launch writes its output. Threads that write call end() when their part is done: what was
/// streamed is in memory before another thread is told.
class Writer {
 public:
  explicit Writer(bool streamed);
  /// to[0 .. bytes) = from[0 .. bytes); they do not overlap.
  void copy(const void* from, void* to, std::int64_t bytes) const {
    if (copy_)
      copy_(static_cast<const std::byte*>(from), static_cast<std::byte*>(to), bytes);
    else if (bytes > 0)
      std::memcpy(to, from, static_cast<std::size_t>(bytes));
  }
  void zero(void* to, std::int64_t bytes) const {
    if (zero_)
      zero_(static_cast<std::byte*>(to), bytes);
    else if (bytes > 0)
      std::memset(to, 0, static_cast<std::size_t>(bytes));
  }
  void end() const;

 private:
  // Past the caches, of the instruction set; null: as usual.
  void (*copy_)(const std::byte* from, std::byte* to, std::int64_t bytes) = nullptr;
  void (*zero_)(std::byte* to, std::int64_t bytes) = nullptr;
};

}  // namespace fornax::host
