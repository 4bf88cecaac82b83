// Sums and means.
#pragma once
#include <fornax/graph.h>

#include <vector>

namespace fornax {

/// What becomes of a reduced axis.
enum class ReducedAxes { drop, keep };  ///< keep: it stays with extent 1

/// Sum over all elements, or over `axes` (negative ones count from the end; none given: all).
/// f32 is exact. Trailing axes: element i belongs to chain i mod 128, the chains are folded by
/// halving, in chunks of 65536 added in order (kernels/numeric/ordered_sum.h). Leading axes: rows
/// in order within chunks of 128, chunk sums in order. Axes elsewhere are moved to the end first.
/// An empty sum is -0. Throws Error{shape} for an axis out of range or given twice.
FORNAX_API Value sum(Value x, const std::vector<int>& axes = {},
                     ReducedAxes reduced = ReducedAxes::drop);
/// sum / number of elements summed, one IEEE division.
FORNAX_API Value mean(Value x, const std::vector<int>& axes = {},
                      ReducedAxes reduced = ReducedAxes::drop);

/// Sums over the axes along which `shape` broadcasts to the shape of x; the result has `shape`.
/// The gradient of broadcasting. Throws Error{shape} when `shape` does not broadcast to x.
FORNAX_API Value sum_to(Value x, const Shape& shape);

}  // namespace fornax
