// The fully connected layer.
#pragma once
#include <fornax/graph.h>

namespace fornax {

/// y[..., n] = sum over k of x[..., k] w[n, k], + b[n].
/// x [..., K], w [N, K], b [N] or absent -> y [..., N]; one floating dtype.
/// f32 is exact: one fma chain from +0.0 over k = 0 .. K-1, then + b. The weight gradient is such a
/// chain per 512 rows, chunk sums added in order; the bias gradient adds rows in order in chunks of
/// 128. 16-bit operands are multiplied exactly and added in f32.
/// Throws Error{shape} when K, N or a rank does not fit, Error{dtype} for mixed dtypes.
FORNAX_API Value linear(Value x, Value w, Value b = {});

}  // namespace fornax
