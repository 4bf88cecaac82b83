// The operations on float that every function of kernels/numeric is made of: IEEE + - * /, sqrt,
// fma, comparison, selection, and integer operations on the bits. vector.h gives the same set for
// vectors.
#if !defined(FORNAX_NUMERIC_SCALAR_H) || defined(FORNAX_NUMERIC_PER_TARGET)
#define FORNAX_NUMERIC_SCALAR_H
#if !defined(FORNAX_NUMERIC_PER_TARGET)
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstdint>
static_assert(FLT_EVAL_METHOD == 0, "float operations must round to float");
#endif
#include "kernels/numeric/namespace.h"

namespace FORNAX_NUMERIC_NAMESPACE {

#if defined(__CUDA_ARCH__) && defined(__CUDACC__)
FORNAX_NUMERIC_FN float fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }
FORNAX_NUMERIC_FN float sqrt(float a) { return __fsqrt_rn(a); }
FORNAX_NUMERIC_FN std::int32_t bits(float a) { return __float_as_int(a); }
FORNAX_NUMERIC_FN float from_bits(std::int32_t a) { return __int_as_float(a); }
FORNAX_NUMERIC_FN std::uint32_t multiply_high(std::uint32_t a, std::uint32_t b) {
  return __umulhi(a, b);
}
#else
FORNAX_NUMERIC_FN float fma(float a, float b, float c) { return std::fma(a, b, c); }
FORNAX_NUMERIC_FN float sqrt(float a) { return std::sqrt(a); }
FORNAX_NUMERIC_FN std::int32_t bits(float a) { return std::bit_cast<std::int32_t>(a); }
FORNAX_NUMERIC_FN float from_bits(std::int32_t a) { return std::bit_cast<float>(a); }
FORNAX_NUMERIC_FN std::uint32_t multiply_high(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::uint32_t>((static_cast<std::uint64_t>(a) * b) >> 32);
}
#endif
/// The 64 bits of an unsigned product, as words.
template <class U>
struct WideProduct {
  U low, high;
};
FORNAX_NUMERIC_FN WideProduct<std::uint32_t> multiply_wide(std::uint32_t a, std::uint32_t b) {
  return {a * b, multiply_high(a, b)};
}
FORNAX_NUMERIC_FN float select(bool which, float yes, float no) { return which ? yes : no; }
FORNAX_NUMERIC_FN std::int32_t select(bool which, std::int32_t yes, std::int32_t no) {
  return which ? yes : no;
}
template <int by>
FORNAX_NUMERIC_FN std::int32_t shift_left(std::int32_t a) {
  return a << by;  // C++20 defines it for negative a
}
template <int by>
FORNAX_NUMERIC_FN std::int32_t shift_right(std::int32_t a) {
  return a >> by;  // copies the sign
}
template <int by>
FORNAX_NUMERIC_FN std::int32_t shift_right_logical(std::int32_t a) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) >> by);
}
FORNAX_NUMERIC_FN bool negative(std::int32_t a) { return a < 0; }
FORNAX_NUMERIC_FN bool any(bool which) { return which; }
/// Exact for |a| <= 2^24, the only use.
FORNAX_NUMERIC_FN float to_float(std::int32_t a) { return static_cast<float>(a); }
FORNAX_NUMERIC_FN float load(const float* from, float) { return *from; }
FORNAX_NUMERIC_FN void store(float value, float* to) { *to = value; }

/// As many T as are worth computing side by side; vectors have a type of their own for it.
template <class T>
struct Wide {
  using type = T;
  static constexpr int parts = 1;
};

constexpr std::int32_t kSignBit = INT32_MIN;
constexpr std::int32_t kInfinityBits = 0x7f800000;
constexpr std::int32_t kNanBits = 0x7fc00000;  // the canonical NaN

template <class T>
FORNAX_NUMERIC_FN T abs(T x) {
  return from_bits(bits(x) & INT32_MAX);
}
/// -|x|.
template <class T>
FORNAX_NUMERIC_FN T minus_abs(T x) {
  return from_bits(bits(x) | kSignBit);
}
template <class T>
FORNAX_NUMERIC_FN T negate(T x) {
  return from_bits(bits(x) ^ kSignBit);
}
/// magnitude >= +0 or NaN.
template <class T>
FORNAX_NUMERIC_FN T copysign(T magnitude, T sign) {
  return from_bits(bits(magnitude) | (bits(sign) & kSignBit));
}
template <class T>
FORNAX_NUMERIC_FN auto is_nan(T x) {
  return x != x;
}

/// The larger value; NaN when either is NaN; max(-0, +0) = +0 in either order. Commutative and
/// associative, so a maximum has no order (but for a NaN's payload).
template <class T>
FORNAX_NUMERIC_FN T max(T a, T b) {
  const T larger = select(is_nan(a), a, select(a > b, a, b));
  return select(a == b, from_bits(bits(a) & bits(b)), larger);
}
/// The smaller value; NaN when either is NaN; min(-0, +0) = -0 in either order.
template <class T>
FORNAX_NUMERIC_FN T min(T a, T b) {
  const T smaller = select(is_nan(a), a, select(a < b, a, b));
  return select(a == b, from_bits(bits(a) | bits(b)), smaller);
}
/// x, but at least or at most a bound, which is not 0; NaN stays NaN.
template <class T>
FORNAX_NUMERIC_FN T at_least(T x, float low) {
  return select(x < T(low), T(low), x);
}
template <class T>
FORNAX_NUMERIC_FN T at_most(T x, float high) {
  return select(x > T(high), T(high), x);
}
/// x within [low, high], low <= high; NaN stays NaN.
template <class T>
FORNAX_NUMERIC_FN T clamp(T x, float low, float high) {
  return at_least(at_most(x, high), low);
}

/// Polynomial by Horner: c0 + c1 x + c2 x^2 + ..., one fma per step.
template <class T>
FORNAX_NUMERIC_FN T horner(T, float c) {
  return T(c);
}
template <class T, class... More>
FORNAX_NUMERIC_FN T horner(T x, float c, More... more) {
  return fma(horner(x, more...), x, T(c));
}

}  // namespace FORNAX_NUMERIC_NAMESPACE
#endif
