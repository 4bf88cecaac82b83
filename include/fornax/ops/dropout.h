// Dropout.
#pragma once
#include <fornax/graph.h>

#include <cstdint>

namespace fornax {

/// Zeroes each element with probability `drop_p` and multiplies the others with 1 / (1 - drop_p)
/// (Srivastava et al. 2014). An evaluate graph, or drop_p = 0, gives x itself.
/// x floating with the batch along its first axis; an axis that merges batch and positions, [B * T,
/// ...], has rows_per_sample = T. The mask is Philox keyed by (seed, the name of this dropout
/// within its scope, step, element), element = first_sample * elements per sample + position, so a
/// split of the batch gives the same mask. It is not stored: backward draws it again.
/// Throws Error{invalid_argument} unless drop_p lies in [0, 1), rows_per_sample >= 1 and a sample
/// has at most 2^60 elements.
FORNAX_API Value dropout(Value x, double drop_p, std::int64_t rows_per_sample = 1);

}  // namespace fornax
