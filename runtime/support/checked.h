// Sizes with overflow checks: the only way in which readers and allocators compute them.
#pragma once
#include <fornax/error.h>

#include <concepts>
#include <string>

namespace fornax {

/// a * b. Throws Error{code} "WHAT: A * B overflows" when the product does not fit T.
template <std::integral T>
T checked_multiply(T a, T b, const std::string& what, ErrorCode code = ErrorCode::corrupt) {
  T product;
  if (__builtin_mul_overflow(a, b, &product))
    throw Error(code, what + ": " + std::to_string(a) + " * " + std::to_string(b) + " overflows");
  return product;
}

/// a + b. Throws Error{code} "WHAT: A + B overflows" when the sum does not fit T.
template <std::integral T>
T checked_add(T a, T b, const std::string& what, ErrorCode code = ErrorCode::corrupt) {
  T sum;
  if (__builtin_add_overflow(a, b, &sum))
    throw Error(code, what + ": " + std::to_string(a) + " + " + std::to_string(b) + " overflows");
  return sum;
}

}  // namespace fornax
