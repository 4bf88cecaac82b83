// What this machine can do at most: work that is nothing but fused multiply-adds or nothing but
// traffic through memory. Benchmarks state their results as shares of these.
#pragma once
#include <cstdint>
#include <functional>

namespace fornax::bench {

/// About `flops` FLOP of independent fma in registers on `threads` threads with the active
/// instruction set; 2 FLOP per fma.
std::function<void()> fma_work(int threads, double flops);

/// Reads and writes `bytes` bytes in all, as STREAM counts them (McCalpin 1995): a copy or an
/// update in place, on one thread or on `threads`, whichever is the fastest when this is called. A
/// copy may move half as much again as it is counted for, since caches fetch a line before it is
/// written.
std::function<void()> traffic_work(int threads, std::int64_t bytes);

/// The least of `repeats` times of `work`, in seconds.
double best_seconds(int repeats, const std::function<void()>& work);

/// GFLOP/s of fma_work, best of `repeats` runs of about a millisecond.
double fma_gflops(int threads, int repeats);

}  // namespace fornax::bench
