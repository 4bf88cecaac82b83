// What cross entropy does with one row, written once for reference, CPU and CUDA; included like
// the templates of kernels/numeric (namespace.h).
#if !defined(FORNAX_CROSS_ENTROPY_ROW_H) || defined(FORNAX_NUMERIC_PER_TARGET)
#define FORNAX_CROSS_ENTROPY_ROW_H
#if !defined(FORNAX_NUMERIC_PER_TARGET)
#include "kernels/numeric/numeric.h"
#endif
#include "kernels/numeric/namespace.h"

namespace FORNAX_NUMERIC_NAMESPACE {

#if !defined(FORNAX_NUMERIC_PER_TARGET)  // the rest of one row, for float and double alone

enum class LabelKind { valid, ignored, bad };

FORNAX_NUMERIC_FN LabelKind label_kind(std::int64_t label, std::int64_t ignore_index,
                                       std::int64_t classes) {
  if (label == ignore_index) return LabelKind::ignored;
  return label >= 0 && label < classes ? LabelKind::valid : LabelKind::bad;
}

/// The target distribution: `on` at the label, `off` elsewhere; and its two weights.
template <class T>
struct SmoothedTarget {
  T keep, smoothing, on, off;
};

template <class T>
inline SmoothedTarget<T> smoothed_target(double smoothing, std::int64_t classes) {
  const double off = smoothing / static_cast<double>(classes);
  return {static_cast<T>(1 - smoothing), static_cast<T>(smoothing),
          static_cast<T>(1 - smoothing + off), static_cast<T>(off)};
}

/// The loss of a row; mean_logit is read only when labels are smoothed.
template <class T>
FORNAX_NUMERIC_FN T row_loss(T log_sum_exp, T logit, T mean_logit, SmoothedTarget<T> target) {
  const T plain = log_sum_exp - logit;
  if (target.smoothing == T(0)) return plain;
  return fma(target.keep, plain, target.smoothing * (log_sum_exp - mean_logit));
}

/// Whether a later logit takes the arg-max from an earlier one. NaN outranks every number.
template <class T>
FORNAX_NUMERIC_FN bool outranks(T later, T earlier) {
  return later > earlier || (later != later && earlier == earlier);
}

#endif

/// d loss / d logit of one class; weight = d_loss / counted.
template <class T>
FORNAX_NUMERIC_FN T logit_gradient(T logit, T log_sum_exp, T target, T weight) {
  return weight * (exp(logit - log_sum_exp) - target);
}

}  // namespace FORNAX_NUMERIC_NAMESPACE
#endif
