// Products read nothing past the end of their operands, however threads share them: each operand
// ends before a page that nobody may read. Of too little space they say so.
#include <fornax/error.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "kernels/host/gemm.h"
#include "tests/kernels/before_a_hole.h"

namespace fornax::host {
namespace {

/// a is [M, K] seen transposed, as weight gradients see it; b is [N, K], or seen transposed too.
struct Shape3 {
  std::int64_t M, N, K;
  bool b_transposed;
};

std::vector<float> drawn(std::int64_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(static_cast<std::size_t>(count));
  for (float& x : numbers) x = normal(engine);
  return numbers;
}

void run(const Gemm& g, int threads) {
  const GemmBytes bytes = gemm_bytes(g, threads);
  std::vector<std::byte> workspace(static_cast<std::size_t>(bytes.workspace));
  std::vector<std::byte> own(static_cast<std::size_t>(bytes.thread * threads));
  gemm(g, {workspace, own}, threads);
}

std::vector<float> product(const Shape3& s, const float* a, const float* b, int threads) {
  std::vector<float> c(static_cast<std::size_t>(s.M * s.N));
  Gemm g;
  g.M = s.M, g.N = s.N, g.K = s.K;
  g.a = {a, 1, s.M};
  g.b = s.b_transposed ? GemmOperand{b, 1, s.N} : GemmOperand{b, s.K, 1};
  g.c = c.data(), g.c_stride = s.N;
  run(g, threads);
  return c;
}

TEST(GemmEdge, ReadsNothingPastAnOperand) {
  // Few rows: threads share columns, and a part of 100 may fill vectors where all of them do not.
  for (const std::int64_t N : {100, 108, 33, 96}) {
    for (const bool b_transposed : {true, false}) {
      const Shape3 s{20, N, 400, b_transposed};
      const std::vector<float> a = drawn(s.M * s.K, 23), b = drawn(s.N * s.K, 24);
      const BeforeAHole last_a(a), last_b(b);
      const std::vector<float> expected = product(s, a.data(), b.data(), 1);
      for (const int threads : {1, 2, 3, 7}) {
        const std::vector<float> c = product(s, last_a.data(), last_b.data(), threads);
        ASSERT_EQ(std::memcmp(c.data(), expected.data(), c.size() * sizeof(float)), 0)
            << N << ' ' << b_transposed << ' ' << threads;
      }
    }
  }
}

struct Taken {
  float* c;
  std::int64_t stride;
};

void take(const void* context, float* block, std::int64_t stride, const GemmBlock& at) {
  const auto& taken = *static_cast<const Taken*>(context);
  for (std::int64_t i = 0; i < at.rows; ++i) {
    float* to = taken.c + (at.row + i) * taken.stride + at.column;
    std::memcpy(to, block + i * stride, static_cast<std::size_t>(at.columns) * sizeof(float));
  }
}

/// a and b seen transposed; outputs that go to the epilogue alone.
std::vector<float> product_by_strips(const Shape3& s, const float* a, const float* b, int threads) {
  std::vector<float> c(static_cast<std::size_t>(s.M * s.N));
  const Taken taken{c.data(), s.N};
  Gemm g;
  g.M = s.M, g.N = s.N, g.K = s.K;
  g.a = {a, 1, s.M}, g.b = {b, 1, s.N};
  g.c_stride = s.N, g.sum_chunk = gemm_sum_chunk, g.keeps_outputs = false;
  g.epilogue = {take, &taken, {}};
  run(g, threads);
  return c;
}

TEST(GemmEdge, StripsReadNothingPastAnOperand) {
  for (const Shape3& s :
       {Shape3{61, 96, 20, true}, Shape3{28, 112, 128, true}, Shape3{30, 100, 20, true},
        Shape3{45, 1024, 9, true}, Shape3{15, 33, 200, true}, Shape3{17, 600, 512, true}}) {
    const std::vector<float> a = drawn(s.M * s.K, 29), b = drawn(s.N * s.K, 30);
    const BeforeAHole last_a(a), last_b(b);
    const std::vector<float> expected = product(s, a.data(), b.data(), 1);
    for (const int threads : {1, 2, 3, 7}) {
      const std::vector<float> c = product_by_strips(s, last_a.data(), last_b.data(), threads);
      ASSERT_EQ(std::memcmp(c.data(), expected.data(), c.size() * sizeof(float)), 0)
          << s.M << ' ' << s.N << ' ' << s.K << ' ' << threads;
    }
  }
}

TEST(GemmEdge, SumsOfSeveralChunksKeepTheirOutputs) {
  Gemm g;
  g.M = g.N = 20, g.K = gemm_sum_chunk + 1;
  g.a = g.b = {nullptr, 1, 20};
  g.sum_chunk = gemm_sum_chunk, g.keeps_outputs = false;
  EXPECT_THROW(gemm(g, {}, 1), Error);
}

void expect_refused(const Gemm& g, const GemmSpace& space, int threads) {
  try {
    gemm(g, space, threads);
    FAIL() << "space that is one byte short was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::internal);
    EXPECT_NE(std::string(error.what()).find("workspace"), std::string::npos);
  }
}

TEST(GemmEdge, RefusesTooLittleSpace) {
  for (const bool chunks : {false, true}) {
    Gemm g;
    g.M = chunks ? 8 : 40, g.N = 40, g.K = chunks ? 4096 : 40;
    g.a.column_stride = g.b.column_stride = 1;
    g.a.row_stride = g.b.row_stride = g.K, g.c_stride = g.N;
    g.sum_chunk = gemm_sum_chunk;
    for (const int threads : {1, 3}) {
      const GemmBytes bytes = gemm_bytes(g, threads);
      std::vector<std::byte> workspace(static_cast<std::size_t>(bytes.workspace));
      std::vector<std::byte> own(static_cast<std::size_t>(bytes.thread * threads));
      ASSERT_EQ(workspace.empty(), !chunks);
      ASSERT_FALSE(own.empty());
      expect_refused(g, {workspace, std::span(own).first(own.size() - 1)}, threads);
      if (chunks) expect_refused(g, {std::span(workspace).subspan(1), own}, threads);
    }
  }
}

}  // namespace
}  // namespace fornax::host
