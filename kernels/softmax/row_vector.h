// What kernels over rows share, for vectors: maxima, sums of e^(x - maximum), and softmax_row.h.
// For kernel files: see kernels/host/dispatch.h; include it after vector.h.
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

/// The maximum of what it takes, NaN aside. Of zeros it may be either: no sum of e^(x - maximum)
/// and no comparison tells them apart.
struct Maximum {
  static constexpr int kVectors = 4;
  Vector largest[kVectors];

  FORNAX_NUMERIC_FN Maximum() {
    for (Vector& one : largest) one = Vector(from_bits(kInfinityBits | kSignBit));
  }
  FORNAX_NUMERIC_FN void take(int v, Vector x) { largest[v].raw = hn::Max(x.raw, largest[v].raw); }
  FORNAX_NUMERIC_FN void take(const float* x, Quad) {
    for (int v = 0; v < kVectors; ++v) take(v, load(x + v * kLanes));
  }
  FORNAX_NUMERIC_FN void take(const float* x, Vector) { take(0, load(x)); }
  FORNAX_NUMERIC_FN void take(const float* x, float) { take(0, Vector(*x)); }
  FORNAX_NUMERIC_FN float value() const {
    const FloatTag d;
    auto most = largest[0].raw;
    for (const Vector& one : largest) most = hn::Max(one.raw, most);
    return hn::GetLane(hn::MaxOfLanes(d, most));
  }
};

/// What is fetched at the Quad i of a row while the next is read: what follows soon, to L2; where
/// rows are long the row after the next in as many streams as the Quad has lines, as memory hands
/// those over quicker than one. Measured.
FORNAX_NUMERIC_FN void fetch_ahead(const float* next, std::int64_t width, std::int64_t i) {
  constexpr std::int64_t kSoon = 1024, kLong = 4096, kLongest = 65536, kStreamsOfRow = kLinesOfQuad;
  if (width > kLong && width <= kLongest)
    return fetch({next + width + i / kStreamsOfRow, width / (kLine * kStreamsOfRow) * kLine});
  for (std::int64_t line = 0; line < 4 * kLanes; line += kLine)
    __builtin_prefetch(next + i + kSoon + line, 0, 2);
}

/// Terms of RowWalk::sum_of_exp.
template <class Beside>
struct ExpTerm {
  const float *x, *next;
  std::int64_t width;
  float shift;
  float* terms;
  Maximum* of_next;
  const Beside& beside;

  template <class T>
  FORNAX_NUMERIC_FN T operator()(std::int64_t i, T zero) const {
    if constexpr (std::is_same_v<T, Quad>) fetch_ahead(next, width, i), beside(i);
    of_next->take(next + i, zero);
    const T e = exp_below(load(x + i, zero) - T(shift));
    if (terms) store(e, terms + i);
    return e;
  }
  /// Of the last `count` elements.
  FORNAX_NUMERIC_FN Vector operator()(std::int64_t i, Vector, std::int64_t count) const {
    const float least = from_bits(kInfinityBits | kSignBit);
    of_next->take(0, first_lanes(load_first(next + i, count), count, least));
    const Vector e = exp_below(load_first(x + i, count) - Vector(shift));
    if (terms) store_first(e, terms + i, count);
    return e;
  }
};

/// Goes over `rows` >= 1 rows of x, of `width` elements each. The maximum of a row is taken beside
/// the sum of the row before: the one waits for memory and the other for arithmetic.
struct RowWalk {
  const float* row;
  std::int64_t width, rows;
  float maximum;  ///< of `row`; any number where one is NaN, which comes back in every sum

  FORNAX_NUMERIC_FN RowWalk(const float* x, std::int64_t elements, std::int64_t count)
      : row(x), width(elements), rows(count) {
    Maximum first;
    for_vectors(0, width,
                [&](std::int64_t i, auto zero) FORNAX_LAMBDA { first.take(x + i, zero); });
    maximum = first.value();
  }
  /// The sum of e^(x - maximum), each e^(x - maximum) also stored in `terms` unless that is null;
  /// then the next row's turn. beside(i): other work, once for every Quad of the kChains elements
  /// that a step takes, before terms[i ...] are written.
  template <class Beside>
  FORNAX_NUMERIC_FN float sum_of_exp(float* terms, const Beside& beside) {
    const float *x = row, *next = --rows > 0 ? row + width : row;
    Maximum of_next;
    const ExpTerm<Beside> term{x, next, width, maximum, terms, &of_next, beside};
    const float sum = ordered_sum<Vector, kLanes>(width, term);
    row = next;
    maximum = of_next.value();
    return sum;
  }
};

}  // namespace fornax::numeric::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#undef FORNAX_NUMERIC_PER_TARGET
#include "kernels/numeric/namespace.h"
#endif
