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

std::int64_t TensorType::span_bytes() const noexcept {
  if (shape.elements() == 0) return 0;
  std::int64_t last = 0;
  for (int axis = 0; axis < shape.rank(); ++axis)
    last += (shape.begin()[axis] - 1) * strides[static_cast<std::size_t>(axis)];
  return (last + 1) * size_bytes(dtype);
}

std::string to_string(const TensorType& type) {
  if (!type.present()) return "absent";
  return std::string(name(type.dtype)) + ' ' + to_string(type.shape);
}

namespace {

/// Bytes of the elements that lie apart: an axis of stride 0 repeats them.
std::int64_t distinct_bytes(const TensorType& type) {
  if (type.shape.elements() == 0) return 0;
  std::int64_t bytes = size_bytes(type.dtype);
  for (int axis = 0; axis < type.shape.rank(); ++axis)
    if (type.strides[static_cast<std::size_t>(axis)] != 0) bytes *= type.shape[axis];
  return bytes;
}

}  // namespace

Cost streaming_cost(const Signature& signature, numeric::Arithmetic of_an_element) {
  Cost cost;
  for (const TensorType& type : signature.in)
    if (type.present()) cost.read_bytes += distinct_bytes(type);
  for (const TensorType& type : signature.out) cost.write_bytes += type.bytes();
  if (!signature.out.empty()) cost.add(of_an_element, signature.out[0].shape.elements());
  return cost;
}

}  // namespace fornax::kernels
