// Extents of a tensor.
#pragma once
#include <fornax/export.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace fornax {

/// Extents of a row-major tensor of rank 0 to 8; [] is a scalar. An extent may be 0.
/// Throws Error{shape} when an extent is negative, the rank exceeds 8, or the number of elements
/// does not fit 2^60.
class FORNAX_API Shape {
 public:
  static constexpr int kMaxRank = 8;

  Shape() noexcept = default;
  Shape(std::initializer_list<std::int64_t> extents);
  explicit Shape(std::span<const std::int64_t> extents);

  int rank() const noexcept { return rank_; }
  /// Extent of one axis; a negative axis counts from the end. Throws Error{shape} when out of
  /// range.
  std::int64_t operator[](int axis) const;
  std::int64_t elements() const noexcept { return elements_; }
  const std::int64_t* begin() const noexcept { return extents_.data(); }
  const std::int64_t* end() const noexcept { return extents_.data() + rank_; }
  bool operator==(const Shape& other) const noexcept;

 private:
  std::array<std::int64_t, kMaxRank> extents_{};
  std::int64_t elements_ = 1;
  int rank_ = 0;
};

/// "[64, 784]".
FORNAX_API std::string to_string(const Shape& shape);

}  // namespace fornax
