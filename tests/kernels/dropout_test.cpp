// dropout: bits, gradient, the share that it drops, and what its mask depends on.
#include <fornax/ops/dropout.h>

#include <cmath>
#include <limits>

#include "kernels/dropout/dropout_launch.h"
#include "tests/kernels/kernel_check.h"
#include "tests/kernels/op_case.h"
#include "tests/kernels/reference_run.h"

namespace fornax {
namespace {

OpCase drop(const std::string& name, const Shape& x, double p, std::int64_t rows_per_sample = 1) {
  OpCase c;
  c.name = name;
  c.inputs = {{.shape = x}};
  c.build = [=](std::span<const Value> in) {
    return std::vector{dropout(in[0], p, rows_per_sample)};
  };
  c.mostly_zeros = x.elements() < 8;
  return c;
}

std::vector<OpCase> cases() {
  std::vector<OpCase> all = {
      drop("scalar", {}, 0.5), drop("one", {1}, 0.5), drop("odd_rows", {37, 19}, 0.3),
      drop("parts", {3, 16385}, 0.1), drop("positions", {6, 5, 8}, 0.5, 3),
      // The low word of the Philox block number wraps within this tensor.
      drop("counter_wraps", {3, 44}, 0.5, 3018857279), drop("no_rows", {0, 3}, 0.5),
      drop("subnormal_p", {37, 19}, 1e-45), drop("p_rounds_to_one", {37, 19}, 1 - 0x1p-40),
      drop("evaluate", {37, 19}, 0.3)};
  all.back().mode = Mode::evaluate;
  all[all.size() - 2].mostly_zeros = true;
  all[2].benchmark = {"dropout", {{16384, 1024}}};
  const auto refuse = [](double p, std::int64_t rows = 1) {
    return [=](Graph g) { dropout(g.input("x", {4}), p, rows); };
  };
  all[0].refusals = {
      {ErrorCode::invalid_argument, "drop_p must lie in \\[0, 1\\); got 1", refuse(1)},
      {ErrorCode::invalid_argument, "drop_p must lie in \\[0, 1\\); got nan",
       refuse(std::numeric_limits<double>::quiet_NaN())},
      {ErrorCode::invalid_argument, "rows_per_sample must be >= 1; got 0", refuse(0.5, 0)},
      {ErrorCode::invalid_argument, "rows of \\[4\\] have more than 2\\^60 elements",
       refuse(0.5, std::int64_t{1} << 61)},
      {ErrorCode::dtype, "got i32 \\[4\\]",
       [](Graph g) { dropout(g.input("x", {4}, DType::i32), 0.5); }}};
  return all;
}

FORNAX_OP_CASES(Dropout, cases());

kernels::StepState state(std::uint64_t seed, std::int64_t step = 0, std::int64_t first = 0) {
  kernels::StepState result{};
  result.seed = seed, result.step = step, result.first_sample = first;
  return result;
}

/// dropout of ones.
std::vector<double> dropped(const Shape& shape, kernels::StepState step,
                            const std::string& scope = "block", int which = 0) {
  Graph graph;
  const Graph::Scope in(graph, scope);
  const Value x = graph.input("x", shape);
  Value y = dropout(x, 0.25);
  for (; which > 0; --which) y = dropout(x, 0.25);
  ReferenceRun run(graph.data(), DType::f32);
  run.step = step;
  run.feed(x.id(), std::vector<double>(static_cast<std::size_t>(shape.elements()), 1.0));
  run.run(static_cast<std::size_t>(graph.node_count()));
  return run.elements(y.id());
}

TEST(DropoutMask, DropsTheShareAskedForAndScalesTheRest) {
  const auto y = dropped({100, 100}, state(3));
  std::size_t zeros = 0;
  for (const double v : y) {
    if (v == 0) ++zeros;
    ASSERT_TRUE(v == 0 || v == static_cast<double>(static_cast<float>(4.0 / 3))) << v;
  }
  EXPECT_NEAR(static_cast<double>(zeros) / 10000, 0.25, 4 * 0.00433);
}

TEST(DropoutMask, DependsOnSeedStepAndName) {
  const auto y = dropped({64, 8}, state(3));
  EXPECT_EQ(y, dropped({64, 8}, state(3)));
  EXPECT_NE(y, dropped({64, 8}, state(4)));
  EXPECT_NE(y, dropped({64, 8}, state(3, 1)));
  EXPECT_NE(y, dropped({64, 8}, state(3), "other"));
  EXPECT_NE(y, dropped({64, 8}, state(3), "block", 1));
}

/// keeps, the definition, compares floats; kernels compare the upper bits of the word.
void check_least_kept(float p) {
  const std::int32_t least = kernels::DropoutMask{{}, 0, p}.least_kept(), end = 1 << 24;
  for (const std::int32_t k : {0, least - 2, least - 1, least, least + 1, end - 1})
    for (const std::uint32_t rest : {0u, 255u}) {
      if (k < 0 || k >= end) continue;
      const std::uint32_t word = (static_cast<std::uint32_t>(k) << 8) + rest;
      ASSERT_EQ(numeric::unit_interval(word) >= p, k >= least) << "p " << p << " k " << k;
    }
}

TEST(DropoutMask, LeastKeptIsThatOfTheDefinition) {
  std::vector<float> bounds = {0,           std::numeric_limits<float>::min(), 0x1p-24f, 0.1f, 0.5f,
                               1 - 0x1p-24f};
  for (std::uint64_t i = 0; i < 10000; ++i)  // half of them multiples of 2^-24
    bounds.push_back(numeric::random_uniform({1, 2, 3}, i) * (i % 2 ? 1.0f : 0x1p-12f));
  for (const float bound : bounds)
    for (const float p : {std::nextafter(bound, 0.0f), bound, std::nextafter(bound, 1.0f)})
      ASSERT_NO_FATAL_FAILURE(check_least_kept(p));
}

TEST(DropoutMask, OfKernelsAtAnElementWhoseNumberIsDropP) {
  const float number = numeric::random_uniform({17, numeric::purpose_id("dropout", 7), 3}, 41 * 16);
  for (const float p : {number, std::nextafter(number, 1.0f)}) {
    int nodes = 0;
    visit_nodes(drop("bound", {64, 16}, p), DType::f32,
                [&](const NodeData& node, NodeOperands& operands, const kernels::StepState& step) {
                  if (node.op->name != "dropout") return;
                  kernels::KernelArgs args{};
                  args.in = operands.in_views, args.attributes = &node.attributes;
                  const kernels::DropoutMask mask = kernels::dropout_mask(args, step);
                  EXPECT_EQ(numeric::random_uniform(mask.stream, mask.first), number);
                  EXPECT_EQ(mask.keeps(0), p == number);
                  EXPECT_GT(check_cpu_kernels(node, operands, step).ran, 0);
                  ++nodes;
                });
    EXPECT_EQ(nodes, 2);  // and its gradient
  }
}

TEST(DropoutMask, OfASplitBatchIsThatOfTheWhole) {
  const auto whole = dropped({12, 5}, state(3));
  const auto rest = dropped({7, 5}, state(3, 0, 5));
  EXPECT_EQ(std::vector(whole.begin() + 25, whole.end()), rest);
}

}  // namespace
}  // namespace fornax
