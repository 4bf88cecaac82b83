// Scalar functions: error in ulp against double, and the same bits in the scalar and every vector
// form.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/kernels/numeric_test.cpp"
#include "hwy/foreach_target.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/vector.h"
// clang-format on

// name, bound of the error of every float, its unit: `ulp` of the exact value, `coarse_ulp`
// (never finer than 2^-142), or `absolute` (relative above 1), hash of a
// sample's bits, the same from every compiler, option and processor.
#ifndef FORNAX_NUMERIC_TEST_FUNCTIONS
#define FORNAX_NUMERIC_TEST_FUNCTIONS(X)                         \
  X(exp, 1.03, ulp, 0x2b9302b944889412)                          \
  X(log, 0.90, ulp, 0x3337060523a308b7)                          \
  X(tanh, 1.35, ulp, 0x6de1a626d733821f)                         \
  X(erf, 1.11, ulp, 0xa2840fff602bbfc9)                          \
  X(sigmoid, 2.5, ulp, 0xe9ed4db7d396033b)                       \
  X(rsqrt, 1.5, ulp, 0x08c356d015b159bd)                         \
  X(sin, 2.0, ulp, 0x6c64ca18b8969fb4)                           \
  X(cos, 2.0, ulp, 0x70b5726a2c23a32b)                           \
  X(relu, 0.0, ulp, 0x75f4f75e5d9d6a2b)                          \
  X(silu, 4.0, coarse_ulp, 0x433f4608de7820fc)                   \
  X(gelu_erf, 7.0, coarse_ulp, 0xb1651ce39ef3f028)               \
  X(gelu_tanh, 3e-7, absolute, 0x918ec52fadb7e4bc)               \
  X(silu_gradient, 5e-7, absolute, 0x89df110cb47407d7)           \
  X(gelu_erf_gradient, 5e-7, absolute, 0x80e73c1985a44a98)       \
  X(gelu_tanh_gradient, 5e-7, absolute, 0x06267bdb4e255eb4)      \
  X(sigmoid_gradient_from_output, 1.51, ulp, 0xc791328a97cbcb54) \
  X(tanh_gradient_from_output, 2.0, ulp, 0xbbbe998ec83034b6)
#endif

HWY_BEFORE_NAMESPACE();
namespace fornax::numeric_test::HWY_NAMESPACE {
namespace num = numeric::HWY_NAMESPACE;
#define FORNAX_NUMERIC_TEST_MAP(function, bound, unit, hash)                         \
  void vector_##function(const float* in, float* out, std::int64_t count) {          \
    num::map(in, out, count, [](auto x) FORNAX_LAMBDA { return num::function(x); }); \
  }
FORNAX_NUMERIC_TEST_FUNCTIONS(FORNAX_NUMERIC_TEST_MAP)
#undef FORNAX_NUMERIC_TEST_MAP

/// Short ways for part of the numbers.
void vector_exp_below(const float* in, float* out, std::int64_t count) {
  num::map(in, out, count, [](auto x) FORNAX_LAMBDA { return num::exp_below(x); });
}
void vector_log_to_2(const float* in, float* out, std::int64_t count) {
  num::map(in, out, count, [](auto x) FORNAX_LAMBDA { return num::log_to_2(x); });
}

void extremes(const float* a, const float* b, float* larger, float* smaller, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += num::kLanes) {
    num::store(num::max(num::load(a + i), num::load(b + i)), larger + i);
    num::store(num::min(num::load(a + i), num::load(b + i)), smaller + i);
  }
}
void multiply_add(const float* a, const float* b, const float* c, float* out, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += num::kLanes)
    num::store(num::load(a + i) * num::load(b + i) + num::load(c + i), out + i);
}
}  // namespace fornax::numeric_test::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tests/kernels/every_isa.h"

namespace fornax::numeric_test {
namespace {

enum class Unit { ulp, coarse_ulp, absolute };

struct Function {
  const char* name;
  double bound;
  Unit unit;
  std::uint64_t sample_hash;
  void (*scalar)(const float*, float*, std::int64_t);
  void (*vector)(const float*, float*, std::int64_t);
  double (*judge)(double);
};

#define FORNAX_NUMERIC_TEST_ROW(function, bound, unit, hash)                             \
  Function{#function,                                                                    \
           bound,                                                                        \
           Unit::unit,                                                                   \
           hash##ull,                                                                    \
           [](const float* in, float* out, std::int64_t count) {                         \
             for (std::int64_t i = 0; i < count; ++i) out[i] = numeric::function(in[i]); \
           },                                                                            \
           [](const float* in, float* out, std::int64_t count) {                         \
             FORNAX_DISPATCH(vector_##function)(in, out, count);                         \
           },                                                                            \
           [](double x) { return numeric::function(x); }},
const Function kFunctions[] = {FORNAX_NUMERIC_TEST_FUNCTIONS(FORNAX_NUMERIC_TEST_ROW)};
#undef FORNAX_NUMERIC_TEST_ROW

/// In units of the last place of the exact value as a float (2^-149 among the subnormals).
double ulp_error(float value, double exact, int least_exponent = -126) {
  const double wrong = std::numeric_limits<double>::infinity();
  if (std::isnan(value) || std::isnan(exact))
    return std::isnan(value) && std::isnan(exact) ? 0 : wrong;
  if (static_cast<float>(exact) == value && std::isinf(value)) return 0;
  if (std::isinf(value) || std::isinf(exact)) return wrong;
  const auto exponent = static_cast<int>(std::bit_cast<std::int64_t>(exact) >> 52 & 0x7ff) - 1023;
  const std::int64_t scale = 23 - std::max(exponent, least_exponent);  // 2^scale ulps make up 1
  return std::abs(value - exact) * std::bit_cast<double>((scale + 1023) << 52);
}

double error_of(const Function& f, float value, double exact) {
  if (f.unit == Unit::coarse_ulp) return ulp_error(value, exact, -119);
  if (f.unit == Unit::ulp || !std::isfinite(exact) || !std::isfinite(value))
    return ulp_error(value, exact);
  return std::abs(value - exact) / std::max(1.0, std::abs(exact));
}

struct Worst {
  double error = 0;
  float at = 0;
  std::int64_t different_bits = 0;
  float different_at = 0;
  std::uint64_t hash = 0;
};

void compare_forms(const Function& f, const std::vector<float>& in,
                   const std::vector<float>& scalar, std::int64_t count, Worst& worst) {
  std::vector<float> vector(in.size());
  for (const host::Isa isa : available_isas()) {
    host::use_isa(isa);
    f.vector(in.data(), vector.data(), count);
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
      if (!same_bits(scalar[i], vector[i])) ++worst.different_bits, worst.different_at = in[i];
  }
}

/// Every stride-th float of all 2^32.
Worst survey(const Function& f, std::uint64_t stride) {
  constexpr std::int64_t block = 1 << 14;
  constexpr std::uint64_t floats = std::uint64_t{1} << 32;
  std::vector<float> in(block), scalar(block);
  Worst worst;
  for (std::uint64_t next = 0; next < floats;) {
    std::int64_t n = 0;
    for (; n < block && next < floats; ++n, next += stride)
      in[static_cast<std::size_t>(n)] = std::bit_cast<float>(static_cast<std::uint32_t>(next));
    f.scalar(in.data(), scalar.data(), n);
    compare_forms(f, in, scalar, n, worst);
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
      worst.hash = (worst.hash ^ canonical_bits(scalar[i])) * 0x9e3779b97f4a7c15ull;
      const double error = error_of(f, scalar[i], f.judge(in[i]));
      if (error > worst.error) worst.error = error, worst.at = in[i];
    }
  }
  return worst;
}

class EveryFunction : public testing::TestWithParam<Function> {
 protected:
  Worst check(std::uint64_t stride) {
    const IsaRestorer restore;
    const Function& f = GetParam();
    const Worst worst = survey(f, stride);
    EXPECT_LE(worst.error, f.bound) << f.name << " at " << std::hexfloat << worst.at;
    EXPECT_EQ(worst.different_bits, 0)
        << f.name << ": scalar and vector differ, last at " << std::hexfloat << worst.different_at;
    std::printf("%-30s worst %.4g at %a, hash %016llx\n", f.name, worst.error,
                static_cast<double>(worst.at), static_cast<unsigned long long>(worst.hash));
    return worst;
  }
};

TEST_P(EveryFunction, SampleStaysWithinItsBoundAndHasOneSetOfBits) {
  EXPECT_EQ(check(16411).hash, GetParam().sample_hash) << "bits differ from those of other builds";
}

const float kInfinity = std::numeric_limits<float>::infinity();
const float kNan = std::numeric_limits<float>::quiet_NaN();
const std::vector<float> kBeside = {0.0f,
                                    -0.0f,
                                    0x1p-149f,
                                    0x1.fffffcp-127f,
                                    0x1p-126f,
                                    79.99f,
                                    80.0f,
                                    80.01f,
                                    -80.0f,
                                    -80.01f,
                                    89.0f,
                                    -104.0f,
                                    0x1.6a09e4p0f,
                                    0x1.6a09e6p0f,
                                    0x1.6a09e6p-100f,
                                    0x1.fffffep127f,
                                    -0x1.fffffep127f,
                                    kInfinity,
                                    -kInfinity,
                                    kNan};

// A lane has its bits whatever stands in those beside it: vectors of ordinary numbers take a
// shorter way.
TEST_P(EveryFunction, HasItsBitsBesideAnyNumber) {
  const IsaRestorer restore;
  const Function& f = GetParam();
  constexpr std::size_t count = 64 + 3;
  std::mt19937 engine(2);
  std::normal_distribution<float> draw;
  Worst worst;
  for (const float beside : kBeside) {
    for (std::size_t at = 0; at < count; ++at) {
      std::vector<float> in(count), scalar(count);
      for (float& x : in) x = at % 2 ? std::abs(draw(engine)) : 3 * draw(engine);
      in[at] = beside;
      f.scalar(in.data(), scalar.data(), count);
      compare_forms(f, in, scalar, count, worst);
    }
  }
  EXPECT_EQ(worst.different_bits, 0) << "last at " << std::hexfloat << worst.different_at;
}

TEST_P(EveryFunction, AllFloatsStayWithinTheBound) {
  const char* slow = std::getenv("FORNAX_SLOW_TESTS");
  if (slow == nullptr)
    GTEST_SKIP() << "every one of 2^32 floats: set FORNAX_SLOW_TESTS=1 (n: every n-th)";
  check(std::max<std::uint64_t>(1, std::strtoull(slow, nullptr, 10)));
}

INSTANTIATE_TEST_SUITE_P(Numeric, EveryFunction, testing::ValuesIn(kFunctions),
                         [](const auto& row) { return std::string(row.param.name); });

const std::vector<float> kSpecial = {
    0.0f,    -0.0f,     1.0f,       -1.0f,     kInfinity,       -kInfinity,       kNan,
    -kNan,   0x1p-149f, -0x1p-149f, 0x1p-126f, 0x1.fffffep127f, -0x1.fffffep127f, 88.8f,
    -104.0f, 15.0f,     -15.0f};

TEST(Numeric, SpecialValuesAreTheStatedOnes) {
  EXPECT_TRUE(same_bits(numeric::exp(-kInfinity), 0.0f));
  EXPECT_EQ(numeric::exp(kInfinity), kInfinity);
  EXPECT_EQ(numeric::log(0.0f), -kInfinity);
  EXPECT_TRUE(std::isnan(numeric::log(-1.0f)));
  EXPECT_TRUE(same_bits(numeric::tanh(-0.0f), -0.0f));
  EXPECT_TRUE(same_bits(numeric::sin(-0.0f), -0.0f));
  EXPECT_TRUE(std::isnan(numeric::sin(kInfinity)));
  EXPECT_TRUE(same_bits(numeric::relu(-0.0f), 0.0f));
  EXPECT_TRUE(std::isnan(numeric::relu(kNan)));
  for (const auto& f : kFunctions) {
    float nan_out = 0;
    f.scalar(&kNan, &nan_out, 1);
    EXPECT_TRUE(std::isnan(nan_out)) << f.name;
  }
  for (const float value : {numeric::silu(-kInfinity), numeric::gelu_erf(-kInfinity),
                            numeric::gelu_tanh(-kInfinity), numeric::gelu_erf_gradient(-kInfinity)})
    EXPECT_EQ(value, 0.0f);
  for (const float value :
       {numeric::silu_gradient(kInfinity), numeric::gelu_erf_gradient(kInfinity),
        numeric::gelu_tanh_gradient(kInfinity)})
    EXPECT_EQ(value, 1.0f);
}

/// Every stride-th float of [low, high] and NaN: the whole function's bits.
void expect_short_way(const char* name, float (*whole)(float), float (*scalar)(float),
                      void (*vector)(const float*, float*, std::int64_t), float low, float high) {
  std::vector<float> in = {kNan};
  constexpr std::uint64_t stride = 1021;
  for (std::uint64_t next = 0; next < std::uint64_t{1} << 32; next += stride) {
    const auto x = std::bit_cast<float>(static_cast<std::uint32_t>(next));
    if (low <= x && x <= high) in.push_back(x);
  }
  in.insert(in.end(), {low, high});
  for (std::int32_t root_two = 0x3fb504f3 - 8; root_two < 0x3fb504f3 + 8; ++root_two)
    in.push_back(std::bit_cast<float>(root_two));  // where log goes on to the next power of two
  ASSERT_GT(in.size(), 8000u) << name;
  std::vector<float> out(in.size());
  for (const host::Isa isa : available_isas()) {
    host::use_isa(isa);
    vector(in.data(), out.data(), static_cast<std::int64_t>(in.size()));
    for (std::size_t i = 0; i < in.size(); ++i) {
      ASSERT_TRUE(same_bits(out[i], whole(in[i]))) << name << ' ' << std::hexfloat << in[i];
      ASSERT_TRUE(same_bits(scalar(in[i]), whole(in[i]))) << name << ' ' << std::hexfloat << in[i];
    }
  }
}

TEST(Numeric, ShortWaysHaveTheBitsOfTheWholeFunction) {
  const IsaRestorer restore;
  expect_short_way(
      "exp_below", [](float x) { return numeric::exp(x); },
      [](float x) { return numeric::exp_below(x); },
      [](const float* in, float* out, std::int64_t count) {
        FORNAX_DISPATCH(vector_exp_below)(in, out, count);
      },
      -kInfinity, 89.0f);
  expect_short_way(
      "log_to_2", [](float x) { return numeric::log(x); },
      [](float x) { return numeric::log_to_2(x); },
      [](const float* in, float* out, std::int64_t count) {
        FORNAX_DISPATCH(vector_log_to_2)(in, out, count);
      },
      1.0f, 2.0f);
}

void expect_extremes_without_order(float a, float b) {
  const float larger = numeric::max(a, b), smaller = numeric::min(a, b);
  EXPECT_TRUE(same_bits(larger, numeric::max(b, a))) << a << ' ' << b;
  EXPECT_TRUE(same_bits(smaller, numeric::min(b, a))) << a << ' ' << b;
  EXPECT_EQ(std::isnan(larger), std::isnan(a) || std::isnan(b));
  EXPECT_TRUE(same_bits(larger, static_cast<float>(numeric::max(double{a}, double{b}))));
  EXPECT_TRUE(same_bits(smaller, static_cast<float>(numeric::min(double{a}, double{b}))));
  const std::vector<float> x(16, a), y(16, b);
  for (const host::Isa isa : available_isas()) {
    host::use_isa(isa);
    std::vector<float> high(16), low(16);
    FORNAX_DISPATCH(extremes)(x.data(), y.data(), high.data(), low.data(), 16);
    for (std::size_t i = 0; i < 16; ++i)
      EXPECT_TRUE(same_bits(high[i], larger) && same_bits(low[i], smaller)) << a << ' ' << b;
  }
}

TEST(Numeric, MaxAndMinDependOnNoOrder) {
  const IsaRestorer restore;
  for (const float a : kSpecial)
    for (const float b : kSpecial) expect_extremes_without_order(a, b);
}

/// (1 + 2^-12)^2 = 1 + 2^-11 + 2^-24: rounded product 1 + 2^-11, so a * b - that is 0, and 2^-24
/// when the compiler has fused the two operations in spite of -ffp-contract=off.
TEST(Numeric, TheCompilerDoesNotFuseProductsAndSums) {
  const IsaRestorer restore;
  std::vector<float> a(16, 1 + 0x1p-12f), c(16, -(1 + 0x1p-11f)), out(16, 1.0f);
  for (std::size_t i = 0; i < 16; ++i) {
    volatile float opaque = a[i];
    a[i] = opaque;
    out[i] = a[i] * a[i] + c[i];
  }
  for (const float value : out) EXPECT_EQ(value, 0.0f) << "a scalar product and sum were fused";
  EXPECT_EQ(numeric::fma(a[0], a[0], c[0]), 0x1p-24f);
  for (const host::Isa isa : available_isas()) {
    host::use_isa(isa);
    FORNAX_DISPATCH(multiply_add)(a.data(), a.data(), c.data(), out.data(), 16);
    for (const float value : out) EXPECT_EQ(value, 0.0f) << "fused in " << host::name(isa);
  }
}

}  // namespace
}  // namespace fornax::numeric_test
#endif
