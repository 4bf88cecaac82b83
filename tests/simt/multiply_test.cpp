// The arithmetic of mma.sync: cases whose bits follow from the published model by hand, and random
// ones against a second, slow form of the model in exact 64-bit integers.
#include "runtime/cuda/simt/multiply.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/device/types.cuh"

namespace fornax::simt_test {
namespace {

using simt::Architecture;
using simt::MultiplyOperands;

enum class Type { bf16, f16, tf32 };

std::uint32_t pattern(Type type, float value) {
  if (type == Type::bf16) return device::to_bf16(value).bits;
  if (type == Type::f16) return device::to_f16(value).bits;
  return device::to_tf32(value);
}
double value_of(Type type, std::uint32_t bits) {
  if (type == Type::bf16) return device::to_float(device::bf16{static_cast<std::uint16_t>(bits)});
  if (type == Type::f16) return device::to_float(device::f16{static_cast<std::uint16_t>(bits)});
  return std::bit_cast<float>(bits & 0xffffe000u);
}

void multiply(Type type, MultiplyOperands& operands, Architecture architecture) {
  if (type == Type::bf16) simt::multiply_bf16(operands, architecture);
  if (type == Type::f16) simt::multiply_f16(operands, architecture);
  if (type == Type::tf32) simt::multiply_tf32(operands, architecture);
}

// c + sum a[k] b[k] of element (0, 0); the others are zero.
float dot(Type type, const std::vector<float>& a, const std::vector<float>& b, float c,
          Architecture architecture = Architecture::sm_90) {
  MultiplyOperands operands{};
  for (std::size_t k = 0; k < a.size(); ++k) {
    operands.a[0][k] = pattern(type, a[k]);
    operands.b[k][0] = pattern(type, b[k]);
  }
  operands.c[0][0] = std::bit_cast<std::uint32_t>(c);
  multiply(type, operands, architecture);
  return std::bit_cast<float>(operands.c[0][0]);
}
std::uint32_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }

constexpr Type kTypes[] = {Type::bf16, Type::f16, Type::tf32};
constexpr float kInfinity = INFINITY;

TEST(Multiply, ExactSumsAreExact) {
  for (const Type type : kTypes) {
    EXPECT_EQ(dot(type, {1, 2, 3}, {4, 5, -6}, 0.5f), -3.5f);
    EXPECT_EQ(dot(type, {1, 1}, {1, -1}, 0.0f), 0.0f);
  }
}

TEST(Multiply, ZeroSumsArePlusZero) {
  for (const Type type : kTypes) {
    EXPECT_EQ(bits(dot(type, {}, {}, 0.0f)), 0u);
    EXPECT_EQ(bits(dot(type, {1, 1}, {1, -1}, -0.0f)), 0u);
  }
}

TEST(Multiply, AddendsBelowTheKeptBitsAreDropped) {
  // 1 + 2^-24 + 2^-24: each product is kept with 25 (sm_90) or 24 (sm_80) fraction bits.
  const float tiny = 0x1p-12f;
  EXPECT_EQ(dot(Type::bf16, {tiny, tiny}, {tiny, tiny}, 1.0f), 1.0f + 0x1p-23f);
  EXPECT_EQ(dot(Type::bf16, {tiny, tiny}, {tiny, tiny}, 1.0f, Architecture::sm_80),
            1.0f + 0x1p-23f);
  // 2^-25 four times: kept on sm_90, dropped on sm_80.
  const std::vector<float> a(4, 0x1p-12f), b(4, 0x1p-13f);
  EXPECT_EQ(dot(Type::bf16, a, b, 1.0f), 1.0f + 0x1p-23f);
  EXPECT_EQ(dot(Type::bf16, a, b, 1.0f, Architecture::sm_80), 1.0f);
  // 2^-26 sixteen times: dropped one by one on both.
  const std::vector<float> c(16, 0x1p-13f);
  EXPECT_EQ(dot(Type::bf16, c, c, 1.0f), 1.0f);
}

TEST(Multiply, SumsAreTruncatedTowardsZero) {
  EXPECT_EQ(dot(Type::bf16, {0x1.8p-12f}, {0x1p-12f}, 1.0f), 1.0f);
  EXPECT_EQ(dot(Type::bf16, {0x1.8p-12f}, {0x1p-12f}, -1.0f), -(1.0f - 0x1p-23f));
  EXPECT_EQ(dot(Type::bf16, {-0x1.8p-12f}, {0x1p-12f}, -1.0f), -1.0f);
}

TEST(Multiply, AmpereAddsHalvesInOrder) {
  // The large terms cancel across the halves: what the first half lost does not come back.
  std::vector<float> a(16, 0.0f), b(16, 1.0f);
  a[0] = 0x1p30f, a[1] = 1.0f, a[8] = -0x1p30f;
  EXPECT_EQ(dot(Type::bf16, a, b, 0.0f, Architecture::sm_80), 0.0f);
  a[1] = 0.0f, a[9] = 1.0f;
  EXPECT_EQ(dot(Type::bf16, a, b, 0.0f, Architecture::sm_80), 0.0f);
  a[8] = 0.0f, a[1] = -0x1p30f;  // cancels within the first half: the second is exact
  EXPECT_EQ(dot(Type::bf16, a, b, 0.0f, Architecture::sm_80), 1.0f);
  EXPECT_EQ(dot(Type::bf16, a, b, 0.0f, Architecture::sm_90), 0.0f);
}

TEST(Multiply, TfThirtyTwoOperandsLoseTheirLowBits) {
  MultiplyOperands operands{};
  operands.a[0][0] = bits(1.0f) | 0x1fffu;
  operands.b[0][0] = bits(1.0f);
  simt::multiply_tf32(operands, Architecture::sm_90);
  EXPECT_EQ(operands.c[0][0], bits(1.0f));
}

TEST(Multiply, SubnormalsAreKept) {
  EXPECT_EQ(dot(Type::f16, {0x1p-24f}, {1.0f}, 0.0f), 0x1p-24f);
  EXPECT_EQ(dot(Type::bf16, {0x1p-130f}, {1.0f}, 0.0f), 0x1p-130f);
  EXPECT_EQ(dot(Type::bf16, {1.0f}, {0.0f}, 0x1p-149f), 0x1p-149f);
  EXPECT_EQ(dot(Type::bf16, {0x1p-70f}, {0x1p-70f}, 0.0f), 0x1p-140f);
  // A zero counts as 2^-126, so terms below 2^-151 vanish beside it.
  EXPECT_EQ(dot(Type::bf16, {0x1p-80f}, {0x1p-80f}, 0.0f), 0.0f);
}

TEST(Multiply, InfinitiesAndNan) {
  for (const Type type : kTypes) {
    EXPECT_EQ(dot(type, {kInfinity}, {2.0f}, 1.0f), kInfinity);
    EXPECT_EQ(dot(type, {kInfinity}, {-2.0f}, 1.0f), -kInfinity);
    EXPECT_EQ(dot(type, {1.0f}, {1.0f}, -kInfinity), -kInfinity);
    EXPECT_EQ(bits(dot(type, {kInfinity}, {0.0f}, 1.0f)), 0x7fffffffu);
    EXPECT_EQ(bits(dot(type, {kInfinity, kInfinity}, {1.0f, -1.0f}, 1.0f)), 0x7fffffffu);
    EXPECT_EQ(bits(dot(type, {NAN}, {1.0f}, 1.0f)), 0x7fffffffu);
    EXPECT_EQ(bits(dot(type, {1.0f}, {1.0f}, NAN)), 0x7fffffffu);
  }
  EXPECT_EQ(dot(Type::bf16, {0x1p100f}, {0x1p100f}, 0.0f), kInfinity);
}

// The same model term by term in 64-bit integers, written from its definition.
struct Term {
  std::int64_t magnitude;  // value = magnitude 2^(exponent - 40)
  int exponent;
  bool negative;
};
// |value| < 4 2^exponent; exact: at most 22 significant bits follow the leading one.
Term term(double value, int exponent) {
  const double scaled = std::ldexp(std::fabs(value), 40 - exponent);
  return {static_cast<std::int64_t>(scaled), exponent, std::signbit(value)};
}
int operand_exponent(Type type, double value) {
  const int smallest = type == Type::f16 ? -14 : -126;
  return value == 0 ? smallest : std::max(std::ilogb(value), smallest);
}
float truncate(double sum) {
  const double magnitude = std::fabs(sum);
  float f = static_cast<float>(magnitude);
  if (std::isinf(f) && magnitude < 0x1p128) f = 0x1.fffffep127f;
  if (double{f} > magnitude) f = std::nextafter(f, 0.0f);
  return sum < 0 ? -f : f;
}
float slow_step(Type type, const std::vector<double>& a, const std::vector<double>& b, float c,
                int kept_bits) {
  std::vector<Term> terms{term(c, operand_exponent(Type::tf32, c))};
  for (std::size_t k = 0; k < a.size(); ++k) {
    const bool zero = a[k] == 0 || b[k] == 0;
    const int exponent = operand_exponent(type, a[k]) + operand_exponent(type, b[k]);
    terms.push_back(zero ? Term{0, -126, false} : term(a[k] * b[k], exponent));
  }
  int largest = -1000;
  for (const Term& t : terms) largest = std::max(largest, t.exponent);
  std::int64_t sum = 0;
  for (const Term& t : terms) {
    const int shift = std::min(largest - t.exponent + 40 - kept_bits, 63);
    const std::int64_t aligned = t.magnitude >> shift;
    sum += t.negative ? -aligned : aligned;
  }
  const auto exact = static_cast<double>(sum);
  return sum == 0 ? 0.0f : truncate(std::ldexp(exact, largest - kept_bits));
}

float slow(Type type, const MultiplyOperands& from, int element, Architecture architecture) {
  const int depth = type == Type::tf32 ? 8 : 16, m = element / 8, n = element % 8;
  const int step = architecture == Architecture::sm_80 ? depth / 2 : depth;
  float c = std::bit_cast<float>(from.c[m][n]);
  for (int k0 = 0; k0 < depth; k0 += step) {
    std::vector<double> a, b;
    for (int k = k0; k < k0 + step; ++k) {
      a.push_back(value_of(type, from.a[m][k]));
      b.push_back(value_of(type, from.b[k][n]));
    }
    c = slow_step(type, a, b, c, architecture == Architecture::sm_80 ? 24 : 25);
  }
  return c;
}

template <class Draw>
MultiplyOperands draw_operands(Type type, Draw draw) {
  const int depth = type == Type::tf32 ? 8 : 16;
  MultiplyOperands operands{};
  for (auto& row : operands.a)
    for (int k = 0; k < depth; ++k) row[k] = pattern(type, draw());
  for (int k = 0; k < depth; ++k)
    for (auto& element : operands.b[k]) element = pattern(type, draw());
  for (auto& row : operands.c)
    for (auto& element : row) element = bits(draw());
  return operands;
}

void check_random(Type type, Architecture architecture, float spread) {
  std::mt19937 random(static_cast<unsigned>(spread));
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<float> scale(-spread, spread);
  const auto draw = [&] { return normal(random) * std::exp2(scale(random)); };
  for (int round = 0; round < 100; ++round) {
    const MultiplyOperands operands = draw_operands(type, draw);
    MultiplyOperands result = operands;
    multiply(type, result, architecture);
    for (int i = 0; i < 128; ++i)
      ASSERT_EQ(result.c[i / 8][i % 8], bits(slow(type, operands, i, architecture))) << i;
  }
}

TEST(Multiply, AgreesWithTheSlowForm) {
  for (const Type type : kTypes)
    for (const auto architecture : {Architecture::sm_80, Architecture::sm_90})
      for (const float spread : {0.0f, 4.0f, 12.0f, 40.0f}) {
        if (type == Type::f16 && spread > 12) continue;
        check_random(type, architecture, spread);
      }
}

TEST(Multiply, Speed) {
  MultiplyOperands operands{};
  for (auto& row : operands.a) std::fill(std::begin(row), std::end(row), 0x3f80u);
  for (auto& row : operands.b) std::fill(std::begin(row), std::end(row), 0x3f80u);
  const auto begin = std::chrono::steady_clock::now();
  constexpr int kRounds = 20000;
  for (int i = 0; i < kRounds; ++i) simt::multiply_bf16(operands, Architecture::sm_90);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("mma.sync twin: %.3f GFLOP/s\n", 4096.0 * kRounds / seconds * 1e-9);
  EXPECT_EQ(operands.c[0][0], bits(16.0f * kRounds));
}

}  // namespace
}  // namespace fornax::simt_test
