// Products of random extents, strides, alignments, chunks and threads, some with zeros of both
// signs, subnormals, infinities and NaNs.
#include "tests/kernels/gemm_cases.h"

namespace fornax::host {
namespace {

class RandomProblem {
 public:
  explicit RandomProblem(unsigned seed) : random_(seed) {
    const bool is_long = below(8) == 0;
    s_ = {extent(), is_long ? 700 + below(900) : extent(), extent()};
    if (below(8) == 0) std::swap(s_.N, s_.K);
    s_.a_transposed = below(2), s_.b_transposed = below(2);
    s_.sum_chunk = below(3) ? 0 : below(2) ? gemm_sum_chunk : 1 + below(90);
    s_.gap = below(4) ? 0 : below(2) ? 1 + below(9) : 1024 - s_.K % 1024;
    row_unit_ = below(4) ? 1 : std::int64_t{1} << below(6);
    threads_ = static_cast<int>(1 + below(4));
    o_ = random_operands(s_, seed);
    if (below(4) == 0) add_odd_values();
  }
  const Case& extents() const { return s_; }
  int threads() const { return threads_; }

  /// Of this problem, with its outputs `past` floats behind what is aligned.
  std::vector<float> outputs_of(void (*product)(const Gemm&, int)) {
    const auto past = static_cast<std::size_t>(threads_);
    std::vector<float> c(past + outputs(s_).size(), untouched);
    Gemm g = problem(s_, o_, c.data() + past);
    g.row_unit = row_unit_;
    product(g, threads_);
    return c;
  }

 private:
  std::int64_t below(std::int64_t limit) {
    return static_cast<std::int64_t>(random_() % static_cast<unsigned>(limit));
  }
  std::int64_t extent() {
    switch (below(6)) {
      case 0:
      case 1: return 1 + below(4);
      case 5: return 1 + below(20);
      case 2: return 1 + below(70);
      case 3: return 16 * (1 + below(9)) + below(3) - 1;
      default: return 1 + below(160);
    }
  }
  void add_odd_values() {
    constexpr float inf = std::numeric_limits<float>::infinity();
    constexpr float values[] = {0.0f, -0.0f, 1e-42f, -3e-40f, inf, -inf, 3e38f, inf - inf};
    for (std::vector<float>* operand : {&o_.a, &o_.b})
      for (int i = 0; i < 9; ++i)
        (*operand)[static_cast<std::size_t>(below(std::ssize(*operand)))] = values[below(8)];
  }

  std::mt19937 random_;
  Case s_{};
  Operands o_;
  std::int64_t row_unit_;
  int threads_;
};

TEST_F(GemmTest, RandomProblems) {
  for (unsigned seed = 0; seed < 5000; ++seed) {
    RandomProblem random(seed);
    const auto expected = random.outputs_of([](const Gemm& g, int) { naive(g); });
    for (const Isa isa : isas_) {
      use_isa(isa);
      ASSERT_TRUE(same_bits(random.outputs_of(run_watched), expected))
          << "seed " << seed << ": " << describe(random.extents(), isa, random.threads());
    }
  }
}

/// Of add_band() or multiply_band(); what is written behind its end shows.
class BandSpace {
 public:
  BandSpace(std::int64_t N, std::int64_t K) : space_(band_workspace_bytes(N, K) + line) {}
  std::byte* begin() {
    std::byte* first = space_.span().data();
    return first + (line - reinterpret_cast<std::uintptr_t>(first) % line) % line;
  }
  bool intact() const { return space_.intact(); }

 private:
  static constexpr std::int64_t line = 64;
  WatchedSpace space_;
};

/// Random band operands, N and K or M and N of the products, and how many rows go by bands.
struct BandProblem {
  std::mt19937 random;
  std::int64_t outer, inner, rows;
  explicit BandProblem(unsigned seed) : random(seed) {
    do {
      outer = 1 + below(below(2) ? 1500 : 140), inner = 1 + below(below(2) ? 140 : 256);
    } while (!is_band_operand(outer, inner));
    rows = 1 + below(below(2) ? 512 : 130);
  }
  std::int64_t below(std::int64_t limit) {
    return static_cast<std::int64_t>(random() % static_cast<unsigned>(limit));
  }
  /// Of the next band, whose first row is `first`.
  std::int64_t count(std::int64_t first) {
    return std::min(rows - first, below(2) ? std::int64_t{128} : 1 + below(512));
  }
};

/// by_bands(problem, space) computes the case; on every instruction set.
template <class ByBands>
void check_bands(std::span<const Isa> isas, const BandProblem& p, const Case& s,
                 const ByBands& by_bands) {
  const Operands o = random_operands(s, 1);
  std::vector<float> expected = outputs(s);
  naive(problem(s, o, expected.data()));
  for (const Isa isa : isas) {
    use_isa(isa);
    BandSpace space(p.outer, p.inner);
    std::vector<float> c = outputs(s);
    by_bands(problem(s, o, c.data()), space.begin());
    ASSERT_TRUE(same_bits(c, expected)) << describe(s, isa, 1);
    ASSERT_TRUE(space.intact()) << describe(s, isa, 1);
  }
}

TEST_F(GemmTest, RandomSumsByBands) {
  for (unsigned seed = 0; seed < 250 && !HasFailure(); ++seed) {
    BandProblem p(seed);
    const Case s{
        .M = p.outer, .N = p.inner, .K = p.rows, .a_transposed = true, .b_transposed = true};
    check_bands(isas_, p, s, [&](Gemm g, std::byte* space) {
      for (std::int64_t k = 0; k < p.rows; k += g.K) {
        g.K = p.count(k), g.resumes = k > 0;
        add_band(g, space);
        g.a.data += g.K * g.a.column_stride, g.b.data += g.K * g.b.column_stride;
      }
    });
  }
}

TEST_F(GemmTest, RandomProductsByBands) {
  for (unsigned seed = 0; seed < 250 && !HasFailure(); ++seed) {
    BandProblem p(seed);
    const Case s{.M = p.rows, .N = p.outer, .K = p.inner, .b_transposed = seed % 2 == 1};
    check_bands(isas_, p, s, [&](Gemm g, std::byte* space) {
      for (std::int64_t m = 0; m < p.rows; m += g.M) {
        g.M = p.count(m);
        multiply_band(g, space, m > 0);
        g.a.data += g.M * g.a.row_stride, g.c += g.M * g.c_stride;
      }
    });
  }
}

}  // namespace
}  // namespace fornax::host
