// How a matrix product is cut into cache blocks and shared among threads. Nothing here shows in a
// result but the chunks of a sum, which the problem itself fixes.
#pragma once
#include "kernels/host/gemm_tile.h"
#include "kernels/host/parallel.h"

namespace fornax::host {

/// Extents of the packed blocks: a [rows, depth], b [columns, depth].
struct GemmBlocking {
  std::int64_t rows, columns, depth;
  bool a_in_place, b_in_place;  ///< read where it lies
};

/// How threads share the product: units of c, some of which make a part, or, where c is too small
/// for the threads, `wave` chunks of the sum at a time, into partial sums.
struct GemmShares {
  int threads;
  std::int64_t wave;                     ///< 0: c is shared
  std::int64_t unit_rows, unit_columns;  ///< of one unit; the last may be short
  std::int64_t row_units, column_units;  ///< counted row after row
  std::int64_t part_rows, part_columns;  ///< the most that a part has
  std::int64_t units() const { return row_units * column_units; }
};

GemmShares share_gemm(const Gemm& gemm, const TileShape& tile, int threads);

/// The part of c that the first units of `range` make, in one row of units unless a unit is as wide
/// as c; the range goes on behind them.
GemmBlock next_area(const Gemm& gemm, const GemmShares& shares, ShareRange& range);

/// The blocks of one part of M x N outputs.
GemmBlocking block_gemm(const Gemm& gemm, std::int64_t M, std::int64_t N, const TileShape& tile);

/// Floats of the packed blocks of a and of b, in whole cache lines.
std::int64_t packed_a_floats(const GemmBlocking& blocking);
std::int64_t packed_b_floats(const GemmBlocking& blocking, const TileShape& tile);

/// Threads that the product is worth waking, at most `threads`.
int useful_threads(const Gemm& gemm, int threads);

inline std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
inline std::int64_t round_up(std::int64_t a, std::int64_t b) { return divide_up(a, b) * b; }

/// Where tile `index` of `count` near-equal tiles begins: a short one at the end would starve the
/// FMAs.
inline std::int64_t tile_begin(std::int64_t rows, std::int64_t count, std::int64_t index) {
  return rows / count * index + std::min(index, rows % count);
}

/// The near-equal tiles of `rows` rows, of `most` at most, the taller ones first:
/// run(first row, tiles, their height).
template <class Run>
void for_tiles(std::int64_t rows, std::int64_t most, const Run& run) {
  const std::int64_t count = divide_up(rows, most);
  const std::int64_t height = rows / count, tall = rows % count;
  if (tall > 0) run(0, tall, height + 1);
  run(tall * (height + 1), count - tall, height);
}

}  // namespace fornax::host
