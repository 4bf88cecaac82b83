// What kernels over rows share, for vectors: the maximum of a row, and softmax_row.h. For kernel
// files: see kernels/host/dispatch.h; include it after vector.h.
#if defined(FORNAX_ROW_TOGGLE) == defined(HWY_TARGET_TOGGLE)
#ifdef FORNAX_ROW_TOGGLE
#undef FORNAX_ROW_TOGGLE
#else
#define FORNAX_ROW_TOGGLE
#endif
#include "kernels/host/vector.h"
#include "kernels/softmax/softmax_row.h"

HWY_BEFORE_NAMESPACE();
#define FORNAX_NUMERIC_PER_TARGET
#include "kernels/softmax/softmax_row.h"

namespace fornax::numeric::HWY_NAMESPACE {

/// The maximum of x[0 .. count), count >= 1; NaN when there is one. max() has no order.
FORNAX_NUMERIC_FN float row_maximum(const float* x, std::int64_t count) {
  Quad four(x[0]);
  Vector one(x[0]);
  float largest = x[0];
  std::int64_t i = 0;
  for (; i + 4 * kLanes <= count; i += 4 * kLanes) four = max(four, load(x + i, four));
  for (; i + kLanes <= count; i += kLanes) one = max(one, load(x + i));
  for (; i < count; ++i) largest = max(largest, x[i]);
  const Pair<Vector> two = max(four.first, four.second);
  alignas(64) float lane[kLanes];
  store(max(one, max(two.first, two.second)), lane);
  for (int j = 0; j < kLanes; ++j) largest = max(largest, lane[j]);
  return largest;
}

/// The sum of e^(x - shift), each e^(x - shift) also stored in `terms` unless that is null.
FORNAX_NUMERIC_FN float sum_of_exp(const float* x, float shift, float* terms, std::int64_t count) {
  return ordered_sum<Vector, kLanes>(count, [=](std::int64_t i, auto zero) FORNAX_LAMBDA {
    using T = decltype(zero);
    const T e = exp(load(x + i, T()) - T(shift));
    if (terms) store(e, terms + i);
    return e;
  });
}

}  // namespace fornax::numeric::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#undef FORNAX_NUMERIC_PER_TARGET
#include "kernels/numeric/namespace.h"
#endif
