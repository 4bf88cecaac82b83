// What this machine can do at most, as one line of JSON: tests/bench/run states floors from it.
#include <cstdio>
#include <cstdlib>

#include "kernels/host/isa.h"
#include "tests/bench/ceilings.h"

/// ceilings_bench THREADS BYTES...: fma rates on one and on THREADS threads, and the bandwidth of
/// copies that read and write BYTES in all.
int main(int count, char** argument) {
  if (count < 2 || std::atoi(argument[1]) < 1) {
    std::fprintf(stderr, "ceilings_bench: ceilings_bench THREADS BYTES..., THREADS >= 1\n");
    return 1;
  }
  const int threads = std::atoi(argument[1]);
  std::printf("{\"isa\": \"%s\", \"fma_gflops\": {\"1\": %.2f, \"%d\": %.2f}, \"copy_gbytes\": {",
              fornax::host::name(fornax::host::active_isa()), fornax::bench::fma_gflops(1, 40),
              threads, fornax::bench::fma_gflops(threads, 40));
  for (int i = 2; i < count; ++i) {
    const long long bytes = std::atoll(argument[i]);
    const int repeats = bytes < (32 << 20) ? 40 : 9;
    std::printf("%s\"%lld\": %.2f", i > 2 ? ", " : "", bytes,
                fornax::bench::copy_gbytes(threads, bytes / 2, repeats));
  }
  std::printf("}}\n");
}
