// The functions in double, for the f64 reference: the judge of accuracy. They come from the C
// library, so their last bits may differ between systems; no hash is ever taken of f64.
#pragma once
#include <cmath>

namespace fornax::numeric::inline plain {

inline double fma(double a, double b, double c) { return std::fma(a, b, c); }
inline double sqrt(double x) { return std::sqrt(x); }
inline double rsqrt(double x) { return 1 / std::sqrt(x); }
inline double abs(double x) { return std::fabs(x); }
inline double minus_abs(double x) { return -std::fabs(x); }
inline double negate(double x) { return -x; }
inline double exp(double x) { return std::exp(x); }
inline double exp_below(double x) { return std::exp(x); }
inline double log(double x) { return std::log(x); }
inline double log_to_2(double x) { return std::log(x); }
inline double tanh(double x) { return std::tanh(x); }
inline double erf(double x) { return std::erf(x); }
inline double sin(double x) { return std::sin(x); }
inline double cos(double x) { return std::cos(x); }
inline double select(bool which, double yes, double no) { return which ? yes : no; }
inline bool is_nan(double x) { return std::isnan(x); }
inline double max(double a, double b) {
  if (is_nan(a) || is_nan(b)) return a + b;
  return a > b || (a == b && !std::signbit(a)) ? a : b;
}
inline double min(double a, double b) {
  if (is_nan(a) || is_nan(b)) return a + b;
  return a < b || (a == b && std::signbit(a)) ? a : b;
}
inline double relu(double x) { return x <= 0 ? 0.0 : x; }

inline double sigmoid(double x) {
  const double e = std::exp(-std::fabs(x));
  return (x >= 0 ? 1 : e) / (1 + e);
}
inline double silu(double x) { return x < -750 ? -0.0 : x * sigmoid(x); }
inline double silu_gradient(double x) {
  if (std::fabs(x) > 750) return x > 0 ? 1.0 : -0.0;
  return sigmoid(x) * (1 + x * sigmoid(-x));
}
inline double gelu_erf(double x) {
  return x < -40 ? -0.0 : 0.5 * x * std::erfc(-x * 0.70710678118654752440);
}
inline double gelu_erf_gradient(double x) {
  if (std::fabs(x) > 40) return x > 0 ? 1.0 : -0.0;
  const double density = 0.39894228040143267794 * std::exp(-0.5 * x * x);
  return 0.5 * std::erfc(-x * 0.70710678118654752440) + x * density;
}
inline double gelu_tanh(double x) {
  if (x < -40) return -0.0;
  return x * sigmoid(1.59576912160573071176 * (x + 0.044715 * x * x * x));
}
inline double gelu_tanh_gradient(double x) {
  if (std::fabs(x) > 40) return x > 0 ? 1.0 : -0.0;
  const double twice_u = 1.59576912160573071176 * (x + 0.044715 * x * x * x);
  const double slope = 1.59576912160573071176 * (1 + 3 * 0.044715 * x * x);
  return sigmoid(twice_u) + x * sigmoid(twice_u) * sigmoid(-twice_u) * slope;
}
inline double sigmoid_gradient_from_output(double y) { return y * (1 - y); }
inline double tanh_gradient_from_output(double y) { return (1 - y) * (1 + y); }

}  // namespace fornax::numeric::inline plain
