// The packed matrix product against the plain loops that define its bits, by memcmp.
#include <mutex>

#include "tests/kernels/gemm_cases.h"

namespace fornax::host {
namespace {

TEST_F(GemmTest, MachineHasAForm) { EXPECT_FALSE(isas_.empty()); }

TEST_F(GemmTest, RaggedShapes) {
  std::mt19937 engine(7);
  std::uniform_int_distribution<std::int64_t> extent(1, 130), gap(0, 3);
  for (int i = 0; i < 120; ++i) {
    check_transpositions(
        {.M = extent(engine), .N = extent(engine), .K = extent(engine), .gap = gap(engine)},
        {1, 3});
  }
}

TEST_F(GemmTest, EveryTileHeightAndEdge) {
  for (std::int64_t M = 1; M <= 30; ++M) {
    for (const std::int64_t N : {1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 65}) {
      check_transpositions({.M = M, .N = N, .K = 37}, {1});
    }
  }
}

TEST_F(GemmTest, SeveralBlocksOfEveryKind) {
  check_transpositions({.M = 230, .N = 70, .K = 1001}, {1, 2, 3, 7});  // one block of rows
  check_transpositions({.M = 901, .N = 45, .K = 130}, {1, 2, 7});      // narrow
  check_transpositions({.M = 1500, .N = 10, .K = 129}, {2});
  check_transpositions({.M = 230, .N = 70, .K = 1401}, {1, 2});      // a chain in two pieces
  check_transpositions({.M = 423, .N = 1030, .K = 650}, {1, 2, 7});  // blocks of both operands
  check_transpositions({.M = 257, .N = 150, .K = 1200}, {1, 2, 7});  // all of a in pieces of k
  check_transpositions({.M = 200, .N = 1030, .K = 1300}, {1, 2});    // blocks in all directions
  check_transpositions({.M = 1, .N = 517, .K = 1033}, {1, 2, 7});
  check_transpositions({.M = 517, .N = 1, .K = 1033}, {1, 3});
}

TEST_F(GemmTest, PartsOfManyUnits) {
  check_transpositions({.M = 2200, .N = 48, .K = 64}, {1, 2, 3});          // rows; b stays packed
  check_transpositions({.M = 150, .N = 2001, .K = 64, .gap = 1}, {2, 3});  // columns; a stays
  check_transpositions({.M = 700, .N = 900, .K = 40}, {7});                // several rows of units
  check_transpositions({.M = 2600, .N = 200, .K = 300}, {2});  // each packs b, or a, again
  check_transpositions({.M = 300, .N = 2300, .K = 300}, {2});
  check_transpositions({.M = 1300, .N = 130, .K = 1400}, {2});  // pieces of k
}

TEST_F(GemmTest, SumsInChunks) {
  for (const std::int64_t chunk : {1, 7, 64, 129, 1000}) {
    check_transpositions({.M = 33, .N = 45, .K = 129, .sum_chunk = chunk}, {1, 3});
  }
  for (const std::int64_t K : {511, 512, 513, 5000}) {
    check_transpositions({.M = 20, .N = 33, .K = K, .sum_chunk = gemm_sum_chunk}, {1, 2, 3, 7});
    check_transpositions({.M = 3, .N = 5, .K = K, .sum_chunk = gemm_sum_chunk}, {1, 2});
  }
  check_transpositions({.M = 150, .N = 203, .K = 1300, .sum_chunk = gemm_sum_chunk}, {1, 2, 7});
  check_transpositions({.M = 700, .N = 203, .K = 1300, .sum_chunk = gemm_sum_chunk}, {1, 2});
}

TEST_F(GemmTest, ChunksOfManyWaves) {
  check_transpositions({.M = 90, .N = 91, .K = 18'000, .sum_chunk = 256, .gap = 1}, {3, 7});
}

TEST_F(GemmTest, OneChainIsNotASumOfChunks) {
  Case s{.M = 8, .N = 16, .K = 2000};
  const Operands o = random_operands(s, 3);
  std::vector<float> chain = outputs(s), chunks = outputs(s);
  run_watched(problem(s, o, chain.data()), 1);
  s.sum_chunk = gemm_sum_chunk;
  run_watched(problem(s, o, chunks.data()), 1);
  EXPECT_FALSE(same_bits(chain, chunks));
}

TEST_F(GemmTest, EmptyExtents) {
  check_transpositions({.M = 3, .N = 4, .K = 0}, {1});
  check_transpositions({.M = 30, .N = 40, .K = 0, .sum_chunk = 8}, {2});
  check_transpositions({.M = 0, .N = 4, .K = 5}, {2});
  check_transpositions({.M = 4, .N = 0, .K = 5}, {2});
}

TEST_F(GemmTest, NeitherStrideIsOne) {
  const Case s{.M = 37, .N = 41, .K = 29};
  const Operands o = random_operands({.M = 2 * 37, .N = 2 * 41, .K = 2 * 29}, 5);
  std::vector<float> expected = outputs(s);
  Gemm g = problem(s, o, expected.data());
  g.a.row_stride = 2 * s.K, g.a.column_stride = 2;
  g.b.row_stride = 2, g.b.column_stride = 2 * s.N;
  naive(g);
  for (const Isa isa : isas_) {
    use_isa(isa);
    std::vector<float> c = outputs(s);
    g.c = c.data();
    run_watched(g, 2);
    EXPECT_TRUE(same_bits(c, expected)) << name(isa);
  }
}

TEST_F(GemmTest, SpecialValues) {
  using Limits = std::numeric_limits<float>;
  const float special[] = {Limits::quiet_NaN(),
                           Limits::infinity(),
                           -Limits::infinity(),
                           0.0f,
                           -0.0f,
                           Limits::denorm_min(),
                           -3 * Limits::denorm_min(),
                           1e-39f,
                           Limits::max(),
                           Limits::min(),
                           1e-20f,
                           -1e20f};
  for (const std::int64_t M : {5, 40, 900}) {
    for (const std::int64_t chunk : {0, 16}) {
      const Case s{.M = M, .N = 43, .K = 61, .b_transposed = M == 40, .sum_chunk = chunk};
      Operands o = random_operands(s, 11);
      std::mt19937 engine(13);
      const auto disturb = [&](float& x) {
        if (engine() % 40 == 0) x = special[engine() % std::size(special)];
        if (engine() % 8 == 0) x *= 1e-38f;
      };
      std::for_each(o.a.begin(), o.a.end(), disturb);
      std::for_each(o.b.begin(), o.b.end(), disturb);
      check(s, o, {1, 2});
    }
  }
}

struct Counted {
  std::mutex mutex;
  std::vector<int> calls;
  const float* c;
  std::int64_t N, c_stride;
};

void count_and_double(const void* context, float* block, std::int64_t stride,
                      const GemmBlock& area) {
  auto& counted = *static_cast<Counted*>(const_cast<void*>(context));
  const std::lock_guard lock(counted.mutex);
  EXPECT_EQ(block, counted.c + area.row * counted.c_stride + area.column);
  EXPECT_EQ(stride, counted.c_stride);
  for (std::int64_t m = 0; m < area.rows; ++m) {
    for (std::int64_t n = 0; n < area.columns; ++n) {
      ++counted.calls[static_cast<std::size_t>((area.row + m) * counted.N + area.column + n)];
      block[m * stride + n] = 2.0f * block[m * stride + n] + 1.0f;
    }
  }
}

TEST_F(GemmTest, EpilogueSeesEveryFinishedOutputOnce) {
  const Case cases[] = {{3, 5, 3},
                        {1, 100, 900},
                        {70, 90, 0},
                        {2, 2100, 70},
                        {4, 2100, 70, false, true, 0, 1},
                        {230, 70, 1001},
                        {901, 45, 130},
                        {1500, 10, 129},
                        {2200, 48, 64},
                        {150, 2001, 64},
                        {423, 1030, 650},
                        {257, 300, 2100},
                        {64, 301, 70, false, false, 0, 1},
                        {128, 230, 2300},
                        {20, 33, 5000, true, true, 512},
                        {90, 91, 18'000, true, true, 256},
                        {77, 590, 4, true, true, 512, 1},
                        {700, 203, 1300, true, true, 512, 2}};
  for (const Case& s : cases) {
    const Operands o = random_operands(s, 17);
    std::vector<float> expected = outputs(s);
    naive(problem(s, o, expected.data()));
    for (float& x : expected)
      if ((&x - expected.data()) % (s.N + s.gap) < s.N) x = 2.0f * x + 1.0f;
    for (const Isa isa : isas_) {
      use_isa(isa);
      for (const int threads : {1, 2, 7}) {
        std::vector<float> c = outputs(s);
        Gemm g = problem(s, o, c.data());
        Counted counted{
            {}, std::vector<int>(static_cast<std::size_t>(s.M * s.N)), c.data(), s.N, g.c_stride};
        g.epilogue = {count_and_double, &counted};
        run_watched(g, threads);
        ASSERT_TRUE(same_bits(c, expected)) << describe(s, isa, threads);
        ASSERT_TRUE(std::all_of(counted.calls.begin(), counted.calls.end(), [](int n) {
          return n == 1;
        })) << describe(s, isa, threads);
      }
    }
  }
}

}  // namespace
}  // namespace fornax::host
