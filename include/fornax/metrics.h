// Metrics over predictions in host memory.
#pragma once
#include <fornax/tensor.h>

namespace fornax {

/// The part of rows of `scores` [n, C] f32 whose largest entry (the first of equal ones) is at the
/// label, labels [n] i32. NaN when n is 0. Throws Error{shape} unless the lengths agree.
FORNAX_API double accuracy(const Tensor& scores, const Tensor& labels);

/// Area under the receiver operating characteristic: the chance that a row of class 1 scores above
/// a row of class 0, ties counting one half (Mann and Whitney 1947). For scores [n, C] f32 with
/// C = 2 the score is scores[:, 1] - scores[:, 0]; for more classes the mean over classes of one
/// against the rest. Classes without both kinds of rows are left out; NaN when none is left.
FORNAX_API double area_under_curve(const Tensor& scores, const Tensor& labels);

/// Mean of (prediction - target)^2. Shapes must agree.
FORNAX_API double mean_squared_difference(const Tensor& prediction, const Tensor& target);

}  // namespace fornax
