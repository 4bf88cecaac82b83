// One element's update by SGD and by AdamW, written once for reference, CPU and CUDA; included
// like the templates of kernels/numeric (namespace.h).
#if !defined(FORNAX_UPDATE_RULE_H) || defined(FORNAX_NUMERIC_PER_TARGET)
#define FORNAX_UPDATE_RULE_H
#if !defined(FORNAX_NUMERIC_PER_TARGET)
#include "kernels/numeric/numeric.h"

namespace fornax::numeric {

/// What one step does to one tensor; `scale` multiplies its gradient.
template <class S>
struct SgdRates {
  S learning_rate, weight_decay, momentum, scale;
  bool nesterov;
};

template <class S>
struct AdamWRates {
  S beta1, rest1, beta2, rest2;  ///< rest = 1 - beta
  S minus_decay, minus_step_size, inverse_root, epsilon, scale;
};

/// The constants of a node of AdamW.
struct AdamWConstants {
  double beta1, beta2, epsilon;
};

/// `step` counts the completed steps.
template <class S>
FORNAX_NUMERIC_FN AdamWRates<S> adamw_rates(AdamWConstants constants, S learning_rate,
                                            S weight_decay, std::int64_t step, S scale) {
  AdamWRates<S> rates;
  rates.beta1 = static_cast<S>(constants.beta1);
  rates.rest1 = static_cast<S>(1 - constants.beta1);
  rates.beta2 = static_cast<S>(constants.beta2);
  rates.rest2 = static_cast<S>(1 - constants.beta2);
  rates.minus_decay = -(learning_rate * weight_decay);
  rates.minus_step_size = -(learning_rate / static_cast<S>(1 - pow_int(constants.beta1, step + 1)));
  rates.inverse_root = S(1) / sqrt(static_cast<S>(1 - pow_int(constants.beta2, step + 1)));
  rates.epsilon = static_cast<S>(constants.epsilon);
  rates.scale = scale;
  return rates;
}

}  // namespace fornax::numeric
#endif
#include "kernels/numeric/namespace.h"

namespace FORNAX_NUMERIC_NAMESPACE {

template <class T, class S>
FORNAX_NUMERIC_FN void sgd_update(const SgdRates<S>& rates, T& p, T g) {
  const T d = fma(T(rates.weight_decay), p, g * T(rates.scale));
  p = fma(T(-rates.learning_rate), d, p);
}

template <class T, class S>
FORNAX_NUMERIC_FN void sgd_momentum_update(const SgdRates<S>& rates, T& p, T g, T& m) {
  const T d = fma(T(rates.weight_decay), p, g * T(rates.scale));
  m = fma(T(rates.momentum), m, d);
  const T direction = rates.nesterov ? fma(T(rates.momentum), m, d) : m;
  p = fma(T(-rates.learning_rate), direction, p);
}

template <class T, class S>
FORNAX_NUMERIC_FN void adamw_moments(const AdamWRates<S>& rates, T g, T& m, T& v) {
  g = g * T(rates.scale);
  m = fma(T(rates.beta1), m, T(rates.rest1) * g);
  v = fma(T(rates.beta2), v, T(rates.rest2) * g * g);
}

template <class T, class S>
FORNAX_NUMERIC_FN T adamw_direction(const AdamWRates<S>& rates, T m, T root_of_v) {
  return m / fma(root_of_v, T(rates.inverse_root), T(rates.epsilon));
}

template <class T, class S>
FORNAX_NUMERIC_FN void adamw_move(const AdamWRates<S>& rates, T& p, T direction) {
  p = fma(T(rates.minus_decay), p, p);
  p = fma(T(rates.minus_step_size), direction, p);
}

template <class T, class S>
FORNAX_NUMERIC_FN void adamw_update(const AdamWRates<S>& rates, T& p, T g, T& m, T& v) {
  // In brackets: the rates are of the plain namespace, where argument-dependent lookup would look.
  (adamw_moments)(rates, g, m, v);
  (adamw_move)(rates, p, (adamw_direction)(rates, m, sqrt(v)));
}

}  // namespace FORNAX_NUMERIC_NAMESPACE
#endif
