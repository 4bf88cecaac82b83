// Work at the ceiling of arithmetic: fma in registers.
#include "tests/bench/ceilings.h"

#include <algorithm>
#include <chrono>

// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/bench/ceilings.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/host/dispatch.h"
// clang-format on
#include "kernels/host/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace fornax::bench::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// `steps` fma in each of 12 independent chains of vectors: more than latency x units needs.
/// Returns the FLOP done; `sink` keeps the result alive.
double fma_chains(std::int64_t steps, float* sink) {
  constexpr int chains = 12;
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  V acc[chains];
#pragma GCC unroll 12
  for (int i = 0; i < chains; ++i) acc[i] = hn::Set(d, static_cast<float>(i) * *sink);
  const V x = hn::Set(d, *sink), y = hn::Set(d, 0.5f * *sink);
  for (std::int64_t s = 0; s < steps; ++s) {
#pragma GCC unroll 12
    for (int i = 0; i < chains; ++i) acc[i] = hn::MulAdd(acc[i], x, y);
  }
  V sum = acc[0];
#pragma GCC unroll 12
  for (int i = 1; i < chains; ++i) sum = hn::Add(sum, acc[i]);
  *sink = hn::GetLane(hn::SumOfLanes(d, sum));
  return 2.0 * chains * static_cast<double>(hn::Lanes(d)) * static_cast<double>(steps);
}

}  // namespace fornax::bench::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::bench {

double best_seconds(int repeats, const std::function<void()>& work) {
  double best = 1e30;
  for (int r = 0; r < repeats; ++r) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    best = std::min(best, taken.count());
  }
  return best;
}

std::function<void()> fma_work(int threads, double flops) {
  const auto chains = FORNAX_DISPATCH(fma_chains);
  float probe = 0.75f;
  const double flops_of_step = chains(1, &probe);
  const auto steps = static_cast<std::int64_t>(flops / threads / flops_of_step + 0.5);
  return [=] {
    host::parallel_for(threads, 1, threads, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; ++t) {
        volatile float sink = 0.75f;  // the work must not be left out
        float value = sink;
        chains(std::max<std::int64_t>(steps, 1), &value);
        sink = value;
      }
    });
  };
}

double fma_gflops(int threads, int repeats) {
  const double flops = 8e7 * threads;
  return 1e-9 * flops / best_seconds(repeats, fma_work(threads, flops));
}

}  // namespace fornax::bench
#endif
