// sin and cos over the whole float range: Cody and Waite 1980 reduction up to 2^17, above it exact
// integer reduction in the manner of Payne and Hanek 1983, lane by lane. Worst error against
// double: sin 1.58 ulp over all 2^32 floats, cos 1.57 ulp over every 31st.
#if !defined(FORNAX_NUMERIC_TRIGONOMETRY_H) || defined(FORNAX_NUMERIC_PER_TARGET)
#define FORNAX_NUMERIC_TRIGONOMETRY_H
#if !defined(FORNAX_NUMERIC_PER_TARGET)
#include "kernels/numeric/elementary.h"
#include "kernels/numeric/scalar.h"
#endif
#include "kernels/numeric/namespace.h"

namespace FORNAX_NUMERIC_NAMESPACE {

constexpr float kModerateAngle = 0x1p17f;

/// x = quadrant pi/2 + rest, |rest| <= pi/4 (a little above), quadrant counted modulo 4.
template <class T>
struct ReducedAngle {
  T rest;
  decltype(bits(T())) quadrant;
};

/// |x| <= 2^17; pi/2 in three floats, so that the first product is subtracted exactly.
template <class T>
FORNAX_NUMERIC_FN ReducedAngle<T> reduce_moderate(T x) {
  const T shifted = fma(x, T(0x1.45f306p-1f), T(kRound));  // 2/pi
  const T n = shifted - T(kRound);
  T rest = fma(n, T(-0x1.921fb6p+0f), x);
  rest = fma(n, T(0x1.777a5cp-25f), rest);
  return {fma(n, T(0x1.ee59dap-50f), rest), bits(shifted) - kRoundBits};
}

/// Word i of the bits of 2/pi after the point; word 0 stands before it.
FORNAX_NUMERIC_FN std::uint64_t two_over_pi_word(int i) {
  constexpr std::uint32_t words[8] = {0,          0xa2f9836e, 0x4e441529, 0xfc2757d1,
                                      0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab};
  return words[i];
}

/// 2^17 <= |x| < infinity. x = m 2^e; m times 96 bits of 2/pi, those of weight 2^(1-e) and below,
/// gives x 2/pi modulo 4 with 62 bits after the point; the nearest multiple of pi/2 of a float is
/// 2^-29 away or more.
FORNAX_NUMERIC_FN ReducedAngle<float> reduce_large(float x) {
  const std::int32_t magnitude = bits(x) & INT32_MAX;
  const auto m = static_cast<std::uint64_t>((magnitude & 0x7fffff) | 0x800000);
  const int first_bit = (magnitude >> 23) - 150 + 30;
  const int word = first_bit / 32, shift = first_bit % 32;
  std::uint64_t w[3] = {};
  for (int i = 0; i < 3; ++i) {
    const std::uint64_t pair = two_over_pi_word(word + i) << 32 | two_over_pi_word(word + i + 1);
    w[i] = (pair << shift) >> 32;
  }
  const std::uint64_t product = ((m * w[0]) << 32) + m * w[1] + ((m * w[2]) >> 32);
  const std::uint64_t quadrant = (product + (std::uint64_t{1} << 61)) >> 62;
  const auto fraction = static_cast<std::int64_t>(product - (quadrant << 62));
  const auto rest = static_cast<float>(static_cast<double>(fraction) * 0x1.921fb54442d18p-62);
  const auto turns = static_cast<std::int32_t>(quadrant);
  return {x < 0 ? -rest : rest, x < 0 ? -turns : turns};
}

/// Float form of the reduction over every finite x; vector.h has the form for vectors.
FORNAX_NUMERIC_FN ReducedAngle<float> reduce_angle(float x) {
  if (abs(x) <= kModerateAngle) return reduce_moderate(x);
  if (abs(x) < from_bits(kInfinityBits)) return reduce_large(x);
  return {x - x, 0};  // NaN
}

/// sin(rest + quadrant pi/2).
template <class T, class I>
FORNAX_NUMERIC_FN T sin_of_reduced(T rest, I quadrant) {
  const T z = rest * rest;
  const T sine = fma(rest * z, horner(z, -0x1.555546p-3f, 0x1.11073cp-7f, -0x1.9943f2p-13f), rest);
  const T cosine = fma(z * z, horner(z, 0x1.55554ap-5f, -0x1.6c0c32p-10f, 0x1.99eb9cp-16f),
                       fma(z, T(-0.5f), T(1)));
  const T value = select(negative(shift_left<31>(quadrant)), cosine, sine);
  return from_bits(bits(value) ^ (shift_left<30>(quadrant) & kSignBit));
}

/// Sine of x in radians; sin(-0) = -0, sin(+-infinity) = NaN.
template <class T>
FORNAX_NUMERIC_FN T sin(T x) {
  const auto angle = reduce_angle(x);
  const T value = sin_of_reduced(angle.rest, angle.quadrant);
  return select(x == T(0), x, value);
}

/// Cosine of x in radians; cos(+-infinity) = NaN.
template <class T>
FORNAX_NUMERIC_FN T cos(T x) {
  const auto angle = reduce_angle(x);
  return sin_of_reduced(angle.rest, angle.quadrant + 1);
}

}  // namespace FORNAX_NUMERIC_NAMESPACE
#endif
