// What this machine can do at most, as one line of JSON: tests/bench/run states floors from it.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "kernels/host/isa.h"
#include "kernels/host/parallel.h"
#include "tests/bench/ceilings.h"

namespace {
using namespace fornax;

/// GB/s of an update in place of `bytes` bytes, which are read and written. A copy may move half as
/// much again as it is counted for, since caches fetch a line before it is written.
double update_gbytes(int threads, std::int64_t bytes, int repeats) {
  std::vector<float> values(static_cast<std::size_t>(bytes / 4), 1.0f);
  const auto count = static_cast<std::int64_t>(values.size());
  const std::int64_t grain = std::max<std::int64_t>(count / threads, 16);
  double best = 1e30;
  for (int r = 0; r < repeats; ++r) {
    const auto begin = std::chrono::steady_clock::now();
    host::parallel_for(count, grain, threads, [&](std::int64_t first, std::int64_t last) {
      float* v = values.data();
      for (std::int64_t i = first; i < last; ++i) v[i] = 1.0f - v[i];
    });
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    best = std::min(best, taken.count());
  }
  return 8e-9 * static_cast<double>(count) / best;
}

/// The best of copies and updates, on one thread and on all.
double traffic_gbytes(int threads, std::int64_t bytes) {
  const int repeats = bytes < (32 << 20) ? 40 : 15;
  double best = 0;
  for (const int some : {1, threads}) {
    best = std::max(best, bench::copy_gbytes(some, bytes / 2, repeats));
    best = std::max(best, update_gbytes(some, bytes, repeats));
  }
  return best;
}

}  // namespace

/// ceilings_bench THREADS BYTES...: fma rates on one and on THREADS threads, and the bandwidth of
/// memory for work on BYTES that are resident.
int main(int count, char** argument) {
  if (count < 2 || std::atoi(argument[1]) < 1) {
    std::fprintf(stderr, "ceilings_bench: ceilings_bench THREADS BYTES..., THREADS >= 1\n");
    return 1;
  }
  const int threads = std::atoi(argument[1]);
  std::printf("{\"isa\": \"%s\", \"fma_gflops\": {\"1\": %.2f", host::name(host::active_isa()),
              bench::fma_gflops(1, 40));
  if (threads > 1) std::printf(", \"%d\": %.2f", threads, bench::fma_gflops(threads, 40));
  std::printf("}, \"traffic_gbytes\": {");
  for (int i = 2; i < count; ++i)
    std::printf("%s\"%s\": %.2f", i > 2 ? ", " : "", argument[i],
                traffic_gbytes(threads, std::atoll(argument[i])));
  std::printf("}}\n");
}
