// The one switch over activation functions and their gradients, for float, double, vectors and
// CUDA. Included again per instruction set by activation_vector.h.
#if !defined(FORNAX_ACTIVATION_FUNCTIONS_H) || defined(FORNAX_NUMERIC_PER_TARGET)
#define FORNAX_ACTIVATION_FUNCTIONS_H
#if !defined(FORNAX_NUMERIC_PER_TARGET)
#include "kernels/activation/activation_kind.h"
#include "kernels/numeric/activations.h"
#include "kernels/numeric/judge.h"
#endif
#include "kernels/numeric/namespace.h"

namespace FORNAX_NUMERIC_NAMESPACE {

/// f(x).
template <class T>
FORNAX_NUMERIC_FN T activate(kernels::Activation kind, T x) {
  switch (kind) {
    case kernels::Activation::none: return x;
    case kernels::Activation::relu: return relu(x);
    case kernels::Activation::gelu: return gelu_erf(x);
    case kernels::Activation::gelu_tanh: return gelu_tanh(x);
    case kernels::Activation::silu: return silu(x);
    case kernels::Activation::sigmoid: return sigmoid(x);
    case kernels::Activation::tanh: return tanh(x);
  }
  return x;
}

/// dx from dy: `saved` is y for relu, sigmoid and tanh, else x. relu passes dy or +0, so that an
/// infinite dy stays out of closed units.
template <class T>
FORNAX_NUMERIC_FN T activation_gradient(kernels::Activation kind, T dy, T saved) {
  switch (kind) {
    case kernels::Activation::none: return dy;
    case kernels::Activation::relu: return select(saved <= T(0), T(0), dy);
    case kernels::Activation::gelu: return dy * gelu_erf_gradient(saved);
    case kernels::Activation::gelu_tanh: return dy * gelu_tanh_gradient(saved);
    case kernels::Activation::silu: return dy * silu_gradient(saved);
    case kernels::Activation::sigmoid: return dy * sigmoid_gradient_from_output(saved);
    case kernels::Activation::tanh: return dy * tanh_gradient_from_output(saved);
  }
  return dy;
}

}  // namespace FORNAX_NUMERIC_NAMESPACE
#endif
