// Rules that the shape functions of all families share, and attributes with a default.
#pragma once
#include "kernels/op.h"

namespace fornax::kernels {

inline std::int64_t integer_or(const Attributes& attributes, std::string_view name,
                               std::int64_t otherwise) {
  return attributes.has(name) ? attributes.integer(name) : otherwise;
}
inline double number_or(const Attributes& attributes, std::string_view name, double otherwise) {
  return attributes.has(name) ? attributes.number(name) : otherwise;
}
inline std::string text_or(const Attributes& attributes, std::string_view name,
                           std::string_view otherwise) {
  return attributes.has(name) ? attributes.text(name) : std::string(otherwise);
}

inline bool present(std::span<const TensorType> in, std::size_t i) {
  return i < in.size() && in[i].present();
}

/// Throws Error{invalid_argument} unless operands 0 .. least-1 are there and none beyond `most`.
inline void require_operands(std::span<const TensorType> in, std::size_t least, std::size_t most) {
  require(in.size() >= least && in.size() <= most, ErrorCode::invalid_argument,
          "takes " + std::to_string(least) + (most == least ? "" : " to " + std::to_string(most)) +
              " operands, got " + std::to_string(in.size()));
  for (std::size_t i = 0; i < least; ++i)
    require(in[i].present(), ErrorCode::invalid_argument,
            "operand " + std::to_string(i) + " is absent");
}

/// Throws Error{dtype} unless every present operand has one and the same floating dtype.
inline void require_floating(std::span<const TensorType> in) {
  const TensorType* first = nullptr;
  for (const TensorType& type : in) {
    if (!type.present()) continue;
    require(is_floating(type.dtype), ErrorCode::dtype,
            "takes f32, bf16, f16 or f64, got " + to_string(type) + "; cast() it first");
    if (!first) first = &type;
    require(type.dtype == first->dtype, ErrorCode::dtype,
            "operands must have one dtype, got " + to_string(*first) + " and " + to_string(type) +
                "; cast() one of them");
  }
}

/// Product of the extents [begin, end).
inline std::int64_t extent_product(const Shape& shape, int begin, int end) {
  std::int64_t product = 1;
  for (int axis = begin; axis < end; ++axis) product *= shape.begin()[axis];
  return product;
}

/// `shape` with its last extent replaced.
inline Shape with_last(const Shape& shape, std::int64_t extent) {
  std::array<std::int64_t, Shape::kMaxRank> extents{};
  for (int axis = 0; axis < shape.rank(); ++axis)
    extents[static_cast<std::size_t>(axis)] = shape.begin()[axis];
  extents[static_cast<std::size_t>(shape.rank() - 1)] = extent;
  return Shape(
      std::span<const std::int64_t>(extents.data(), static_cast<std::size_t>(shape.rank())));
}

}  // namespace fornax::kernels
