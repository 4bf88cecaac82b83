// What this machine can do at most, as one line of JSON: the heading of tests/bench/run.
#include <cstdio>
#include <cstdlib>

#include "kernels/host/isa.h"
#include "kernels/host/past_caches.h"
#include "tests/bench/ceilings.h"
#include "tests/bench/traffic.h"

namespace {

using namespace fornax;

void print_fma(int threads) {
  std::printf("\"fma_gflops\": {\"1\": %.2f", bench::fma_gflops(1, 200));
  if (threads > 1) std::printf(", \"%d\": %.2f", threads, bench::fma_gflops(threads, 200));
  std::printf("}");
}

/// Rates by bytes in all, of which `read` and `written` are the parts.
void print_rates(const char* name, int threads, char** sizes, double read, double written) {
  std::printf(", \"%s\": {", name);
  for (char** size = sizes; *size != nullptr; ++size) {
    const double bytes = std::atof(*size);
    const auto work = bench::traffic_work(threads, {static_cast<std::int64_t>(read * bytes),
                                                    static_cast<std::int64_t>(written * bytes)});
    const double seconds = bench::best_seconds(20, work.step);
    std::printf("%s\"%s\": %.2f", size == sizes ? "" : ", ", *size, 1e-9 * bytes / seconds);
  }
  std::printf("}");
}

}  // namespace

/// ceilings_bench THREADS BYTES...: fma rates on one and on THREADS threads, and the bandwidth of
/// memory for work that reads half of BYTES and writes the other, reads all, writes all.
int main(int count, char** argument) {
  if (count < 2 || std::atoi(argument[1]) < 1) {
    std::fprintf(stderr, "ceilings_bench: ceilings_bench THREADS BYTES..., THREADS >= 1\n");
    return 1;
  }
  const int threads = std::atoi(argument[1]);
  std::printf("{\"isa\": \"%s\", \"copy_streams\": %d, ", host::name(host::active_isa()),
              static_cast<int>(host::kStreams));
  print_fma(threads);
  print_rates("traffic_gbytes", threads, argument + 2, 0.5, 0.5);
  print_rates("read_gbytes", threads, argument + 2, 1, 0);
  print_rates("write_gbytes", threads, argument + 2, 0, 1);
  std::printf("}\n");
}
