// Softmax and its logarithm over the last axis.
#pragma once
#include <fornax/graph.h>

namespace fornax {

/// y = e^(x - max) / sum(e^(x - max)) along the last axis. x [..., C] floating, y as x.
/// The sum has the order of kernels/numeric/ordered_sum.h. A row of -infinity gives NaN. Saves y.
/// Throws Error{shape} for a scalar, Error{unsupported} unless `axis` is the last one.
FORNAX_API Value softmax(Value x, int axis = -1);

/// y = (x - max) - log(sum(e^(x - max))) along the last axis; otherwise as softmax.
FORNAX_API Value log_softmax(Value x, int axis = -1);

}  // namespace fornax
