// The memory of one tensor, or of a block of its rows, that an optimizer updates.
#pragma once
#include "kernels/optimizer_step/operands.h"

namespace fornax::kernels {

/// Absent moments are null.
struct TensorPointers {
  const float *p, *g, *m, *v;
  float *new_p, *new_m, *new_v;

  TensorPointers from(std::int64_t at) const {
    TensorPointers t{p + at, g + at, nullptr, nullptr, new_p + at, nullptr, nullptr};
    if (m) t.m = m + at, t.new_m = new_m + at;
    if (v) t.v = v + at, t.new_v = new_v + at;
    return t;
  }
};

/// Rows of equal length, `stride` apart in all but the gradient.
struct UpdatedRows {
  std::int64_t count, columns, stride, gradient_stride;
};

inline TensorPointers row_of(const TensorPointers& tensor, const UpdatedRows& rows,
                             std::int64_t row) {
  TensorPointers t = tensor.from(row * rows.stride);
  t.g = tensor.g + row * rows.gradient_stride;
  return t;
}

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
