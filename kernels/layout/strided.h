// Walks over strided tensors: axes merged where memory allows, then rows along the last axis.
#pragma once
#include "kernels/numeric/namespace.h"
#include "kernels/op.h"

namespace fornax::kernels {

/// `count` operands over one row-major index space, with as few axes as their strides allow; rank
/// at least 1. Plain data: kernels take it by value.
template <int count>
struct StridedWalk {
  int rank = 1;
  std::int64_t extent[Shape::kMaxRank] = {1};
  std::int64_t stride[count][Shape::kMaxRank] = {};

  std::int64_t row_elements() const { return extent[rank - 1]; }
  std::int64_t rows() const {
    std::int64_t product = 1;
    for (int axis = 0; axis + 1 < rank; ++axis) product *= extent[axis];
    return product;
  }
  /// Where row `row` of each operand starts, in elements.
  FORNAX_NUMERIC_FN void row_offsets(std::int64_t row, std::int64_t (&offset)[count]) const {
    for (int i = 0; i < count; ++i) offset[i] = 0;
    for (int axis = rank - 2; axis >= 0; --axis) {
      const std::int64_t at = row % extent[axis];
      row /= extent[axis];
      for (int i = 0; i < count; ++i) offset[i] += at * stride[i][axis];
    }
  }
  /// Where element `index` of each operand lies. Index: std::uint32_t when the elements fit.
  template <class Index>
  FORNAX_NUMERIC_FN void element_offsets(Index index, std::int64_t (&offset)[count]) const {
    for (int i = 0; i < count; ++i) offset[i] = 0;
    for (int axis = rank - 1; axis >= 0; --axis) {
      const auto along = static_cast<Index>(extent[axis]);
      const Index at = index % along;
      index /= along;
      for (int i = 0; i < count; ++i) offset[i] += static_cast<std::int64_t>(at) * stride[i][axis];
    }
  }
};

/// Element strides of `type` as if broadcast to `shape` (numpy's rule): 0 along repeated axes.
inline Strides broadcast_strides(const TensorType& type, const Shape& shape) {
  Strides strides{};
  const int lead = shape.rank() - type.shape.rank();
  for (int axis = lead; axis < shape.rank(); ++axis) {
    const auto own = static_cast<std::size_t>(axis - lead);
    if (type.shape.begin()[own] != 1) strides[static_cast<std::size_t>(axis)] = type.strides[own];
  }
  return strides;
}

/// Operand i has the strides of strides[i] over `shape`.
template <int count>
StridedWalk<count> strided_walk(const Shape& shape, const std::array<Strides, count>& strides) {
  StridedWalk<count> walk;
  int last = -1;  // axes are gathered outermost first
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const std::int64_t extent = shape.begin()[axis];
    if (extent == 1) continue;
    bool merges = last >= 0;
    for (std::size_t i = 0; i < count; ++i)
      merges =
          merges && walk.stride[i][last] == strides[i][static_cast<std::size_t>(axis)] * extent;
    if (!merges) walk.extent[++last] = 1;
    walk.extent[last] *= extent;
    for (std::size_t i = 0; i < count; ++i)
      walk.stride[i][last] = strides[i][static_cast<std::size_t>(axis)];
  }
  walk.rank = last < 0 ? 1 : last + 1;
  return walk;
}

}  // namespace fornax::kernels
