// What this machine can do at most: work that is nothing but fused multiply-adds (traffic.h:
// nothing but bytes). Benchmarks state their results as shares of these.
#pragma once
#include <cstdint>
#include <functional>

namespace fornax::bench {

/// About `flops` FLOP of independent fma in registers on `threads` threads with the active
/// instruction set; 2 FLOP per fma.
std::function<void()> fma_work(int threads, double flops);

/// The least of `repeats` times of `work`, in seconds.
double best_seconds(int repeats, const std::function<void()>& work);

/// GFLOP/s of fma_work, best of `repeats` runs of about a millisecond.
double fma_gflops(int threads, int repeats);

}  // namespace fornax::bench
