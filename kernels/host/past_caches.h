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

/// Memory written past the caches from front to back, in pieces that begin and end anywhere: what
/// fills no vector waits for the next piece.
struct StreamedPieces {
  explicit StreamedPieces(void* to) : next(static_cast<std::byte*>(to)) {}
  /// Asks for what lies kAhead bytes behind the piece too: between pieces hardware loses its way.
  void add(const void* piece, std::int64_t bytes);
  /// Writes what still waits. What was streamed is in memory before another thread is told.
  void end();

  static constexpr std::int64_t kMostLanes = 64, kAhead = 2048;
  std::byte* next;
  std::int64_t held = 0;  ///< bytes that wait
  alignas(kMostLanes) std::byte waiting[kMostLanes];
};

}  // namespace fornax::host
