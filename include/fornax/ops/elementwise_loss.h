// Losses that compare element with element and average.
#pragma once
#include <fornax/graph.h>

namespace fornax {

/// mean((prediction - target)^2), a scalar; 0 without elements. Both floating, of one shape and
/// dtype. The sum has the order of kernels/numeric/ordered_sum.h.
/// Throws Error{shape} when the shapes differ, Error{dtype} when the dtypes do.
FORNAX_API Value mean_squared_error(Value prediction, Value target);

/// mean(max(x, 0) - x t + log(1 + e^-|x|)) for logits x and targets t in [0, 1]: the mean of
/// -t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)), without overflow. Targets have no gradient.
/// Otherwise as mean_squared_error.
FORNAX_API Value binary_cross_entropy(Value logits, Value target);

}  // namespace fornax
