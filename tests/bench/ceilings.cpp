// Measured ceilings: fma in registers and copies through memory.
#include "tests/bench/ceilings.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

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
namespace {

template <class Body>
double best_seconds(int repeats, Body&& body) {
  double best = 1e30;
  for (int r = 0; r < repeats; ++r) {
    const auto begin = std::chrono::steady_clock::now();
    body();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    best = std::min(best, taken.count());
  }
  return best;
}

}  // namespace

double fma_gflops(int threads, int repeats) {
  constexpr std::int64_t steps = 400'000;
  const auto chains = FORNAX_DISPATCH(fma_chains);
  std::vector<double> flop(static_cast<std::size_t>(threads));
  const double seconds = best_seconds(repeats, [&] {
    host::parallel_for(threads, 1, threads, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; ++t) {
        float sink = 0.75f;
        flop[static_cast<std::size_t>(t)] = chains(steps, &sink);
        if (sink == 123.0f) flop[static_cast<std::size_t>(t)] = 0;
      }
    });
  });
  double total = 0;
  for (const double f : flop) total += f;
  return 1e-9 * total / seconds;
}

double copy_gbytes(int threads, std::int64_t bytes, int repeats) {
  const auto size = static_cast<std::size_t>(bytes);
  std::vector<char> from(size, 1), to(size, 2);
  const double seconds = best_seconds(repeats, [&] {
    const std::int64_t grain = std::max<std::int64_t>(bytes / threads / 64 * 64, 64);
    host::parallel_for(bytes, grain, threads, [&](std::int64_t begin, std::int64_t end) {
      std::memcpy(to.data() + begin, from.data() + begin, static_cast<std::size_t>(end - begin));
    });
    from[0] = to[size - 1];
  });
  return 2e-9 * static_cast<double>(bytes) / seconds;
}

}  // namespace fornax::bench
#endif
