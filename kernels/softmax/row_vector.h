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

/// What is fetched while the row at x is computed, which is read twice, so that the maximum of a
/// later one need not wait for memory: of short rows the next but one, of others the next. Rows
/// that leave L1 take long for their maximum too: a quarter is fetched then, the other three side
/// by side with the sum, all to L2.
struct RowAhead {
  static constexpr std::int64_t kShort = 2048, kLong = 4096, kLongest = 65536;
  const float* with_maximum;  ///< null: nothing then
  const float* with_sum;

  FORNAX_NUMERIC_FN RowAhead(const float* x, std::int64_t count)
      : with_maximum(count > kLong && count <= kLongest ? x + count : nullptr),
        with_sum(with_maximum ? x + count + count / 4 : x + (count <= kShort ? 2 : 1) * count) {}
};
FORNAX_NUMERIC_FN void fetch_to_l2(const float* line) { __builtin_prefetch(line, 0, 2); }

/// The maximum of x[0 .. count), count >= 1; NaN when there is one. Of zeros it may be either: no
/// sum of e^(x - maximum) and no comparison tells them apart. The processor's own instruction loses
/// NaN; with a look for it it is three operations a vector, max() some eight.
FORNAX_NUMERIC_FN float row_maximum(const float* x, std::int64_t count,
                                    const float* fetched = nullptr) {
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
  for (; i + kVectors * kLanes <= count; i += kVectors * kLanes) {
    if (fetched) fetch_to_l2(fetched + i / kVectors);
    for (int v = 0; v < kVectors; ++v) take(v, x + i + v * kLanes);
  }
  for (; i + kLanes <= count; i += kLanes) take(0, x + i);
  for (const auto& one : largest) most = hn::Max(one, most);
  float maximum = hn::AllFalse(d, nan) ? hn::GetLane(hn::MaxOfLanes(d, most)) : from_bits(kNanBits);
  for (; i < count; ++i) maximum = max(maximum, x[i]);
  return maximum;
}

/// The sum of e^(x - shift), each e^(x - shift) also stored in `terms` unless that is null.
/// beside(i): other work, once for every Quad of the kChains elements that a step takes, before
/// terms[i ...] are written.
template <class Beside>
FORNAX_NUMERIC_FN float sum_of_exp(const float* x, float shift, float* terms, std::int64_t count,
                                   const RowAhead& ahead, const Beside& beside) {
  const auto sum = [&](const auto& fetch_at) FORNAX_LAMBDA {
    return ordered_sum<Vector, kLanes>(count, [=](std::int64_t i, auto zero) FORNAX_LAMBDA {
      using T = decltype(zero);
      if constexpr (std::is_same_v<T, Quad>) fetch_at(i), beside(i);
      const T e = exp(load(x + i, T()) - T(shift));
      if (terms) store(e, terms + i);
      return e;
    });
  };
  const float* fetched = ahead.with_sum;
  if (!ahead.with_maximum) return sum([=](std::int64_t i) FORNAX_LAMBDA { fetch(fetched + i); });
  return sum([=](std::int64_t i) FORNAX_LAMBDA {
    for (int quarter = 0; quarter < 3; ++quarter)
      for (int line = 0; line < kLanes; line += kLine)
        fetch_to_l2(fetched + quarter * (count / 4) + i / 4 + line);
  });
}

}  // namespace fornax::numeric::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#undef FORNAX_NUMERIC_PER_TARGET
#include "kernels/numeric/namespace.h"
#endif
