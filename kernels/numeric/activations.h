// Activation functions and the derivatives that backward uses, for float, vectors and CUDA. Worst
// error against double, over all 2^32 floats: silu 3.2 and gelu_erf 6.9 ulp (never finer than
// 2^-142); over every 31st: gelu_tanh 1.7e-7, gradients of silu, gelu_erf, gelu_tanh 2.2e-7
// absolute (relative above 1), gradients from the output 1.5 ulp.
#if !defined(FORNAX_NUMERIC_ACTIVATIONS_H) || defined(FORNAX_NUMERIC_PER_TARGET)
#define FORNAX_NUMERIC_ACTIVATIONS_H
#if !defined(FORNAX_NUMERIC_PER_TARGET)
#include "kernels/numeric/elementary.h"
#include "kernels/numeric/scalar.h"
#endif
#include "kernels/numeric/namespace.h"

namespace FORNAX_NUMERIC_NAMESPACE {

/// max(x, 0) by comparison: relu(-0) = +0, relu(NaN) = NaN.
template <class T>
FORNAX_NUMERIC_FN T relu(T x) {
  return select(x <= T(0), T(0), x);
}

/// sigmoid(x) and 1 - sigmoid(x), neither by cancellation.
template <class T>
struct SigmoidParts {
  T value, rest;
};
template <class T>
FORNAX_NUMERIC_FN SigmoidParts<T> sigmoid_parts(T x) {
  const T e = exp_below(minus_abs(x));
  const T larger = T(1) / (T(1) + e), smaller = e * larger;
  const auto below = negative(bits(x));
  return {select(below, smaller, larger), select(below, larger, smaller)};
}

/// x sigmoid(x) (Elfwing, Uchibe, Doya 2017, arXiv 1702.03118). silu(-infinity) = -0.
template <class T>
FORNAX_NUMERIC_FN T silu(T x) {
  const T bounded = at_least(x, -120.0f);
  return bounded * sigmoid(bounded);
}

/// d silu / dx = s (1 + x (1 - s)), s = sigmoid(x).
template <class T>
FORNAX_NUMERIC_FN T silu_gradient(T x) {
  const T bounded = clamp(x, -120.0f, 120.0f);
  const auto s = sigmoid_parts(bounded);
  return s.value * fma(bounded, s.rest, T(1));
}

/// Normal distribution at x, |x| <= 15: density phi = e^(-x^2/2) / sqrt(2 pi), cumulative Phi = its
/// integral from -infinity. Phi(-u) = e^(-u^2/2) t q(t), t = 1 / (1 + 0.35 u), q minimax: the lower
/// tail keeps its relative accuracy. x^2/2 = square + tail exactly, and e^-tail = 1 - tail.
template <class T>
struct Normal {
  T density, cumulative;
};
template <class T>
FORNAX_NUMERIC_FN Normal<T> normal_distribution(T x) {
  const T u = abs(x), half = T(0.5f) * u, square = half * u;
  const T tail = fma(half, u, negate(square));
  const T rounded = exp_below(negate(square));
  const T e = fma(rounded, negate(tail), rounded);
  const T t = T(1) / fma(u, T(0.35f), T(1));
  const T q =
      t * horner(t, 0x1.1df1c0p-3f, 0x1.1e7130p-3f, 0x1.eac3bap-4f, 0x1.b06ee8p-4f, -0x1.7d24b6p-6f,
                 0x1.466f44p-3f, -0x1.060ae8p-2f, 0x1.270922p-3f, -0x1.ddd204p-6f);
  const T below = e * q;
  return {e * T(0x1.988454p-2f), select(x < T(0), below, T(1) - below)};
}

/// x Phi(x) = x/2 (1 + erf(x / sqrt 2)) (Hendrycks, Gimpel 2016, arXiv 1606.08415).
/// gelu_erf(-infinity) = -0.
template <class T>
FORNAX_NUMERIC_FN T gelu_erf(T x) {
  const T bounded = at_least(x, -15.0f);
  return bounded * normal_distribution(at_most(bounded, 15.0f)).cumulative;
}

/// d gelu_erf / dx = Phi(x) + x phi(x).
template <class T>
FORNAX_NUMERIC_FN T gelu_erf_gradient(T x) {
  const T bounded = clamp(x, -15.0f, 15.0f);
  const auto normal = normal_distribution(bounded);
  return fma(bounded, normal.density, normal.cumulative);
}

constexpr float kGeluScale = 0x1.988454p+0f;   // 2 sqrt(2 / pi)
constexpr float kGeluCubic = 0x1.6e4e26p-5f;   // 0.044715
constexpr float kGeluCubic3 = 0x1.12ba9cp-3f;  // 3 * 0.044715

/// x/2 (1 + tanh(u)), u = sqrt(2/pi) (x + 0.044715 x^3), computed as x sigmoid(2 u).
template <class T>
FORNAX_NUMERIC_FN T gelu_tanh(T x) {
  const T bounded = at_least(x, -15.0f);
  const T twice_u = T(kGeluScale) * fma(bounded * bounded * bounded, T(kGeluCubic), bounded);
  return bounded * sigmoid(twice_u);
}

/// d gelu_tanh / dx = s + x s (1 - s) 2 u', s = sigmoid(2 u).
template <class T>
FORNAX_NUMERIC_FN T gelu_tanh_gradient(T x) {
  const T bounded = clamp(x, -15.0f, 15.0f), square = bounded * bounded;
  const auto s = sigmoid_parts(T(kGeluScale) * fma(bounded * square, T(kGeluCubic), bounded));
  const T slope = T(kGeluScale) * fma(square, T(kGeluCubic3), T(1));
  return fma(bounded * s.value, s.rest * slope, s.value);
}

/// d sigmoid / dx from y = sigmoid(x): y (1 - y).
template <class T>
FORNAX_NUMERIC_FN T sigmoid_gradient_from_output(T y) {
  return y * (T(1) - y);
}

/// d tanh / dx from y = tanh(x): 1 - y^2 = (1 - y) (1 + y).
template <class T>
FORNAX_NUMERIC_FN T tanh_gradient_from_output(T y) {
  return (T(1) - y) * (T(1) + y);
}

}  // namespace FORNAX_NUMERIC_NAMESPACE
#endif
