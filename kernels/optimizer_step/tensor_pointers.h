// The memory of one tensor that an optimizer updates; absent moments are null.
#pragma once
#include "kernels/optimizer_step/operands.h"

namespace fornax::kernels {

struct TensorPointers {
  const float *p, *g, *m, *v;
  float *new_p, *new_m, *new_v;
};

inline TensorPointers tensor_pointers(const KernelArgs& args, const OptimizerOperands& operands,
                                      std::size_t i) {
  const auto moment = [&](std::size_t which) {
    return which < operands.moments ? args.in[operands.moment(which, i)].as<float>() : nullptr;
  };
  const auto new_moment = [&](std::size_t which) {
    return which < operands.moments ? args.out[operands.new_moment(which, i)].as<float>() : nullptr;
  };
  return {args.in[i].as<float>(),
          args.in[operands.gradient(i)].as<float>(),
          moment(0),
          moment(1),
          args.out[i].as<float>(),
          new_moment(0),
          new_moment(1)};
}

}  // namespace fornax::kernels
