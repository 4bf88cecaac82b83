// What batch norm does with one element and with one channel, written once for reference, CPU and
// CUDA; included like the templates of kernels/numeric (namespace.h).
#if !defined(FORNAX_BATCH_NORM_ELEMENT_H) || defined(FORNAX_NUMERIC_PER_TARGET)
#define FORNAX_BATCH_NORM_ELEMENT_H
#if !defined(FORNAX_NUMERIC_PER_TARGET)
#include "kernels/numeric/numeric.h"
#endif
#include "kernels/numeric/namespace.h"

namespace FORNAX_NUMERIC_NAMESPACE {

template <class T>
FORNAX_NUMERIC_FN T inverse_deviation(T variance, T epsilon) {
  return T(1) / sqrt(variance + epsilon);
}

/// slope = scale / deviation.
template <class T>
FORNAX_NUMERIC_FN T batch_norm(T x, T mean, T slope, T shift) {
  return fma(x - mean, slope, shift);
}

template <class T>
FORNAX_NUMERIC_FN T squared_deviation(T x, T mean) {
  const T d = x - mean;
  return d * d;
}

/// running + momentum (batch - running).
template <class T>
FORNAX_NUMERIC_FN T move_running(T running, T batch, T momentum) {
  return fma(momentum, batch - running, running);
}

/// One element's part of d_scale.
template <class T>
FORNAX_NUMERIC_FN T scale_gradient_term(T dy, T x, T mean, T inverse) {
  return dy * ((x - mean) * inverse);
}

/// What dx needs of its channel: mean_shift = d_shift / rows, mean_scale = d_scale / rows, both 0
/// where the statistics are constants.
template <class T>
struct ChannelGradient {
  T mean, inverse, slope, mean_shift, mean_scale;
};

/// dx through the batch's statistics.
template <class T>
FORNAX_NUMERIC_FN T batch_norm_gradient(T dy, T x, const ChannelGradient<T>& channel) {
  const T normalized = (x - channel.mean) * channel.inverse;
  return channel.slope * fma(T(0) - normalized, channel.mean_scale, dy - channel.mean_shift);
}

}  // namespace FORNAX_NUMERIC_NAMESPACE
#endif
