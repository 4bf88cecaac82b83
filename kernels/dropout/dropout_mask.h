// Which elements a dropout keeps.
#pragma once
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
};

}  // namespace fornax::kernels
