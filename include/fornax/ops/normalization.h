// Batch normalization.
#pragma once
#include <fornax/graph.h>

#include <string_view>

namespace fornax {

struct BatchNormOptions {
  double epsilon = 1e-5;
  double momentum = 0.1;  ///< weight of the batch in the running statistics, in [0, 1]
};

/// Batch normalization over all axes but the last (Ioffe and Szegedy 2015, arXiv:1502.03167):
///   y = (x - mean) / sqrt(variance + epsilon) * scale + shift, per channel.
/// x [..., C] floating, y as x. Makes, within the scope `name`, the parameters "scale" (ones) and
/// "shift" (zeros) and the state "running_mean" (zeros) and "running_variance" (ones), [C] f32.
/// A train graph uses mean and variance of the batch and moves the running ones towards them by
/// `momentum`, with the unbiased variance, as PyTorch does; an evaluate graph uses the running
/// ones. Sums over rows: chunks of 128 rows in row order, chunk sums in order; the variance is
/// taken around the mean in a second pass. Saves mean and variance, and x.
/// Throws Error{shape} unless x has channels, and in a train graph at least two rows;
/// Error{invalid_argument} when an option is outside its range or the name is taken.
FORNAX_API Value batch_norm(Value x, std::string_view name, BatchNormOptions options = {});

}  // namespace fornax
