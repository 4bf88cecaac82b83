// What this machine can do at most: fused multiply-adds and copied bytes per second. Benchmarks
// state their results as shares of these.
#pragma once
#include <cstdint>

namespace fornax::bench {

/// Best of `repeats` runs of independent fma in registers with the active instruction set, each
/// about a millisecond per thread; 2 FLOP per fma.
double fma_gflops(int threads, int repeats);

/// Best of `repeats` copies of `bytes` bytes; GB/s of bytes read plus bytes written, as STREAM
/// counts them (McCalpin 1995).
double copy_gbytes(int threads, std::int64_t bytes, int repeats);

}  // namespace fornax::bench
