// What is written past the caches, for outputs that do not wait for their reader in one (see
// is_streamed in offer.h): in how many streams, copies and zeros.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace fornax::host {

/// What passes by the caches is taken from so many places at once, a line of each at a time:
/// hardware runs only so far ahead at each. A copy is 1.2 times as quick as from one, exp 1.4.
inline constexpr std::int64_t kStreams = 4, kLineBytes = 64;
inline bool begins_line(const void* at) {
  return reinterpret_cast<std::uintptr_t>(at) % kLineBytes == 0;
}
/// Lines of each of the streams that `lines` lines are taken in, 0: they are too few. The rest is
/// behind them. Not a multiple of 16, so that the streams use different sets of L1 (1.07).
constexpr std::int64_t lines_of_stream(std::int64_t lines) {
  const std::int64_t each = lines / kStreams;
  return each < 64 ? 0 : (each - 13) / 16 * 16 + 13;
}

/// Where a copy begins.
struct Place {
  const std::byte* from;
  std::byte* to;
};
/// `count` pieces of whole lines, so many bytes apart.
struct Pieces {
  std::int64_t bytes, count = 1, from_step = 0, to_step = 0;
};

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
  /// The same of pieces in kStreams places, side by side. Past the caches alone.
  void copy(const Place (&places)[kStreams], const Pieces& pieces) const {
    copy_pieces_(places, pieces);
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
  void (*copy_pieces_)(const Place (&places)[kStreams], const Pieces& pieces) = nullptr;
  void (*zero_)(std::byte* to, std::int64_t bytes) = nullptr;
};

/// Memory written past the caches from front to back, in pieces that begin and end anywhere: they
/// wait until there are some lines of them.
struct StreamedPieces {
  explicit StreamedPieces(void* to);
  /// Asks for what lies kAhead bytes behind the piece too: between pieces hardware loses its way.
  void add(const void* piece, std::int64_t bytes) {
    add_piece(*this, static_cast<const std::byte*>(piece), bytes);
  }
  /// Writes what still waits. What was streamed is in memory before another thread is told.
  void end();

  static constexpr std::int64_t kRoom = 512, kAhead = 2048;
  /// Of the instruction set.
  void (*add_piece)(StreamedPieces& pieces, const std::byte* from, std::int64_t bytes);
  std::byte* line;           ///< where waiting[0] goes
  std::int64_t first, held;  ///< what waits is [first, held)
  alignas(kLineBytes) std::byte waiting[kRoom];
};

}  // namespace fornax::host
