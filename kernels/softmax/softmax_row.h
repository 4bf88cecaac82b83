// The elements of softmax, log_softmax and their gradients, written once for reference, CPU and
// CUDA; included like the templates of kernels/numeric (namespace.h).
#if !defined(FORNAX_SOFTMAX_ROW_H) || defined(FORNAX_NUMERIC_PER_TARGET)
#define FORNAX_SOFTMAX_ROW_H
#if !defined(FORNAX_NUMERIC_PER_TARGET)
#include "kernels/numeric/numeric.h"
#endif
#include "kernels/numeric/namespace.h"

namespace FORNAX_NUMERIC_NAMESPACE {

/// dx from dy, y = softmax(x) and dot = sum(dy y).
template <class T>
FORNAX_NUMERIC_FN T softmax_gradient(T dy, T y, T dot) {
  return y * (dy - dot);
}

/// dx from dy, y = log_softmax(x) and sum = sum(dy).
template <class T>
FORNAX_NUMERIC_FN T log_softmax_gradient(T dy, T y, T sum) {
  return fma(T(0) - exp(y), sum, dy);
}

}  // namespace FORNAX_NUMERIC_NAMESPACE
#endif
