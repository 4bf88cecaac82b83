// Conversion of one element between dtypes, for the host and CUDA.
#pragma once
#include <cstdint>
#include <limits>
#include <type_traits>

#include "kernels/numeric/namespace.h"

namespace fornax::numeric {

/// Bounds of an integer type: device code cannot call numeric_limits.
template <class To>
inline constexpr To kMost = std::numeric_limits<To>::max();
template <class To>
inline constexpr To kLeast = std::numeric_limits<To>::min();

/// Floating to integer: towards zero, out of range clamped, NaN 0; to bool: x != 0; integer to
/// integer: the low bits; else the nearest value.
template <class To, class From>
FORNAX_NUMERIC_FN To cast_to(From x) {
  if constexpr (std::is_same_v<To, bool>) {
    return x != From(0);
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    // Bounds as powers of two, which every floating type holds.
    constexpr From above = static_cast<From>(kMost<To> / 2 + 1) * From(2);
    constexpr From below = static_cast<From>(kLeast<To>);
    if (x != x) return To(0);
    if (x >= above) return kMost<To>;
    if (x <= below) return kLeast<To>;
    return static_cast<To>(x);
  } else {
    return static_cast<To>(x);
  }
}

}  // namespace fornax::numeric
