// One element's loss and slope, written once for reference, CPU and CUDA; included like the
// templates of kernels/numeric (namespace.h).
#if !defined(FORNAX_LOSS_ELEMENT_H) || defined(FORNAX_NUMERIC_PER_TARGET)
#define FORNAX_LOSS_ELEMENT_H
#if !defined(FORNAX_NUMERIC_PER_TARGET)
#include "kernels/numeric/numeric.h"
#endif
#include "kernels/numeric/namespace.h"

namespace FORNAX_NUMERIC_NAMESPACE {

template <class T>
FORNAX_NUMERIC_FN T squared_error(T prediction, T target) {
  const T difference = prediction - target;
  return difference * difference;
}

/// weight = 2 d_loss / elements.
template <class T>
FORNAX_NUMERIC_FN T squared_error_gradient(T prediction, T target, T weight) {
  return weight * (prediction - target);
}

template <class T>
FORNAX_NUMERIC_FN T logistic_loss(T x, T target) {
  const T softplus = log_to_2(T(1) + exp_below(minus_abs(x)));
  return fma(negate(x), target, relu(x)) + softplus;
}

/// weight = d_loss / elements.
template <class T>
FORNAX_NUMERIC_FN T logistic_loss_gradient(T x, T target, T weight) {
  return weight * (sigmoid(x) - target);
}

}  // namespace FORNAX_NUMERIC_NAMESPACE
#endif
