// AdamW on the CPU where moments are subnormal: computed another way, to the reference's bits.
#include <fornax/fornax.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "tests/kernels/every_isa.h"

namespace fornax {
namespace {

struct AdamWState {
  std::vector<float> p, g, m, v;
};

/// One step by the CPU's kernel, or by the reference.
AdamWState after_adamw(AdamWState s, const AdamWOptions& options, bool reference) {
  const auto count = static_cast<std::int64_t>(s.p.size());
  Graph graph(Mode::train);
  const Value w = graph.parameter("w", {count}, {}), g = graph.input("g", {count});
  adamw(graph, {{{w, g}}, {}, {}}, options);
  State state = initialize(graph, reference ? Device::reference() : Device::cpu(2));
  const auto tensor = [&](std::vector<float>& values) {
    Tensor t(DType::f32, {count});
    std::copy(values.begin(), values.end(), t.as<float>().begin());
    return t;
  };
  state.set("w", tensor(s.p));
  state.set("w.moment1", tensor(s.m));
  state.set("w.moment2", tensor(s.v));
  compile(graph, state, {}).run({{"g", tensor(s.g)}});
  const auto take = [&](const char* name, std::vector<float>& to) {
    const Tensor t = state.get(name);
    to.assign(t.as<float>().begin(), t.as<float>().end());
  };
  take("w", s.p), take("w.moment1", s.m), take("w.moment2", s.v);
  return s;
}

void expect_bits_of_reference(const AdamWState& s, const AdamWOptions& options) {
  const IsaRestorer restore;
  const AdamWState expected = after_adamw(s, options, true);
  for (const host::Isa isa : available_isas()) {
    host::use_isa(isa);
    const AdamWState got = after_adamw(s, options, false);
    const std::size_t bytes = s.p.size() * sizeof(float);
    EXPECT_EQ(std::memcmp(got.p.data(), expected.p.data(), bytes), 0) << host::name(isa);
    EXPECT_EQ(std::memcmp(got.m.data(), expected.m.data(), bytes), 0) << host::name(isa);
    EXPECT_EQ(std::memcmp(got.v.data(), expected.v.data(), bytes), 0) << host::name(isa);
  }
}

/// Every subnormal moment, of either sign, of a gradient that is zero.
TEST(AdamWSubnormal, EveryMomentDecaysAsByItsProduct) {
  constexpr std::size_t count = 1 << 23;
  AdamWState s{std::vector<float>(count, 0.5f), std::vector<float>(count, 0.0f),
               std::vector<float>(count), std::vector<float>(count, 1e-12f)};
  for (std::size_t i = 0; i < count; ++i)
    s.m[i] = std::bit_cast<float>(static_cast<std::uint32_t>(i) | (i % 2 ? 0x80000000u : 0u));
  for (const double beta1 : {0.9, 0.5, 0.25})
    expect_bits_of_reference(s, {.learning_rate = 1e-3, .beta1 = beta1});
}

/// Beside what moves them: gradients, small and special parameters, rates that no rule foresees.
TEST(AdamWSubnormal, LanesThatAreNotAtRestAreUpdatedAsEver) {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  const float parameters[] = {1,         -1,      0,      -0.0f,  0x1p-40f, 0x1.fffffep-41f,
                              -0x1p-41f, 1e-30f,  1e-38f, 1e-42f, infinity, -infinity,
                              nan,       0x1p-39f};
  const float gradients[] = {0, -0.0f, 1e-45f, -1e-38f, 1e-30f, 1, infinity, nan};
  const float moments[] = {1e-45f,          -1e-45f, 4e-45f, 1e-39f, -1.1754942e-38f,
                           1.17549435e-38f, 0,       -0.0f,  1,      nan};
  const float squares[] = {0, 1e-45f, 1e-30f, 1, infinity, -1, nan};
  AdamWState s;
  for (const float p : parameters)
    for (const float g : gradients)
      for (const float m : moments)
        for (const float v : squares)
          s.p.push_back(p), s.g.push_back(g), s.m.push_back(m), s.v.push_back(v);
  const double tiny = 1e-30;
  expect_bits_of_reference(s, {});
  expect_bits_of_reference(s, {.beta1 = 0});
  expect_bits_of_reference(s, {.learning_rate = 100, .weight_decay = 0.5});
  expect_bits_of_reference(s, {.epsilon = tiny});
  expect_bits_of_reference(s, {.learning_rate = 1e25, .weight_decay = 0});
  const double nearly_all = 0.99999994;
  expect_bits_of_reference(
      s, {.learning_rate = 0.0625, .epsilon = 1e-12, .weight_decay = 16 * nearly_all});
  expect_bits_of_reference(s, {.learning_rate = 0, .weight_decay = 0.5});
}

}  // namespace
}  // namespace fornax
