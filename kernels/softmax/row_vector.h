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

/// The maximum of x[0 .. count), count >= 1; NaN when there is one. Of zeros it may be either: no
/// sum of e^(x - maximum) and no comparison tells them apart. The processor's own instruction loses
/// NaN; with a look for it it is three operations a vector, max() some eight.
FORNAX_NUMERIC_FN float row_maximum(const float* x, std::int64_t count) {
  constexpr int kVectors = 4;
  const FloatTag d;
  auto most = hn::Set(d, x[0]);
  decltype(most) largest[kVectors] = {most, most, most, most};
  auto nan = hn::IsNaN(most);
  const auto take = [&](int v, const float* from) FORNAX_LAMBDA {
    const auto values = hn::LoadU(d, from);
    largest[v] = hn::Max(values, largest[v]);
    nan = hn::Or(nan, hn::IsNaN(values));
  };
  std::int64_t i = 0;
  for (; i + kVectors * kLanes <= count; i += kVectors * kLanes)
    for (int v = 0; v < kVectors; ++v) take(v, x + i + v * kLanes);
  for (; i + kLanes <= count; i += kLanes) take(0, x + i);
  for (const auto& one : largest) most = hn::Max(one, most);
  float maximum = hn::AllFalse(d, nan) ? hn::GetLane(hn::MaxOfLanes(d, most)) : from_bits(kNanBits);
  for (; i < count; ++i) maximum = max(maximum, x[i]);
  return maximum;
}

/// Longer rows leave the caches before they are read again.
constexpr std::int64_t kLongestFetched = 65536;

/// The sum of e^(x - shift), each e^(x - shift) also stored in `terms` unless that is null.
/// Meanwhile the row behind is fetched, so that its maximum need not wait for memory.
FORNAX_NUMERIC_FN float sum_of_exp(const float* x, float shift, float* terms, std::int64_t count) {
  const float* behind = count <= kLongestFetched ? x + count : x;
  return ordered_sum<Vector, kLanes>(count, [=](std::int64_t i, auto zero) FORNAX_LAMBDA {
    using T = decltype(zero);
    if constexpr (std::is_same_v<T, Quad>) fetch(behind + i);
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
