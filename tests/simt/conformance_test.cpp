// Every primitive's twin against what the PTX manual says, written here as plain loops.
#include "tests/simt/kernels/conformance.cuh"

#include <gtest/gtest.h>

#include <bit>
#include <vector>

#include "runtime/cuda/simt/machine.h"
#include "runtime/cuda/simt/multiply.h"
#include "tests/simt/problems.h"

namespace fornax::simt_test {
namespace {

using Words = std::vector<std::uint32_t>;

class Conformance : public testing::TestWithParam<unsigned> {
 protected:
  void SetUp() override {
    simt::options().seed = GetParam();
    std::mt19937 random(5);
    for (auto& word : in) word = static_cast<std::uint32_t>(random());
  }
  void TearDown() override { simt::options() = {}; }

  void launch(Primitive primitive) { run(primitive, queue(), {in.data(), out.data()}); }

  /// Word i counted from the warp of thread t.
  std::uint32_t of_warp(std::size_t t, std::size_t lane) const { return in[t / 32 * 32 + lane]; }
  std::uint32_t half(std::size_t row, std::size_t column) const {
    const std::uint32_t word = in[row * 4 + column / 2];
    return column % 2 ? word >> 16 : word & 0xffffu;
  }

  alignas(16) Words in = Words(1024), out = Words(1024, 0);
};

TEST_P(Conformance, Shuffles) {
  launch(Primitive::shuffles);
  for (std::size_t t = 0; t < 64; ++t) {
    const std::size_t lane = t % 32;
    EXPECT_EQ(out[t], of_warp(t, lane ^ 5));
    EXPECT_EQ(out[t + 64], of_warp(t, lane + 3 < 32 ? lane + 3 : lane));
    EXPECT_EQ(out[t + 128], of_warp(t, lane >= 9 ? lane - 9 : lane));
    EXPECT_EQ(out[t + 192], of_warp(t, (lane * 7 + 1) % 32));
    EXPECT_EQ(out[t + 256], lane % 2 ? 0u : of_warp(t, lane ^ 2));
  }
}

TEST_P(Conformance, Votes) {
  for (std::size_t t = 32; t < 64; ++t) in[t] |= 1u;
  launch(Primitive::votes);
  for (std::size_t t = 0; t < 64; ++t) {
    std::uint32_t votes = 0;
    for (std::size_t lane = 0; lane < 32; ++lane) votes |= (of_warp(t, lane) & 1u) << lane;
    EXPECT_EQ(out[t], votes);
    EXPECT_EQ(out[t + 64], votes != 0 ? 1u : 0u);
    EXPECT_EQ(out[t + 128], t >= 32 ? 1u : 0u);
    EXPECT_EQ(out[t + 192], t % 32 < 8 ? votes & 0xffu : 0u);
  }
}

TEST_P(Conformance, LoadMatrices) {
  launch(Primitive::load_matrices);
  for (std::size_t t = 0; t < 32; ++t)
    for (std::size_t q = 0; q < 4; ++q) {
      const std::size_t row = q * 8 + t / 4, pair = t % 4 * 2, from = q * 8 + pair;
      EXPECT_EQ(out[32 * q + t], half(row, pair) | half(row, pair + 1) << 16);
      EXPECT_EQ(out[128 + 32 * q + t], half(from, t / 4) | half(from + 1, t / 4) << 16);
      EXPECT_EQ(out[256 + 32 * q + t], q < 2 ? out[32 * q + t] : out[128 + 32 * (q - 2) + t]);
    }
}

// Small integers: every format and sum is exact, so only the layout is in question.
TEST_P(Conformance, MultiplyOfSixteenBitFormats) {
  const auto a = [](std::size_t m, std::size_t k) {
    return static_cast<float>((m * 3 + k * 5) % 7) - 3;
  };
  const auto b = [](std::size_t k, std::size_t n) {
    return static_cast<float>((k * 2 + n * 7) % 5) - 2;
  };
  for (const bool bf16 : {true, false}) {
    const auto pair = [&](float low, float high) {
      return bf16 ? device::pack(device::to_bf16(low), device::to_bf16(high))
                  : device::pack(device::to_f16(low), device::to_f16(high));
    };
    for (std::size_t t = 0; t < 32; ++t)
      for (std::size_t r = 0; r < 4; ++r) {
        const std::size_t m = t / 4 + r % 2 * 8, k = t % 4 * 2 + r / 2 * 8;
        in[32 * r + t] = pair(a(m, k), a(m, k + 1));
        const std::size_t depth = t % 4 * 2 + r % 2 * 8;
        if (r < 2) in[128 + 32 * r + t] = pair(b(depth, t / 4), b(depth + 1, t / 4));
        in[192 + 32 * r + t] = std::bit_cast<std::uint32_t>(static_cast<float>(t + r));
      }
    launch(bf16 ? Primitive::mma_bf16 : Primitive::mma_f16);
    for (std::size_t t = 0; t < 32; ++t)
      for (std::size_t r = 0; r < 4; ++r) {
        const std::size_t m = t / 4 + r / 2 * 8, n = t % 4 * 2 + r % 2;
        float sum = static_cast<float>(t + r);
        for (std::size_t k = 0; k < 16; ++k) sum += a(m, k) * b(k, n);
        EXPECT_EQ(std::bit_cast<float>(out[32 * r + t]), sum);
      }
  }
}

TEST_P(Conformance, MultiplyOfTf32) {
  const auto a = [](std::size_t m, std::size_t k) {
    return static_cast<float>((m * 3 + k * 5) % 7) - 3;
  };
  const auto b = [](std::size_t k, std::size_t n) {
    return static_cast<float>((k * 2 + n * 7) % 5) - 2;
  };
  for (std::size_t t = 0; t < 32; ++t)
    for (std::size_t r = 0; r < 4; ++r) {
      in[32 * r + t] = device::to_tf32(a(t / 4 + r % 2 * 8, t % 4 + r / 2 * 4));
      if (r < 2) in[128 + 32 * r + t] = device::to_tf32(b(t % 4 + r * 4, t / 4));
      in[192 + 32 * r + t] = std::bit_cast<std::uint32_t>(static_cast<float>(t + r));
    }
  launch(Primitive::mma_tf32);
  for (std::size_t t = 0; t < 32; ++t)
    for (std::size_t r = 0; r < 4; ++r) {
      const std::size_t m = t / 4 + r / 2 * 8, n = t % 4 * 2 + r % 2;
      float sum = static_cast<float>(t + r);
      for (std::size_t k = 0; k < 8; ++k) sum += a(m, k) * b(k, n);
      EXPECT_EQ(std::bit_cast<float>(out[32 * r + t]), sum);
    }
}

TEST_P(Conformance, CopiesFillWhatIsNotValidWithZero) {
  launch(Primitive::copy_async);
  for (std::size_t t = 0; t < 64; ++t) {
    const std::size_t from = 63 - t;
    for (std::size_t i = 0; i < 4; ++i)
      EXPECT_EQ(out[4 * t + i], i < from % 5 ? in[4 * from + i] : 0u);
    EXPECT_EQ(out[256 + t], in[2 * t] ^ in[2 * t + 1]);
    EXPECT_EQ(out[320 + t], t % 2 ? in[t] : 0u);
  }
}

TEST_P(Conformance, Atomics) {
  launch(Primitive::atomics);
  std::uint32_t sum = 0, largest = 0;
  int smallest = 0;
  std::uint64_t wide = 0;
  for (std::size_t t = 0; t < 64; ++t) {
    sum += in[t] & 255u;
    largest = std::max(largest, in[t]);
    smallest = std::min(smallest, static_cast<int>(in[t] >> 8) - 100);
    wide += std::uint64_t{in[t]} << 8;
  }
  EXPECT_EQ(out[0], sum);
  EXPECT_EQ(out[1], largest);
  EXPECT_EQ(static_cast<int>(out[2]), smallest);
  EXPECT_EQ(out[4] | std::uint64_t{out[5]} << 32, wide);
  EXPECT_EQ(out[6], 64u * 3u);
  EXPECT_EQ(out[7], 9u);
  EXPECT_EQ(out[8], 5u);
}

TEST_P(Conformance, Conversions) {
  const float values[] = {0.0f,     -0.0f,    1.0f,         65504.0f,   65519.9f,  65520.0f,
                          INFINITY, NAN,      0x1.ffcp-15f, 0x1p-24f,   0x1p-25f,  0x1.8p-25f,
                          1e-40f,   -3.4e38f, 0x1.002p0f,   0x1.006p0f, 0x1.01p0f, 0x1.03p0f};
  const std::uint32_t f16[] = {0,      0x8000, 0x3c00,     0x7bff, 0x7bff, 0x7c00,
                               0x7c00, 0x7fff, 0x03ff + 1, 0x0001, 0x0000, 0x0001,
                               0,      0xfc00, 0x3c00,     0x3c02, 0x3c04, 0x3c0c};
  for (std::size_t i = 0; i < std::size(values); ++i)
    in[i] = std::bit_cast<std::uint32_t>(values[i]);
  in[64] = 0x0001, in[65] = 0x7bff, in[66] = 0xfc00;
  launch(Primitive::conversions);
  for (std::size_t i = 0; i < std::size(values); ++i) EXPECT_EQ(out[i + 64], f16[i]) << values[i];
  EXPECT_EQ(out[7], 0x7fffu);
  EXPECT_EQ(out[16], 0x3f80u);  // a tie goes to the even neighbour
  EXPECT_EQ(out[17], 0x3f82u);
  EXPECT_EQ(out[14 + 128], 0x3f802000u);  // a tie goes away from zero
  EXPECT_EQ(out[192], std::bit_cast<std::uint32_t>(0x1p-24f));
  EXPECT_EQ(out[193], std::bit_cast<std::uint32_t>(65504.0f));
  EXPECT_EQ(out[194], 0xff800000u);
  EXPECT_EQ(out[257], 0x7bff0000u);
}

TEST_P(Conformance, NamedBarrier) {
  launch(Primitive::named_barrier);
  for (std::size_t t = 0; t < 32; ++t) EXPECT_EQ(out[t], in[63 - t]);
}

INSTANTIATE_TEST_SUITE_P(Simt, Conformance, testing::Values(0u, 1u, 6u));

}  // namespace
}  // namespace fornax::simt_test
