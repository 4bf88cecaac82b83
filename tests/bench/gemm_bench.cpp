// The packed matrix product against oneDNN's sgemm (where it is installed) and this machine's
// ceilings: the best of interleaved repeats on random normal inputs.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "kernels/host/gemm.h"
#include "kernels/host/isa.h"
#include "kernels/host/parallel.h"
#include "tests/bench/arena_memory.h"
#include "tests/bench/ceilings.h"
#include "tests/bench/traffic.h"

#ifdef FORNAX_HAVE_DNNL
#include <dnnl.h>
#endif

namespace {
using namespace fornax::host;
using fornax::bench::Floats;
using fornax::bench::InArena;

struct BenchCase {
  const char* name;
  std::int64_t M, N, K;
  bool a_transposed, b_transposed;
  std::int64_t sum_chunk;
};

constexpr BenchCase cases[] = {
    {"square", 1024, 1024, 1024, false, false, 0},
    {"square", 2048, 2048, 2048, false, false, 0},
    {"square dgrad", 1024, 1024, 1024, false, true, 0},
    {"square wgrad", 1024, 1024, 1024, true, true, 512},
    {"gpt2 qkv", 1024, 2304, 768, false, false, 0},
    {"gpt2 projection", 1024, 768, 768, false, false, 0},
    {"gpt2 mlp up", 1024, 3072, 768, false, false, 0},
    {"gpt2 mlp down", 1024, 768, 3072, false, false, 0},
    {"gpt2 mlp up dgrad", 1024, 768, 3072, false, true, 0},
    {"gpt2 mlp up wgrad", 3072, 768, 1024, true, true, 512},
    {"gpt2 head", 256, 50257, 768, false, false, 0},
    {"mlp layer 1", 64, 512, 784, false, false, 0},
    {"mlp layer 2", 64, 512, 512, false, false, 0},
    {"mlp layer 3", 64, 10, 512, false, false, 0},
    {"mlp 2 dgrad", 64, 512, 512, false, true, 0},
    {"mlp 3 dgrad", 64, 512, 10, false, true, 0},
    {"mlp 1 wgrad", 512, 784, 64, true, true, 512},
    {"mlp 3 wgrad", 10, 512, 64, true, true, 512},
    {"wide", 256, 4096, 4096, false, false, 0},
    {"wide dgrad", 256, 4096, 4096, false, true, 0},
    {"wide wgrad", 4096, 4096, 256, true, true, 512},
    {"narrow", 65536, 32, 32, false, false, 0},
    {"narrow", 65536, 64, 64, false, false, 0},
    {"narrow", 65536, 128, 128, false, false, 0},
    {"narrow to 10", 65536, 10, 64, false, false, 0},
    {"narrow dgrad", 65536, 64, 64, false, true, 0},
    {"narrow wgrad", 32, 32, 65536, true, true, 512},
    {"narrow wgrad", 64, 64, 65536, true, true, 512},
    {"narrow wgrad", 128, 128, 65536, true, true, 512},
    {"one row", 1, 768, 768, false, false, 0},
    {"one row", 1, 3072, 768, false, false, 0},
    {"one row head", 1, 50257, 768, false, false, 0},
    {"one row dgrad", 1, 768, 3072, false, true, 0},
    {"four rows", 4, 3072, 768, false, false, 0},
    {"tiny", 3, 5, 3, false, false, 0},
    {"tiny iris", 16, 16, 4, false, false, 0},
    {"small", 16, 16, 16, false, false, 0},
    {"small", 32, 32, 32, false, false, 0},
};

struct Timer {
  std::vector<double> seconds;
  template <class Body>
  void time(std::int64_t calls, Body&& body) {
    // The other library's threads may still spin on the processors: they are left to go to sleep,
    // and a call that is not timed wakes those of this one.
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    body();
    const auto begin = std::chrono::steady_clock::now();
    for (std::int64_t i = 0; i < calls; ++i) body();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    seconds.push_back(taken.count() / static_cast<double>(calls));
  }
  double best() const { return *std::min_element(seconds.begin(), seconds.end()); }
};

Floats normal_values(std::int64_t count, std::uint32_t seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  Floats values(static_cast<std::size_t>(count));
  for (float& v : values) v = normal(engine);
  return values;
}

void call_dnnl([[maybe_unused]] const BenchCase& s, [[maybe_unused]] const Gemm& g) {
#ifdef FORNAX_HAVE_DNNL
  dnnl_sgemm(s.a_transposed ? 'T' : 'N', s.b_transposed ? 'N' : 'T', g.M, g.N, g.K, 1.0f, g.a.data,
             s.a_transposed ? g.M : g.K, g.b.data, s.b_transposed ? g.N : g.K, 0.0f, g.c, g.N);
#endif
}

void run_case(const BenchCase& s, double ceiling, double copy, int threads) {
  const Floats a = normal_values(s.M * s.K, 1), b = normal_values(s.N * s.K, 2);
  Floats c(static_cast<std::size_t>(s.M * s.N));
  Gemm g{};
  g.M = s.M, g.N = s.N, g.K = s.K;
  g.a = s.a_transposed ? GemmOperand{a.data(), 1, s.M} : GemmOperand{a.data(), s.K, 1};
  g.b = s.b_transposed ? GemmOperand{b.data(), 1, s.N} : GemmOperand{b.data(), s.K, 1};
  g.c = c.data(), g.c_stride = s.N, g.sum_chunk = s.sum_chunk;
  const GemmBytes space = gemm_bytes(g, threads);
  std::vector<std::byte, InArena<std::byte>> workspace(static_cast<std::size_t>(space.workspace));
  std::vector<std::byte, InArena<std::byte>> own(static_cast<std::size_t>(space.thread * threads));
  const double flop = 2.0 * static_cast<double>(s.M * s.N) * static_cast<double>(s.K);
  const double bytes = 4.0 * static_cast<double>(s.M * s.K + s.N * s.K + s.M * s.N);
  const double expected = 1e-9 * flop / (0.5 * ceiling) + 1e-7;
  const auto calls = static_cast<std::int64_t>(std::max(1.0, 2e-3 / expected));
  const int repeats =
      static_cast<int>(std::clamp(0.5 / (expected * static_cast<double>(calls)), 7.0, 41.0));
  Timer ours, other;
  for (int r = 0; r < repeats + 1; ++r) {
    ours.time(calls, [&] { gemm(g, {workspace, own}, threads); });
    other.time(calls, [&] { call_dnnl(s, g); });
    if (r == 0) ours.seconds.clear(), other.seconds.clear();
  }
  const double t = ours.best(), o = other.best();
  const double floor = std::max(1e-9 * flop / ceiling, 1e-9 * bytes / copy);
  std::printf("%-18s %6lld %6lld %6lld  %10.2f us %7.1f GFLOP/s %5.1f %% | %10.2f us  x%.2f\n",
              s.name, static_cast<long long>(s.M), static_cast<long long>(s.N),
              static_cast<long long>(s.K), 1e6 * t, 1e-9 * flop / t, 100 * floor / t, 1e6 * o,
              o / t);
}

}  // namespace

/// gemm_bench [threads] [name that a case contains]. For oneDNN set OMP_NUM_THREADS alike.
int main(int count, char** argument) {
  const int threads = count > 1 ? std::atoi(argument[1]) : 1;
  const std::string wanted = count > 2 ? argument[2] : "";
#ifdef FORNAX_HAVE_DNNL
  const char* omp = std::getenv("OMP_NUM_THREADS");
  if (omp == nullptr || std::atoi(omp) != threads) {
    std::fprintf(stderr, "set OMP_NUM_THREADS=%d, or oneDNN runs on other threads\n", threads);
    return 1;
  }
#endif
  const double ceiling = fornax::bench::fma_gflops(threads, 20);
  constexpr std::int64_t traffic = 128 << 20;
  const auto copies = fornax::bench::traffic_work(threads, {traffic / 2, traffic / 2});
  const double copy = 1e-9 * traffic / fornax::bench::best_seconds(7, copies.step);
  std::printf("isa %s, threads %d: ceiling %.1f GFLOP/s, copy %.1f GB/s\n", name(active_isa()),
              threads, ceiling, copy);
  std::printf(
      "case, M N K, ours, share of the floor (fma or bytes) | oneDNN, its time over ours\n");
  for (const BenchCase& s : cases) {
    if (std::string(s.name).find(wanted) != std::string::npos) run_case(s, ceiling, copy, threads);
  }
}
