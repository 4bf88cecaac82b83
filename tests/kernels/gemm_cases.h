// Products of every shape against the plain loops that define their bits, by memcmp, on every
// instruction set of the machine.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/host/gemm.h"
#include "tests/kernels/every_isa.h"

namespace fornax::host {

inline constexpr std::byte canary{0xa5};
inline constexpr float untouched = -77.25f;

struct Case {
  std::int64_t M, N, K;
  bool a_transposed = false, b_transposed = false;
  std::int64_t sum_chunk = 0;
  std::int64_t gap = 0;  // between rows of every matrix
};

struct Operands {
  std::vector<float> a, b;
};

inline Operands random_operands(const Case& s, std::uint32_t seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  Operands o;
  const std::int64_t a_rows = s.a_transposed ? s.K : s.M, b_rows = s.b_transposed ? s.K : s.N;
  const std::int64_t a_columns = s.a_transposed ? s.M : s.K, b_columns = s.b_transposed ? s.N : s.K;
  o.a.resize(static_cast<std::size_t>(a_rows * (a_columns + s.gap)));
  o.b.resize(static_cast<std::size_t>(b_rows * (b_columns + s.gap)));
  for (float& v : o.a) v = normal(engine);
  for (float& v : o.b) v = normal(engine);
  return o;
}

inline Gemm problem(const Case& s, const Operands& o, float* c) {
  Gemm g{};
  g.M = s.M, g.N = s.N, g.K = s.K;
  g.a = s.a_transposed ? GemmOperand{o.a.data(), 1, s.M + s.gap}
                       : GemmOperand{o.a.data(), s.K + s.gap, 1};
  g.b = s.b_transposed ? GemmOperand{o.b.data(), 1, s.N + s.gap}
                       : GemmOperand{o.b.data(), s.K + s.gap, 1};
  g.c = c, g.c_stride = s.N + s.gap, g.sum_chunk = s.sum_chunk;
  return g;
}

/// The plain loops are not what a sanitizer watches; watched they would take most of a run.
#define FORNAX_UNWATCHED __attribute__((no_sanitize("address", "thread", "undefined")))

/// One chain of std::fma over k in order.
inline FORNAX_UNWATCHED float chain(const Gemm& g, std::int64_t m, std::int64_t n,
                                    std::int64_t first, std::int64_t last) {
  float acc = 0.0f;
  for (std::int64_t k = first; k < last; ++k) {
    acc = std::fma(g.a.data[m * g.a.row_stride + k * g.a.column_stride],
                   g.b.data[n * g.b.row_stride + k * g.b.column_stride], acc);
  }
  return acc;
}

/// The definition: chunk sums added in order.
inline FORNAX_UNWATCHED void naive(const Gemm& g) {
  const std::int64_t chunk = g.sum_chunk > 0 ? g.sum_chunk : std::max<std::int64_t>(g.K, 1);
  for (std::int64_t m = 0; m < g.M; ++m) {
    for (std::int64_t n = 0; n < g.N; ++n) {
      float total = 0.0f;
      for (std::int64_t k0 = 0; k0 < g.K; k0 += chunk) {
        const float acc = chain(g, m, n, k0, std::min(g.K, k0 + chunk));
        total = k0 == 0 ? acc : total + acc;
      }
      g.c[m * g.c_stride + n] = total;
    }
  }
}

/// A NaN's payload is not promised.
inline void one_nan(std::vector<float>& v) {
  for (float& x : v) {
    if (std::isnan(x)) x = std::numeric_limits<float>::quiet_NaN();
  }
}

inline bool same_bits(std::vector<float> x, std::vector<float> y) {
  one_nan(x), one_nan(y);
  return x.empty() || std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
}

inline std::vector<float> outputs(const Case& s) {
  return std::vector<float>(static_cast<std::size_t>(s.M * (s.N + s.gap)), untouched);
}

/// Scratch that begins unaligned and is watched on both sides.
class WatchedSpace {
 public:
  explicit WatchedSpace(std::int64_t bytes)
      : bytes_(static_cast<std::size_t>(bytes)), space_(bytes_ + 256 + 4, canary) {}
  std::span<std::byte> span() { return std::span(space_).subspan(4, bytes_); }
  bool intact() const {
    const auto is_canary = [](std::byte b) { return b == canary; };
    return std::all_of(space_.begin(), space_.begin() + 4, is_canary) &&
           std::all_of(space_.end() - 256, space_.end(), is_canary);
  }

 private:
  std::size_t bytes_;
  std::vector<std::byte> space_;
};

inline void run_watched(const Gemm& g, int threads) {
  const GemmBytes bytes = gemm_bytes(g, threads);
  WatchedSpace workspace(bytes.workspace), own(bytes.thread * threads);
  gemm(g, {workspace.span(), own.span()}, threads);
  EXPECT_TRUE(workspace.intact());
  EXPECT_TRUE(own.intact());
}

inline std::string describe(const Case& s, Isa isa, int threads) {
  return std::to_string(s.M) + " x " + std::to_string(s.N) + " x " + std::to_string(s.K) +
         (s.a_transposed ? " a^T" : "") + (s.b_transposed ? " b^T" : "") + " chunk " +
         std::to_string(s.sum_chunk) + " gap " + std::to_string(s.gap) + " isa " + name(isa) +
         " threads " + std::to_string(threads);
}

class GemmTest : public ::testing::Test {
 protected:
  void check(const Case& s, const Operands& o, std::initializer_list<int> threads) {
    std::vector<float> expected = outputs(s);
    naive(problem(s, o, expected.data()));
    for (const Isa isa : isas_) {
      use_isa(isa);
      for (const int t : threads) {
        std::vector<float> c = outputs(s);
        run_watched(problem(s, o, c.data()), t);
        ASSERT_TRUE(same_bits(c, expected)) << describe(s, isa, t);
      }
    }
  }

  void check_transpositions(Case s, std::initializer_list<int> threads) {
    for (int i = 0; i < 4; ++i) {
      s.a_transposed = i & 1, s.b_transposed = i & 2;
      check(s, random_operands(s, static_cast<std::uint32_t>(s.M + s.N + s.K)), threads);
    }
  }

  std::vector<Isa> isas_ = available_isas();

 private:
  IsaRestorer isa_;
};

}  // namespace fornax::host
