// Words read or copied beside independent operations in registers.
#include "tests/bench/beside_operations.h"

#include <utility>

// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/bench/beside_operations.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/host/dispatch.h"
// clang-format on
#include "hwy/cache_control.h"
#include "kernels/host/past_caches.h"

HWY_BEFORE_NAMESPACE();
namespace fornax::bench::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// How words are taken: read alone, in 4 streams or 8, or copied in 4, through the caches or past
/// them.
enum class Taken { read_of_4, read_of_8, copied, streamed };

/// Independent operations in registers. Each fma adds one to a lane of its chain, which counts
/// them: up to 2^24 of a chain.
template <bool quotient>
struct Operations {
  static constexpr int kChains = 12;
  using D = hn::ScalableTag<float>;
  using V = hn::Vec<D>;
  V chain[kChains], last[4], one, numerator;

  /// Of 1, which is read for each chain: a compiler that knew them to be alike would work on one.
  HWY_ATTR explicit Operations(const volatile float& seed)
      : one(hn::Set(D(), seed)), numerator(hn::Set(D(), 0.375f * seed)) {
#pragma GCC unroll 12
    for (V& some : chain) some = hn::Set(D(), seed - 1.0f);
#pragma GCC unroll 4
    for (V& some : last) some = hn::Set(D(), seed);
  }
  HWY_ATTR HWY_INLINE void fma(int c) {
    chain[c % kChains] = hn::MulAdd(chain[c % kChains], one, one);
  }
  /// Of the vector number `v` of some.
  template <int steps>
  HWY_ATTR HWY_INLINE void work(int v) {
    constexpr int count = kFmaOfStep * steps;
#pragma GCC unroll 68
    for (int i = 0; i < count; ++i) fma(count * v + i);
    if (quotient) last[v % 4] = hn::Div(numerator, last[v % 4]);
  }
  HWY_ATTR double count() const {
    HWY_ALIGN float lanes[hn::MaxLanes(D())];
    double sum = 0;
    for (const V& some : chain) {
      hn::Store(some, D(), lanes);
      for (const float lane : lanes) sum += lane;
    }
    return sum;
  }
  HWY_ATTR float quotients() const {
    return hn::GetLane(hn::Add(hn::Add(last[0], last[1]), hn::Add(last[2], last[3])));
  }
};

/// A line of each stream, beside `steps` steps of a vector. The streams are so many words apart.
template <int steps, bool quotient, Taken taken>
struct Lines {
  static constexpr std::int64_t kLine = 16, kAhead = 256;
  static constexpr bool kAlone = taken == Taken::read_of_4 || taken == Taken::read_of_8;
  static constexpr int kStreams = taken == Taken::read_of_8 ? 8 : 4;
  using D = hn::ScalableTag<std::uint32_t>;
  static constexpr int kLanes = static_cast<int>(hn::MaxLanes(D())), kVectors = kLine / kLanes;

  HWY_ATTR static HWY_INLINE void take(const std::uint32_t* from, std::uint32_t* to,
                                       std::int64_t apart, Operations<quotient>& operations,
                                       hn::Vec<D>& sum) {
    const D d;
#pragma GCC unroll 8
    for (int s = 0; s < kStreams; ++s) {
      hwy::Prefetch(from + s * apart + kAhead);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const std::int64_t at = s * apart + v * kLanes;
        const auto words = hn::LoadU(d, from + at);
        operations.template work<steps>(s * kVectors + v);
        if (taken == Taken::streamed) hn::Stream(words, d, to + at);
        if (taken == Taken::copied) hn::StoreU(words, d, to + at);
        if (kAlone) sum = hn::Add(sum, words);
      }
    }
  }
};

/// Takes the words beside operations. Each line has a whole number of steps; where fma do not
/// divide into steps some of every kFmaOfStep lines have one more. `to` begins a line where they
/// are streamed.
template <int steps, bool quotient, Taken taken>
HWY_ATTR BesideResult beside_operations(const BesideWork& work) {
  using Less = Lines<steps, quotient, taken>;
  using More = Lines<steps + 1, quotient, taken>;
  const std::int64_t each =
      host::lines_of_stream(work.count / Less::kLine * host::kStreams / Less::kStreams) *
      Less::kLine;
  const int more = work.fma % kFmaOfStep;
  volatile float seed = 1.0f;
  Operations<quotient> operations(seed);
  auto sum = hn::Zero(typename Less::D());
  for (std::int64_t i = 0; i < each; i += Less::kLine) {
    if (i / Less::kLine % kFmaOfStep < more)
      More::take(work.from + i, work.to + i, each, operations, sum);
    else
      Less::take(work.from + i, work.to + i, each, operations, sum);
  }
  std::uint32_t total = hn::GetLane(hn::SumOfLanes(typename Less::D(), sum));
  for (std::int64_t i = Less::kStreams * each; i < work.count; ++i) {
    if (Less::kAlone)
      total += work.from[i];
    else
      work.to[i] = work.from[i];
  }
  seed = operations.quotients();
  if (taken == Taken::streamed) hwy::FlushStream();
  return {total, operations.count()};
}

template <Taken taken, bool quotient, int... steps>
HWY_ATTR BesideResult with_steps(const BesideWork& work, std::integer_sequence<int, steps...>) {
  BesideResult result;
  ((work.fma / kFmaOfStep == steps ? void(result = beside_operations<steps, quotient, taken>(work))
                                   : void()),
   ...);
  return result;
}
template <Taken taken>
HWY_ATTR BesideResult work_beside(const BesideWork& work) {
  constexpr std::make_integer_sequence<int, kMostSteps + 1> steps{};
  return work.quotient ? with_steps<taken, true>(work, steps)
                       : with_steps<taken, false>(work, steps);
}
BesideResult read_of_4(const BesideWork& work) { return work_beside<Taken::read_of_4>(work); }
BesideResult read_of_8(const BesideWork& work) { return work_beside<Taken::read_of_8>(work); }
BesideResult copy_beside(const BesideWork& work) { return work_beside<Taken::copied>(work); }
BesideResult stream_beside(const BesideWork& work) { return work_beside<Taken::streamed>(work); }

}  // namespace fornax::bench::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::bench {

BesideResult read_of_4(const BesideWork& work) { return FORNAX_DISPATCH(read_of_4)(work); }
BesideResult read_of_8(const BesideWork& work) { return FORNAX_DISPATCH(read_of_8)(work); }
BesideResult copy_beside(const BesideWork& work) { return FORNAX_DISPATCH(copy_beside)(work); }
BesideResult stream_beside(const BesideWork& work) { return FORNAX_DISPATCH(stream_beside)(work); }

}  // namespace fornax::bench
#endif
