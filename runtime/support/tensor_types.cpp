// Shape and DType.
#include <fornax/dtype.h>
#include <fornax/error.h>
#include <fornax/shape.h>

#include <algorithm>

namespace fornax {

const char* name(DType dtype) noexcept {
  switch (dtype) {
    case DType::none: return "none";
    case DType::f32: return "f32";
    case DType::f64: return "f64";
    case DType::bf16: return "bf16";
    case DType::f16: return "f16";
    case DType::i32: return "i32";
    case DType::i64: return "i64";
    case DType::u8: return "u8";
    case DType::boolean: return "bool";
  }
  return "unknown";
}

Shape::Shape(std::initializer_list<std::int64_t> extents)
    : Shape(std::span<const std::int64_t>(extents.begin(), extents.size())) {}

Shape::Shape(std::span<const std::int64_t> extents) {
  constexpr std::int64_t kLimit = std::int64_t{1} << 60;
  if (extents.size() > kMaxRank)
    throw Error(ErrorCode::shape, "shape: rank " + std::to_string(extents.size()) +
                                      " exceeds the limit of " + std::to_string(kMaxRank));
  // An empty tensor is small whatever its other extents, but their product must fit all the same.
  std::int64_t product = 1;
  for (const std::int64_t extent : extents) {
    if (extent < 0)
      throw Error(ErrorCode::shape, "shape: axis " + std::to_string(rank_) + " has extent " +
                                        std::to_string(extent) + "; extents are 0 or more");
    if (extent > 0 && product > kLimit / extent)
      throw Error(ErrorCode::shape, "shape: the number of elements exceeds 2^60 at axis " +
                                        std::to_string(rank_) + " of extent " +
                                        std::to_string(extent));
    product *= std::max<std::int64_t>(extent, 1);
    extents_[static_cast<std::size_t>(rank_++)] = extent;
    elements_ *= extent;
  }
}

std::int64_t Shape::operator[](int axis) const {
  const int at = axis < 0 ? axis + rank_ : axis;
  if (at < 0 || at >= rank_)
    throw Error(ErrorCode::shape, "shape: axis " + std::to_string(axis) + " of " +
                                      to_string(*this) + "; it has " + std::to_string(rank_) +
                                      " axes");
  return extents_[static_cast<std::size_t>(at)];
}

bool Shape::operator==(const Shape& other) const noexcept {
  return rank_ == other.rank_ && std::equal(begin(), end(), other.begin());
}

std::string to_string(const Shape& shape) {
  std::string text(1, '[');
  for (const std::int64_t extent : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(extent);
  }
  return text += ']';
}

}  // namespace fornax
