// Which elements a dropout keeps.
#pragma once
#include <cmath>

#include "kernels/numeric/numeric.h"

namespace fornax::kernels {

/// The mask of one launch: element i of the tensor is element `first + i` of the stream.
struct DropoutMask {
  numeric::RandomStream stream;
  std::uint64_t first;
  float drop_p;

  FORNAX_NUMERIC_FN bool keeps(std::uint64_t i) const {
    return numeric::random_uniform(stream, first + i) >= drop_p;
  }

  /// The least k, the upper 24 bits of a word, that is kept: keeps compares k 2^-24 with drop_p,
  /// both exact, and so k with drop_p 2^24; in [0, 2^24].
  std::int32_t least_kept() const {
    return static_cast<std::int32_t>(std::ceil(static_cast<double>(drop_p) * 0x1p24));
  }
};

}  // namespace fornax::kernels
