// Elementwise arithmetic. f32 is exact: IEEE operations and the functions of kernels/numeric.
#pragma once
#include <fornax/graph.h>

namespace fornax {

/// a op b with numpy's broadcasting: shapes are aligned at the end, extents 1 are repeated.
/// One floating dtype. Gradients are summed over the repeated axes.
/// Throws Error{shape} when the shapes do not broadcast, Error{dtype} for mixed dtypes.
FORNAX_API Value add(Value a, Value b);
FORNAX_API Value subtract(Value a, Value b);
FORNAX_API Value multiply(Value a, Value b);
FORNAX_API Value divide(Value a, Value b);
/// NaN when either is NaN; max(-0, +0) = +0, min(-0, +0) = -0. Where a = b the gradient goes to a.
FORNAX_API Value maximum(Value a, Value b);
FORNAX_API Value minimum(Value a, Value b);

/// The same with a number, rounded to the dtype, for one operand.
FORNAX_API Value add(Value a, double b);
FORNAX_API Value subtract(Value a, double b);
FORNAX_API Value subtract(double a, Value b);
FORNAX_API Value multiply(Value a, double b);
FORNAX_API Value divide(Value a, double b);
FORNAX_API Value divide(double a, Value b);
FORNAX_API Value maximum(Value a, double b);
FORNAX_API Value minimum(Value a, double b);

FORNAX_API Value negate(Value x);
FORNAX_API Value exp(Value x);
FORNAX_API Value log(Value x);
FORNAX_API Value sqrt(Value x);
FORNAX_API Value square(Value x);

/// x in another dtype. Floating to floating: round to nearest even. Floating to integer: towards
/// zero, out of range clamped, NaN 0. To boolean: x != 0. The gradient is cast back; integers have
/// none.
FORNAX_API Value cast(Value x, DType dtype);

}  // namespace fornax
