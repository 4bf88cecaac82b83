// dropout: bits, gradient, the share that it drops, and what its mask depends on.
#include <fornax/ops/dropout.h>

#include <limits>

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
  std::vector<OpCase> all = {drop("scalar", {}, 0.5), drop("one", {1}, 0.5),
                             drop("odd_rows", {37, 19}, 0.3), drop("parts", {3, 16385}, 0.1),
                             drop("positions", {6, 5, 8}, 0.5, 3),
                             // The low word of the Philox block number wraps within this tensor.
                             drop("counter_wraps", {3, 44}, 0.5, 3018857279),
                             drop("no_rows", {0, 3}, 0.5), drop("evaluate", {37, 19}, 0.3)};
  all.back().mode = Mode::evaluate;
  all[2].benchmark = {"dropout", {{16384, 1024}}};
  const auto refuse = [](double p, std::int64_t rows = 1) {
    return [=](Graph g) { dropout(g.input("x", {4}), p, rows); };
  };
  all[0].refusals = {
      {ErrorCode::invalid_argument, "drop_p must lie in \\[0, 1\\); got 1", refuse(1)},
      {ErrorCode::invalid_argument, "drop_p must lie in \\[0, 1\\); got nan",
       refuse(std::numeric_limits<double>::quiet_NaN())},
      {ErrorCode::invalid_argument, "rows_per_sample must be >= 1; got 0", refuse(0.5, 0)},
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

TEST(DropoutMask, OfASplitBatchIsThatOfTheWhole) {
  const auto whole = dropped({12, 5}, state(3));
  const auto rest = dropped({7, 5}, state(3, 0, 5));
  EXPECT_EQ(std::vector(whole.begin() + 25, whole.end()), rest);
}

}  // namespace
}  // namespace fornax
