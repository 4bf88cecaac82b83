// Work at the ceilings: fma in registers, copies and updates through memory.
#include "tests/bench/ceilings.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <vector>

// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/bench/ceilings.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/host/dispatch.h"
// clang-format on
#include "kernels/host/parallel.h"
#include "tests/bench/arena_memory.h"

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

void update(float* values, std::int64_t count) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto one = hn::Set(d, 1.0f);
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    hn::StoreU(hn::Sub(one, hn::LoadU(d, values + i)), d, values + i);
  for (; i < count; ++i) values[i] = 1.0f - values[i];
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

namespace {

/// body(begin, end) over `count` floats, a piece for each thread.
template <class Body>
void over_pieces(std::int64_t count, int threads, Body body) {
  const std::int64_t grain = std::max<std::int64_t>((count / threads + 15) / 16 * 16, 16);
  host::parallel_for(count, grain, threads, body);
}

std::function<void()> copies(const std::shared_ptr<Floats>& memory, std::int64_t count,
                             int threads) {
  return [=] {
    const float* from = memory->data();
    float* to = memory->data() + count / 2;
    over_pieces(count / 2, threads, [=](std::int64_t begin, std::int64_t end) {
      std::memcpy(to + begin, from + begin, sizeof(float) * static_cast<std::size_t>(end - begin));
    });
  };
}

/// Reads and writes each float: half as many carry as many bytes as a copy.
std::function<void()> updates(const std::shared_ptr<Floats>& memory, std::int64_t count,
                              int threads) {
  return [=] {
    over_pieces(count / 2, threads, [=](std::int64_t begin, std::int64_t end) {
      FORNAX_DISPATCH(update)(memory->data() + begin, end - begin);
    });
  };
}

}  // namespace

std::function<void()> traffic_work(int threads, std::int64_t bytes) {
  const std::int64_t count = std::max<std::int64_t>(bytes / 4, 32);
  const auto memory = std::make_shared<Floats>(static_cast<std::size_t>(count), 1.0f);
  std::function<void()> fastest;
  double least = 1e30;
  for (const int some : {1, threads}) {
    for (const auto& work : {copies(memory, count, some), updates(memory, count, some)}) {
      const double seconds = best_seconds(bytes < (32 << 20) ? 40 : 8, work);
      if (seconds < least) least = seconds, fastest = work;
    }
  }
  return fastest;
}

}  // namespace fornax::bench
#endif
