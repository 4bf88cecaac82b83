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

/// Rows in the order in which they are taken: by turns from kStreams places, as memory hands those
/// over, and takes what is written past the caches, quicker than one; or one after another.
struct RowTurns {
  std::int64_t each;  ///< rows of a place; what is left comes last

  FORNAX_NUMERIC_FN RowTurns(std::int64_t rows, bool by_turns)
      : each(by_turns ? rows / kStreams : 0) {}
  FORNAX_NUMERIC_FN std::int64_t operator()(std::int64_t turn) const {
    return turn < kStreams * each ? turn % kStreams * each + turn / kStreams : turn;
  }
};

/// What is fetched at the Quad i of a row: of short rows one that comes soon, to L2; of long ones
/// as many streams as the Quad has lines, to L1, as memory hands those over quicker than one.
/// Measured.
struct FetchedRow {
  const float* from;
  FORNAX_NUMERIC_FN void operator()(std::int64_t i) const {
    for (int l = 0; l < kLinesOfQuad; ++l) __builtin_prefetch(from + i + l * kLine, 0, 2);
  }
  FORNAX_NUMERIC_FN void behind_quads(std::int64_t i) const { __builtin_prefetch(from + i, 0, 2); }
};
struct FetchedStreams {
  const float* from;
  std::int64_t apart;
  FORNAX_NUMERIC_FN FetchedStreams(const float* row, std::int64_t width)
      : from(row), apart(width / (kLine * kLinesOfQuad) * kLine) {}
  FORNAX_NUMERIC_FN void operator()(std::int64_t i) const {
    fetch({from + i / kLinesOfQuad, apart});
  }
  FORNAX_NUMERIC_FN void behind_quads(std::int64_t) const {}
};
/// Where hardware reads along (host::ReadAhead): what comes after the next row's elements, from far
/// away to L2, from nearer to L1. Measured on Zen 5.
struct FetchedAlong {
  const float* next;
  FORNAX_NUMERIC_FN void operator()(std::int64_t i) const {
    for (int l = 0; l < kLinesOfQuad; ++l) behind_quads(i + l * kLine);
  }
  FORNAX_NUMERIC_FN void behind_quads(std::int64_t i) const {
    __builtin_prefetch(next + i + 6144, 0, 2);
    __builtin_prefetch(next + i + 1024);
  }
};

/// Terms of RowWalk::sum_of_exp.
template <class Fetched, class Beside>
struct ExpTerm {
  const float *x, *next;
  Fetched fetched;
  float shift;
  float* terms;
  Maximum* of_next;
  const Beside& beside;

  template <class T>
  FORNAX_NUMERIC_FN T operator()(std::int64_t i, T zero) const {
    if constexpr (std::is_same_v<T, Quad>) fetched(i), beside(i);
    if constexpr (std::is_same_v<T, Vector>) fetched.behind_quads(i);
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

/// Goes over `rows` >= 1 rows of x, of `width` elements each, in turns. The maximum of a row is
/// taken beside the sum of the row before: the one waits for memory and the other for arithmetic.
struct RowWalk {
  const float* x;
  std::int64_t width, rows, turn = 0;
  bool along = host::reads_along();
  RowTurns turns;
  float maximum;  ///< of the row; any number where one is NaN, which comes back in every sum

  FORNAX_NUMERIC_FN RowWalk(const float* first, std::int64_t elements, std::int64_t count,
                            bool by_turns)
      : x(first), width(elements), rows(count), turns(count, by_turns && !along) {
    Maximum largest;
    for_vectors(0, width,
                [&](std::int64_t i, auto zero) FORNAX_LAMBDA { largest.take(x + i, zero); });
    maximum = largest.value();
  }
  /// Which row's turn it is.
  FORNAX_NUMERIC_FN std::int64_t row() const { return turns(turn); }
  /// The row that comes so many turns later, or the last.
  FORNAX_NUMERIC_FN const float* ahead(std::int64_t by) const {
    return x + turns(std::min(turn + by, rows - 1)) * width;
  }
  /// The sum of e^(x - maximum), each e^(x - maximum) also stored in `terms` unless that is null;
  /// then the next row's turn. beside(i): other work, once for every Quad of the kChains elements
  /// that a step takes, before terms[i ...] are written.
  template <class Beside>
  FORNAX_NUMERIC_FN float sum_of_exp(float* terms, const Beside& beside) {
    constexpr std::int64_t kAhead = 1024, kLong = 4096, kLongest = 65536;
    const float *now = ahead(0), *next = ahead(1);
    Maximum of_next;
    const auto sum_with = [&](const auto& fetched) FORNAX_LAMBDA {
      using Term = ExpTerm<std::decay_t<decltype(fetched)>, Beside>;
      const Term term{now, next, fetched, maximum, terms, &of_next, beside};
      return ordered_sum<Vector, kLanes>(width, term);
    };
    float sum;
    if (along) {
      sum = sum_with(FetchedAlong{next});
    } else if (width > kLong && width <= kLongest) {
      sum = sum_with(FetchedStreams(ahead(2), width));
    } else {
      // One stream is asked for from farther away than several.
      const std::int64_t elements = turns.each > 0 ? kAhead : 4 * kAhead;
      const std::int64_t rows_ahead = std::max<std::int64_t>(elements / width, 1);
      sum = sum_with(FetchedRow{width > kLongest ? next + kAhead : ahead(1 + rows_ahead)});
    }
    ++turn;
    maximum = of_next.value();
    return sum;
  }
};

}  // namespace fornax::numeric::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#undef FORNAX_NUMERIC_PER_TARGET
#include "kernels/numeric/namespace.h"
#endif
