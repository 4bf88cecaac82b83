// f32 <-> bf16 and f16 against a search for the nearest value in double, scalar and vector.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/kernels/convert_test.cpp"
#include "hwy/foreach_target.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/vector.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace fornax::convert_test::HWY_NAMESPACE {
namespace num = numeric::HWY_NAMESPACE;
void narrow(const float* in, std::uint16_t* bf16, std::uint16_t* f16, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += 2 * num::kLanes) {
    const auto x = num::load(in + i, num::Pair<num::Vector>());
    num::store_halves(num::bf16_bits(x), bf16 + i, false);
    num::store_halves(num::f16_bits(x), f16 + i, false);
  }
}
void widen(const std::uint16_t* in, float* of_bf16, float* of_f16, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += num::kLanes) {
    num::store(num::from_bf16_bits(num::load_u16(in + i)), of_bf16 + i);
    num::store(num::from_f16_bits(num::load_u16(in + i)), of_f16 + i);
  }
}
}  // namespace fornax::convert_test::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

#include "tests/kernels/every_isa.h"

namespace fornax::convert_test {
namespace {

/// The value of a 16-bit pattern with `fraction` fraction bits: the formula of IEEE 754.
double value_of(std::uint32_t h, int fraction) {
  const int exponent_bits = 15 - fraction, bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = static_cast<int>((h & 0x7fff) >> fraction);
  const double significand = h & ((1u << fraction) - 1);
  const double sign = (h & 0x8000) != 0 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1)
    return significand != 0 ? std::nan("") : sign * std::numeric_limits<double>::infinity();
  if (exponent == 0) return sign * std::ldexp(significand, 1 - bias - fraction);
  return sign * std::ldexp(significand + (1 << fraction), exponent - bias - fraction);
}

/// Nearest pattern by comparison with its neighbours' midpoints; ties to the even pattern.
std::uint16_t nearest(float x, int fraction) {
  const std::uint32_t infinity = 0x7fffu >> fraction << fraction;
  if (std::isnan(x)) return static_cast<std::uint16_t>(infinity | 1u << (fraction - 1));
  const std::uint32_t sign = std::signbit(x) ? 0x8000 : 0;
  const double a = std::abs(static_cast<double>(x));
  std::uint32_t low = 0, high = infinity;  // value_of(low) <= a
  if (std::isinf(x)) return static_cast<std::uint16_t>(sign | infinity);
  while (high - low > 1) {
    const std::uint32_t middle = (low + high) / 2;
    (value_of(middle, fraction) <= a ? low : high) = middle;
  }
  const double below = value_of(low, fraction);
  const double above = high == infinity
                           ? 2 * below - value_of(low - 1, fraction)  // as if it went on
                           : value_of(high, fraction);
  const double middle = (below + above) / 2;
  const bool up = a > middle || (a == middle && low % 2 == 1);
  return static_cast<std::uint16_t>(sign | (up ? high : low));
}

std::vector<float> sample() {
  std::vector<float> x;
  for (std::uint64_t b = 0; b < std::uint64_t{1} << 32; b += 40961)
    x.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(b)));
  for (std::uint32_t h = 0; h < 0x10000; h += 7)  // f16 values, their midpoints, and beside these
    for (const int step : {-1, 0, 1}) {
      const auto b = std::bit_cast<std::int32_t>(static_cast<float>(value_of(h & 0xfbff, 10)));
      x.push_back(std::bit_cast<float>(b + 0x1000 + step));
      x.push_back(std::bit_cast<float>(static_cast<std::int32_t>(h << 16 | 0x8000) + step));
    }
  for (const float v : {65519.9f, 65520.0f, -65520.0f, 0x1p-24f, 0x1p-25f, 0x1.8p-25f, 0x1p-14f,
                        0x1.fffffep127f, 0x1.fefffep127f, 0x1.ffp127f, 0.0f, -0.0f})
    x.push_back(v);
  while (x.size() % 16 != 0) x.push_back(1.0f);
  return x;
}

TEST(Convert, NarrowsToTheNearestEven) {
  const IsaRestorer restore;
  const std::vector<float> x = sample();
  for (const float v : x) {
    ASSERT_EQ(numeric::to_bf16(v), nearest(v, 7)) << std::hexfloat << v;
    ASSERT_EQ(numeric::to_f16(v), nearest(v, 10)) << std::hexfloat << v;
  }
  for (const host::Isa isa : available_isas()) {
    host::use_isa(isa);
    std::vector<std::uint16_t> bf16(x.size()), f16(x.size());
    FORNAX_DISPATCH(narrow)(x.data(), bf16.data(), f16.data(), static_cast<std::int64_t>(x.size()));
    for (std::size_t i = 0; i < x.size(); ++i) {
      ASSERT_EQ(bf16[i], numeric::to_bf16(x[i])) << std::hexfloat << x[i] << host::name(isa);
      ASSERT_EQ(f16[i], numeric::to_f16(x[i])) << std::hexfloat << x[i] << host::name(isa);
    }
  }
}

TEST(Convert, WidensEveryPatternExactly) {
  const IsaRestorer restore;
  std::vector<std::uint16_t> patterns(0x10000);
  for (std::size_t h = 0; h < patterns.size(); ++h) patterns[h] = static_cast<std::uint16_t>(h);
  std::vector<float> of_bf16(patterns.size()), of_f16(patterns.size());
  for (const host::Isa isa : available_isas()) {
    host::use_isa(isa);
    FORNAX_DISPATCH(widen)(patterns.data(), of_bf16.data(), of_f16.data(), 0x10000);
    for (std::uint32_t h = 0; h < 0x10000; ++h) {
      const auto want_bf16 = static_cast<float>(value_of(h, 7));
      const auto want_f16 = static_cast<float>(value_of(h, 10));
      ASSERT_TRUE(same_bits(of_bf16[h], want_bf16)) << h;
      ASSERT_TRUE(same_bits(of_f16[h], want_f16)) << h;
      ASSERT_TRUE(same_bits(numeric::from_bf16(static_cast<std::uint16_t>(h)), want_bf16)) << h;
      ASSERT_TRUE(same_bits(numeric::from_f16(static_cast<std::uint16_t>(h)), want_f16)) << h;
    }
  }
}

TEST(Convert, NansAreCanonical) {
  for (const std::uint32_t nan : {0x7f800001u, 0x7fffffffu, 0xffc12345u}) {
    EXPECT_EQ(numeric::to_bf16(std::bit_cast<float>(nan)), 0x7fc0);
    EXPECT_EQ(numeric::to_f16(std::bit_cast<float>(nan)), 0x7e00);
  }
  EXPECT_EQ(std::bit_cast<std::uint32_t>(numeric::from_bf16(0xff81)), 0x7fc00000u);
  EXPECT_EQ(std::bit_cast<std::uint32_t>(numeric::from_f16(0xfc01)), 0x7fc00000u);
}

}  // namespace
}  // namespace fornax::convert_test
#endif
