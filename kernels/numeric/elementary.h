// exp, log, tanh, erf, sigmoid, rsqrt: one template each for float, vectors and CUDA, the same bits
// in all (a NaN's payload aside). Worst error against double, in ulp of the exact value, over all
// 2^32 floats: exp 1.02, log 0.89, tanh 1.34, erf 1.10; over every 31st: sigmoid 2.32, rsqrt 1.50.
#if !defined(FORNAX_NUMERIC_ELEMENTARY_H) || defined(FORNAX_NUMERIC_PER_TARGET)
#define FORNAX_NUMERIC_ELEMENTARY_H
#if !defined(FORNAX_NUMERIC_PER_TARGET)
#include "kernels/numeric/scalar.h"
#endif
#include "kernels/numeric/namespace.h"

namespace FORNAX_NUMERIC_NAMESPACE {

constexpr float kRound = 0x1.8p23f;  // (a + kRound) - kRound rounds to nearest even, |a| < 2^22
constexpr std::int32_t kRoundBits = 0x4b400000;
constexpr float kLog2E = 0x1.715476p+0f, kLn2High = 0x1.62e43p-1f, kLn2Low = -0x1.05c61p-29f;

/// 2^n for -126 <= n <= 127.
template <class I>
FORNAX_NUMERIC_FN auto pow2(I n) {
  return from_bits(shift_left<23>(n + 127));
}

/// e^x = mantissa 2^n, mantissa in [0.7, 1.42].
template <class T>
struct ExpParts {
  T mantissa, n;
  decltype(bits(T())) shifted;  ///< n in the low bits, those of kRound above
};

/// |x| < 2^15. Range reduction of Cody and Waite 1980, minimax polynomial.
template <class T>
FORNAX_NUMERIC_FN ExpParts<T> exp_parts(T x) {
  const T shifted = fma(x, T(kLog2E), T(kRound));
  const T n = shifted - T(kRound);
  const T r = fma(n, T(-kLn2Low), fma(n, T(-kLn2High), x));
  const T q =
      horner(r, 0x1.fffffcp-2f, 0x1.55549p-3f, 0x1.5558acp-5f, 0x1.123b04p-7f, 0x1.6a542p-10f);
  return {fma(q, r * r, r) + T(1), n, bits(shifted)};
}

/// mantissa 2^n where that is a normal number.
template <class T>
FORNAX_NUMERIC_FN T normal_of(ExpParts<T> parts) {
  return parts.mantissa * pow2(parts.shifted - kRoundBits);
}
/// mantissa 2^n for |n| <= 252: in two steps, of which only the last can round, to a subnormal or
/// to infinity.
template <class T>
FORNAX_NUMERIC_FN T number_of(ExpParts<T> parts) {
  const auto exponent = parts.shifted - kRoundBits, half = shift_right<1>(exponent);
  return parts.mantissa * pow2(half) * pow2(exponent - half);
}

/// e^x for |x| <= 80 and NaN.
template <class T>
FORNAX_NUMERIC_FN T exp_bounded(T x) {
  return normal_of(exp_parts(x));
}

/// exp_bounded but for NaN, which it may turn into any number: the exponent is added to the
/// mantissa's, which is exact, as the product is.
template <class T>
FORNAX_NUMERIC_FN T exp_ordinary(T x) {
  static_assert((kRoundBits & 0x1ff) == 0);  // what is left of them in shift_left<23>
  const auto parts = exp_parts(x);
  return from_bits(bits(parts.mantissa) + shift_left<23>(parts.shifted));
}

/// e^x for x <= 89 and NaN. Underflows through the subnormals to +0.
template <class T>
FORNAX_NUMERIC_FN T exp_below(T x) {
  return number_of(exp_parts(at_least(x, -104.0f)));
}

/// e^x. Overflows to infinity, underflows through the subnormals to +0; exp(NaN) = NaN.
template <class T>
FORNAX_NUMERIC_FN T exp(T x) {
  return exp_below(at_most(x, 89.0f));
}

constexpr float kLeastNormal = 0x1p-126f, kLargest = 0x1.fffffep127f;

/// x > 0 is 2^k (1 + f), 1 + f in [sqrt(1/2), sqrt(2)).
template <class T>
struct LogParts {
  T f, k;
};
constexpr std::int32_t kRootHalfBits = 0x3f3504f3, kRootTwoBits = 0x3fb504f3;  // of sqrt(1/2), ...

/// Of 2^-lift times a normal number.
template <class T>
FORNAX_NUMERIC_FN LogParts<T> log_parts_of_normal(T normal, T lift) {
  const auto scaled = bits(normal);
  const auto exponent = shift_right<23>(scaled - kRootHalfBits);
  return {from_bits(scaled - shift_left<23>(exponent)) - T(1), to_float(exponent) - lift};
}
/// Any parts unless x > 0.
template <class T>
FORNAX_NUMERIC_FN LogParts<T> log_parts(T x) {
  const T positive = select(x > T(0), x, T(1));
  const auto subnormal = positive < T(kLeastNormal);
  return log_parts_of_normal(select(subnormal, positive * T(0x1p23f), positive),
                             select(subnormal, T(23), T(0)));
}

/// k ln2 + log(1 + f), the latter f + f^2 q(f).
template <class T>
FORNAX_NUMERIC_FN T log_of_parts(LogParts<T> parts) {
  const T f = parts.f, k = parts.k;
  const T q =
      horner(f, -0x1.fffff8p-2f, 0x1.55555p-2f, -0x1.000438p-2f, 0x1.99a42cp-3f, -0x1.542416p-3f,
             0x1.226abap-3f, -0x1.0f4d4cp-3f, 0x1.088114p-3f, -0x1.3851a8p-4f);
  const T tail = fma(k, T(kLn2Low), f * f * q);
  return fma(k, T(kLn2High), f + tail);
}
/// `value`, but where x is 0, negative, infinity or NaN what log is there.
template <class T>
FORNAX_NUMERIC_FN T log_or_special(T value, T x) {
  const T infinity = T(from_bits(kInfinityBits));
  const T outside =
      select(x == T(0), T(from_bits(kInfinityBits | kSignBit)), T(from_bits(kNanBits)));
  return select(x > T(0), select(x == infinity, infinity, value), outside);
}

/// Natural logarithm. log(+-0) = -infinity, log(x < 0) = log(NaN) = NaN.
template <class T>
FORNAX_NUMERIC_FN T log(T x) {
  return log_or_special(log_of_parts(log_parts(x)), x);
}

/// log(x) for 1 <= x <= 2 and NaN.
template <class T>
FORNAX_NUMERIC_FN T log_to_2(T x) {
  const auto large = x >= T(from_bits(kRootTwoBits));
  const T f = select(large, x * T(0.5f), x) - T(1);
  return log_of_parts(LogParts<T>{f, select(large, T(1), T(0))});
}

/// Hyperbolic tangent: odd polynomial below 0.625, 1 - 2 / (e^2a + 1) above. tanh(-0) = -0.
template <class T>
FORNAX_NUMERIC_FN T tanh(T x) {
  const T a = abs(x), z = a * a;
  const T q = horner(z, -0x1.555554p-2f, 0x1.11107ap-3f, -0x1.b9f18ep-5f, 0x1.63a5e2p-6f,
                     -0x1.0c6332p-7f, 0x1.1a3d9ap-9f);
  const T small = fma(a * z, q, a);
  const T b = at_most(a, 10.0f);
  const T large = T(1) - T(2) / (exp_bounded(b + b) + T(1));
  return copysign(select(a < T(0.625f), small, large), x);
}

/// Error function 2/sqrt(pi) integral_0^x e^-t^2 dt: odd polynomial below 1, 1 - e^p(a) above.
template <class T>
FORNAX_NUMERIC_FN T erf(T x) {
  const T a = abs(x), z = a * a;
  const T small = fma(a,
                      horner(z, 0x1.06eba8p-3f, -0x1.81273ep-2f, 0x1.ce2ce6p-4f, -0x1.b7f71ap-6f,
                             0x1.53f224p-8f, -0x1.a3515ep-11f, 0x1.4771fcp-14f),
                      a);
  const T b = at_most(a, 4.0f);
  const T log_erfc = horner(b, 0x1.8a5b2ep-13f, -0x1.212c0ep+0f, -0x1.443560p-1f, -0x1.bc156ep-4f,
                            0x1.9d043ap-6f, -0x1.138f1ep-8f, 0x1.cecfcap-12f, -0x1.6be83ap-16f);
  const T large = T(1) - exp_bounded(log_erfc);
  return copysign(select(a < T(1), small, large), x);
}

/// 1 / (1 + e^-x), from e^-|x| <= 1: no overflow, small values keep their relative accuracy. Of
/// both zeros e^-|x| is 1, so the sign bit tells the two cases apart.
template <class T>
FORNAX_NUMERIC_FN T sigmoid(T x) {
  const T e = exp_below(minus_abs(x));
  return select(negative(bits(x)), e, T(1)) / (T(1) + e);
}

/// 1 / sqrt(x), two IEEE roundings. rsqrt(+-0) = +-infinity, rsqrt(x < 0) = NaN.
template <class T>
FORNAX_NUMERIC_FN T rsqrt(T x) {
  return T(1) / sqrt(x);
}

}  // namespace FORNAX_NUMERIC_NAMESPACE
#endif
