// Other shapes of the same elements. All but the gradient of slice are views: no bytes move until
// an op that needs row-major input reads one.
#pragma once
#include <fornax/graph.h>

#include <concepts>
#include <vector>

namespace fornax {

/// The same elements in row-major order under another shape. One extent may be -1: what is left.
/// Throws Error{shape} when the numbers of elements differ.
FORNAX_API Value reshape(Value x, const std::vector<std::int64_t>& extents);
template <std::same_as<Shape> S>
Value reshape(Value x, const S& shape) {
  return reshape(x, std::vector<std::int64_t>(shape.begin(), shape.end()));
}

/// Axis i of the result is axis axes[i] of x. Throws Error{shape} unless axes permutes 0 .. rank-1.
FORNAX_API Value permute(Value x, const std::vector<std::int64_t>& axes);
/// Two axes exchanged; negative axes count from the end.
FORNAX_API Value transpose(Value x, int first = -2, int second = -1);

/// Elements begin <= i < end along one axis. Throws Error{shape} unless
/// 0 <= begin <= end <= extent. The gradient is dy amid zeros.
FORNAX_API Value slice(Value x, int axis, std::int64_t begin, std::int64_t end);

/// x repeated along axes of extent 1 and along new leading axes, by numpy's rule.
/// Throws Error{shape} when x does not broadcast to `shape`.
FORNAX_API Value broadcast(Value x, const Shape& shape);

/// Row-major copy of a view; x itself when it is row-major already.
FORNAX_API Value contiguous(Value x);

}  // namespace fornax
