// From a dropout node and the state of the step to its mask.
#pragma once
#include "kernels/dropout/dropout_mask.h"
#include "kernels/op.h"

namespace fornax::kernels {

/// Elements of the tensor that belong to one sample.
inline std::int64_t elements_per_sample(const KernelArgs& args) {
  const Shape& shape = args.in[0].shape();
  if (shape.rank() == 0 || shape[0] == 0) return 1;
  return shape.elements() / shape[0] * args.attributes->integer("rows_per_sample");
}

inline DropoutMask dropout_mask(const KernelArgs& args, const StepState& step) {
  const auto purpose = static_cast<std::uint32_t>(args.attributes->integer("purpose"));
  return {{step.seed, purpose, static_cast<std::uint32_t>(step.step)},
          static_cast<std::uint64_t>(step.first_sample * elements_per_sample(args)),
          static_cast<float>(args.attributes->number("drop_p"))};
}

inline double dropout_scale(const Attributes& attributes) {
  return 1 / (1 - attributes.number("drop_p"));
}

}  // namespace fornax::kernels
