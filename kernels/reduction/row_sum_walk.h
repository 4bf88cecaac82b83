// Where the elements of a row sum lie: its operand may be a view.
#pragma once
#include "kernels/layout/strided.h"
#include "kernels/op.h"

namespace fornax::kernels {

struct RowSumWalk {
  StridedWalk<1> kept;     ///< over the rows: where each begins
  StridedWalk<1> reduced;  ///< over the elements of a row, from its beginning
  std::int64_t rows, columns;

  /// Of element `index` of one of the walks.
  static FORNAX_NUMERIC_FN std::int64_t offset(const StridedWalk<1>& walk, std::int64_t index) {
    std::int64_t at[1];
    walk.element_offsets(index, at);
    return at[0];
  }
  bool rows_are_contiguous() const {
    return columns <= 1 || (reduced.rank == 1 && reduced.stride[0][0] == 1);
  }
  /// Rows that lie side by side, 0 where neighbours do not.
  std::int64_t rows_side_by_side() const {
    return kept.stride[0][kept.rank - 1] == 1 ? kept.row_elements() : 0;
  }
};

/// x keeps its first `kept` axes.
inline RowSumWalk row_sum_walk(const TensorType& x, int kept) {
  const auto part = [&](int begin, int end) {
    Strides strides{};
    for (int axis = begin; axis < end; ++axis)
      strides[static_cast<std::size_t>(axis - begin)] = x.strides[static_cast<std::size_t>(axis)];
    const std::span<const std::int64_t> extents(x.shape.begin() + begin, x.shape.begin() + end);
    return strided_walk<1>(Shape(extents), {strides});
  };
  RowSumWalk walk{part(0, kept), part(kept, x.shape.rank()), 0, 0};
  walk.rows = walk.kept.rows() * walk.kept.row_elements();
  walk.columns = walk.reduced.rows() * walk.reduced.row_elements();
  return walk;
}

}  // namespace fornax::kernels
