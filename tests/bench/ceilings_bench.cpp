// What this machine can do at most, as one line of JSON: the heading of tests/bench/run.
#include <cstdio>
#include <cstdlib>

#include "kernels/host/isa.h"
#include "tests/bench/ceilings.h"

/// ceilings_bench THREADS BYTES...: fma rates on one and on THREADS threads, and the bandwidth of
/// memory for work that reads and writes BYTES in all.
int main(int count, char** argument) {
  using namespace fornax;
  if (count < 2 || std::atoi(argument[1]) < 1) {
    std::fprintf(stderr, "ceilings_bench: ceilings_bench THREADS BYTES..., THREADS >= 1\n");
    return 1;
  }
  const int threads = std::atoi(argument[1]);
  std::printf("{\"isa\": \"%s\", \"fma_gflops\": {\"1\": %.2f", host::name(host::active_isa()),
              bench::fma_gflops(1, 200));
  if (threads > 1) std::printf(", \"%d\": %.2f", threads, bench::fma_gflops(threads, 200));
  std::printf("}, \"traffic_gbytes\": {");
  for (int i = 2; i < count; ++i) {
    const long long bytes = std::atoll(argument[i]);
    const double seconds = bench::best_seconds(20, bench::traffic_work(threads, bytes));
    std::printf("%s\"%s\": %.2f", i > 2 ? ", " : "", argument[i],
                1e-9 * static_cast<double>(bytes) / seconds);
  }
  std::printf("}}\n");
}
