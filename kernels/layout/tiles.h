// Square tiles of a walk, for operands that are contiguous along the last axis but one: the CPU
// reads such an operand tile by tile and turns each in a buffer that stays in L1.
#pragma once
#include <algorithm>

#include "kernels/host/offer.h"
#include "kernels/host/transpose.h"
#include "kernels/layout/strided.h"

namespace fornax::kernels {

inline constexpr std::int64_t kTile = 64;         ///< elements along both axes of a tile
inline constexpr std::int64_t kLinesAtOnce = 16;  ///< that far apart they may share a set of L1

/// Whether the operand's neighbours along the last axis lie apart and those along the axis before
/// it side by side.
template <int count>
bool is_transposed(const StridedWalk<count>& walk, int operand) {
  const std::int64_t* stride = walk.stride[operand];
  return walk.rank >= 2 && stride[walk.rank - 2] == 1 && stride[walk.rank - 1] > 1;
}

/// Rows [row, row + rows) of a walk, columns [column, column + columns) of each.
struct Tile {
  std::int64_t row, rows, column, columns;
  bool before_last;  ///< another whole tile follows beside it
};

/// Every element of a walk of rank 2 or more in one tile; a tile's rows are neighbours along the
/// last axis but one. Tiles of the same rows follow each other.
template <int count>
class Tiles {
 public:
  explicit Tiles(const StridedWalk<count>& walk)
      : group_(walk.extent[walk.rank - 2]),
        width_(walk.row_elements()),
        down_((group_ + kTile - 1) / kTile),
        across_((width_ + kTile - 1) / kTile),
        tiles_(group_ == 0 ? 0 : walk.rows() / group_ * down_ * across_) {}
  std::int64_t tiles() const { return tiles_; }
  /// Tiles that are worth a thread's while.
  std::int64_t tiles_of_part() const {
    return host::rows_of_part(std::min(kTile, group_) * std::min(kTile, width_));
  }
  Tile tile(std::int64_t index) const {
    const std::int64_t strip = index / across_, column = index % across_ * kTile;
    const std::int64_t first = strip % down_ * kTile;
    return {strip / down_ * group_ + first, std::min(kTile, group_ - first), column,
            std::min(kTile, width_ - column), column + 2 * kTile <= width_};
  }

 private:
  std::int64_t group_, width_, down_, across_, tiles_;
};

/// out[r * kTile + i] = x[i * stride + r] for r < rows, i < columns: x is the tile's first element.
/// Lines of the source lie far apart, so those of the tile beside it are asked for too.
template <class T>
void transpose_tile(const T* x, std::int64_t stride, const Tile& tile, T* out) {
  for (std::int64_t first = 0; first < tile.columns; first += kLinesAtOnce) {
    const std::int64_t lines = std::min(kLinesAtOnce, tile.columns - first);
    if (tile.before_last)
      for (std::int64_t i = 0; i < lines; ++i)
        for (std::int64_t r = 0; r < tile.rows; r += host::kLineBytes / std::int64_t{sizeof(T)})
          __builtin_prefetch(x + (kLinesAtOnce + i) * stride + r);
    if constexpr (sizeof(T) == sizeof(std::uint32_t)) {
      host::transpose({reinterpret_cast<const float*>(x), stride, lines, tile.rows,
                       reinterpret_cast<float*>(out + first), kTile, false});
    } else {
      for (std::int64_t i = 0; i < lines; ++i)
        for (std::int64_t r = 0; r < tile.rows; ++r) out[r * kTile + first + i] = x[i * stride + r];
    }
    x += kLinesAtOnce * stride;
  }
}

}  // namespace fornax::kernels
