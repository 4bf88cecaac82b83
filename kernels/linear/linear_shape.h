// What linear, linear_dgrad and linear_wgrad know of a node: extents and options.
#pragma once
#include "kernels/activation/activation_kind.h"
#include "kernels/rules.h"

namespace fornax::kernels {

/// Rows of one fma chain of a weight gradient, and of one chain of a column sum.
inline constexpr std::int64_t kWeightGradientChunk = 512;

struct LinearShape {
  std::int64_t M = 0, N = 0, K = 0;  ///< x [M, K], w [N, K], y [M, N]
};

/// All axes of `x` but the last, multiplied.
inline std::int64_t row_count(const Shape& x) { return extent_product(x, 0, x.rank() - 1); }

/// From the first two operands of a valid node, x and w or dy and w.
inline LinearShape linear_shape(const Shape& rows, const Shape& w) {
  return {row_count(rows), w.begin()[0], w.begin()[1]};
}
/// From dy and x of linear_wgrad.
inline LinearShape linear_wgrad_shape(const Shape& dy, const Shape& x) {
  return {row_count(dy), dy[-1], x[-1]};
}

inline Activation linear_activation(const Attributes& attributes) {
  return attributes.has("activation") ? activation_kind(attributes.text("activation"))
                                      : Activation::none;
}

}  // namespace fornax::kernels
