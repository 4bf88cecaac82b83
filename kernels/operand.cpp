// Operand types and costs. Also part of the CUDA modules, so it touches no table.
#include <algorithm>

#include "kernels/op.h"

namespace fornax::kernels {

TensorType::TensorType(DType dtype_, const Shape& shape_) : dtype(dtype_), shape(shape_) {
  std::int64_t step = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    strides[static_cast<std::size_t>(axis)] = step;
    step *= std::max<std::int64_t>(shape[axis], 1);
  }
}

bool TensorType::contiguous() const noexcept {
  std::int64_t step = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    const std::int64_t extent = shape.begin()[axis];
    if (extent != 1 && strides[static_cast<std::size_t>(axis)] != step) return false;
    step *= std::max<std::int64_t>(extent, 1);
  }
  return true;
}

std::string to_string(const TensorType& type) {
  if (!type.present()) return "absent";
  return std::string(name(type.dtype)) + ' ' + to_string(type.shape);
}

Cost streaming_cost(const Signature& signature, double flops_per_element) {
  Cost cost;
  for (const TensorType& type : signature.in) cost.read_bytes += type.bytes();
  for (const TensorType& type : signature.out) cost.write_bytes += type.bytes();
  if (!signature.out.empty())
    cost.flops = flops_per_element * static_cast<double>(signature.out[0].shape.elements());
  return cost;
}

}  // namespace fornax::kernels
