// How an elementwise node walks over its operands: broadcast strides, and a number for one of them.
#pragma once
#include "kernels/layout/strided.h"
#include "kernels/pointwise/pointwise_functions.h"
#include "kernels/rules.h"

namespace fornax::kernels {

struct PointwiseWalk {
  StridedWalk<3> axes;
  double scalar = 0;
  int scalar_operand = -1;  ///< which operand the number stands for
  std::int64_t last_stride(int operand) const { return axes.stride[operand][axes.rank - 1]; }
};

inline PointwiseWalk pointwise_walk(const KernelArgs& args) {
  PointwiseWalk walk;
  std::array<Strides, 3> strides{};
  for (std::size_t i = 0; i < args.in.size(); ++i) {
    if (args.in[i].type && args.in[i].type->present())
      strides[i] = broadcast_strides(*args.in[i].type, args.out[0].shape());
    else
      walk.scalar_operand = static_cast<int>(i);
  }
  // The output is row-major: where no operand is, its strides stop merging across rows.
  walk.axes = strided_walk<3>(args.out[0].shape(), strides);
  walk.scalar = number_or(*args.attributes, "scalar", 0);
  return walk;
}

}  // namespace fornax::kernels
