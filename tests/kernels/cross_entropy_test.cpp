// cross_entropy, its gradient, correct_count.
#include <fornax/fornax.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "tests/kernels/op_case.h"
#include "tests/kernels/reference_run.h"

namespace fornax {
namespace {

OpCase loss(const std::string& name, const Shape& logits, const Shape& labels,
            CrossEntropyOptions options = {}, std::int64_t highest = -1) {
  OpCase c;
  c.name = name;
  const std::int64_t last = highest < 0 ? logits[-1] - 1 : highest;
  c.inputs = {{.shape = logits, .draw = draw_normal(3)},
              {.shape = labels, .draw = draw_integers(0, last), .dtype = DType::i32}};
  c.build = [options](std::span<const Value> in) {
    return std::vector{cross_entropy(in[0], in[1], options)};
  };
  c.bounds = {.f32 = 5e-6, .bf16 = 3e-2, .f16 = 4e-3};
  return c;
}

OpCase count(const std::string& name, const Shape& logits, const Shape& labels, Draw draw) {
  OpCase c = loss(name, logits, labels, {}, 4);
  c.inputs[0].draw = draw;
  c.has_gradient = false;
  c.mostly_zeros = true;
  c.build = [](std::span<const Value> in) {
    const CorrectCount counts = correct_count(in[0], in[1], 2);
    return std::vector{counts.correct, counts.counted};
  };
  return c;
}

std::vector<OpCase> cases() {
  std::vector<OpCase> all = {loss("classes", {33, 10}, {33}),
                             loss("one_row", {10}, {}),
                             loss("positions", {3, 5, 130}, {3, 5}),
                             loss("ragged", {7, 1031}, {7}),
                             loss("two_chunks", {2, 65536 + 77}, {2}),
                             loss("many_rows", {1500, 4}, {1500}),
                             loss("many_longer_rows", {131, 40}, {131}),
                             loss("chunks_of_rows", {65536 + 77, 2}, {65536 + 77}),
                             loss("smoothed", {40, 21}, {40}, {.label_smoothing = 0.1}),
                             loss("smoothed_wide", {2, 4500}, {2}, {.label_smoothing = 0.1}),
                             loss("ignored", {40, 6}, {40}, {.ignore_index = 3}),
                             loss("all_ignored", {5, 6}, {5}, {.ignore_index = 0}, 0),
                             loss("out_of_range", {40, 6}, {40}, {}, 9),
                             loss("no_rows", {0, 6}, {0}),
                             count("count", {300, 5}, {300}, draw_normal()),
                             count("count_ties", {300, 5}, {300}, draw_integers(0, 2))};
  all[0].benchmark = {"cross_entropy", {{16384, 1000}, {16384}}, 999};
  all[2].benchmark = {"cross_entropy_tokens", {{4, 256, 50257}, {4, 256}}, 50256};
  all[all.size() - 2].benchmark = {"correct_count", {{16384, 1000}, {16384}}, 999};
  for (OpCase& c : all)
    if (c.name == "all_ignored" || c.name == "no_rows") c.mostly_zeros = true;
  all[0].refusals = {
      {ErrorCode::dtype, "labels must be i32; got f32 \\[4\\]",
       [](Graph g) {
         cross_entropy(g.input("x", {4, 3}), g.input("l", {4}));
       }},
      {ErrorCode::dtype, "logits must be floating point; got i32 \\[4, 3\\]",
       [](Graph g) {
         cross_entropy(g.input("x", {4, 3}, DType::i32), g.input("l", {4}, DType::i32));
       }},
      {ErrorCode::shape, "without the last axis, \\[4\\]; got i32 \\[4, 1\\]",
       [](Graph g) {
         cross_entropy(g.input("x", {4, 3}), g.input("l", {4, 1}, DType::i32));
       }},
      {ErrorCode::shape, "at least one class; got f32 \\[4, 0\\]",
       [](Graph g) {
         correct_count(g.input("x", {4, 0}), g.input("l", {4}, DType::i32));
       }},
      {ErrorCode::invalid_argument, "label_smoothing must lie in \\[0, 1\\]; got 1.5", [](Graph g) {
         cross_entropy(g.input("x", {4, 3}), g.input("l", {4}, DType::i32),
                       {.label_smoothing = 1.5});
       }}};
  return all;
}

FORNAX_OP_CASES(CrossEntropy, cases());

/// The loss and counts of given logits and labels, by the f32 reference.
struct Outcome {
  std::vector<double> loss, gradient, correct, counted;
  kernels::StepState step;
};
Outcome outcome(const std::vector<double>& logits, const std::vector<double>& labels) {
  const auto rows = static_cast<std::int64_t>(labels.size());
  const std::int64_t classes = static_cast<std::int64_t>(logits.size()) / rows;
  Graph graph;
  const Value x = graph.input("x", {rows, classes}), label = graph.input("l", {rows}, DType::i32);
  const Value loss = cross_entropy(x, label);
  const CorrectCount counts = correct_count(x, label);
  const Value dx = gradients(loss, std::vector{x}).items[0].gradient;
  ReferenceRun run(graph.data(), DType::f32);
  run.feed(x.id(), logits), run.feed(label.id(), labels);
  run.run(static_cast<std::size_t>(graph.node_count()));
  return {run.elements(loss.id()), run.elements(dx.id()), run.elements(counts.correct.id()),
          run.elements(counts.counted.id()), run.step};
}

TEST(CrossEntropyValues, AreThoseOfTheFormula) {
  const Outcome got = outcome({1, 2, 3, 0, 0, 0}, {2, 0});
  const double first = std::log(1 + std::exp(-1) + std::exp(-2)), second = std::log(3);
  EXPECT_NEAR(got.loss[0], (first + second) / 2, 1e-6);
  EXPECT_NEAR(got.gradient[2], (std::exp(-first) - 1) / 2, 1e-6);
  EXPECT_NEAR(got.gradient[4], 1.0 / 6, 1e-6);
  EXPECT_EQ(got.correct[0], 2) << "the smallest index wins the tie";
  EXPECT_EQ(got.counted[0], 2);
}

TEST(CrossEntropyValues, HugeLogitsDoNotOverflow) {
  EXPECT_EQ(outcome({3e38, -3e38, -3e38, 3e38}, {0, 1}).loss[0], 0);
}

TEST(CrossEntropyValues, OnlyIgnoredRowsGiveZeroAndZeroGradients) {
  const Outcome got = outcome({1, 2, 3, 4}, {-100, -100});
  EXPECT_EQ(got.loss[0], 0);
  for (const double d : got.gradient) EXPECT_EQ(d, 0);
  EXPECT_EQ(got.counted[0], 0);
  EXPECT_EQ(got.step.bad_index, 0);
}

TEST(CrossEntropyValues, ABadLabelIsFlaggedAndContributesNothing) {
  const Outcome with = outcome({1, 2, 5, 6, 3, 4, 1, 0}, {0, 2, -1, 1});
  EXPECT_EQ(with.step.bad_index, 2);
  EXPECT_EQ(with.step.bad_value, 2);
  EXPECT_EQ(with.counted[0], 2);
  EXPECT_EQ(with.gradient[2], 0);
  EXPECT_EQ(with.loss, outcome({1, 2, 1, 0}, {0, 1}).loss);
}

/// The bits of softmax and log_softmax, and hits, of `width` rows: row i has `odd` at place i.
std::vector<std::uint32_t> of_odd_rows(const Device& device, std::int64_t width, float odd,
                                       float others) {
  Graph graph;
  const Value x = graph.input("x", {width, width});
  const Value label = graph.input("l", {width}, DType::i32);
  const std::vector<Value> results = {softmax(x), log_softmax(x), correct_count(x, label).correct};
  Program program = compile(graph, initialize(graph, device), {.outputs = results});
  Tensor logits(DType::f32, {width, width}), labels(DType::i32, {width});
  std::ranges::fill(logits.as<float>(), others);
  for (std::int32_t i = 0; i < width; ++i) {
    labels.as<std::int32_t>()[static_cast<std::size_t>(i)] = i;
    logits.as<float>()[static_cast<std::size_t>(i * width + i)] = odd;
  }
  const Outputs& outputs = program.run({{"x", logits}, {"l", labels}});
  std::vector<std::uint32_t> all;
  for (std::size_t i = 0; i < 2; ++i)
    for (const float y : outputs.tensor(results[i]).as<float>())
      all.push_back(y == y ? std::bit_cast<std::uint32_t>(y) : 0x7fc00000u);  // any NaN
  all.push_back(static_cast<std::uint32_t>(outputs.tensor(results[2]).as<std::int32_t>()[0]));
  return all;
}

// A row's maximum has a short way that knows neither NaN nor the sign of zero.
TEST(RowsOfClasses, HaveTheReferencesBitsWithAnOddNumberAnywhere) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  constexpr float infinity = std::numeric_limits<float>::infinity();
  constexpr float pairs[][2] = {{nan, 1}, {nan, infinity}, {0, -0.0f},     {-0.0f, 0},
                                {0, -1},  {-0.0f, -1},     {infinity, 1},  {-infinity, 0},
                                {2, 2},   {-1, nan},       {3, -infinity}, {0x1p-149f, -0.0f}};
  for (const auto& [odd, others] : pairs)
    for (const std::int64_t width : {1, 2, 7, 8, 9, 31, 32, 33, 65, 131})
      EXPECT_EQ(of_odd_rows(Device::cpu(1), width, odd, others),
                of_odd_rows(Device::reference(), width, odd, others))
          << odd << " among " << others << ", " << width << " columns";
}

}  // namespace
}  // namespace fornax
