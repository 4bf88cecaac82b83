// batch_norm in train and evaluate graphs, its gradient and its running statistics.
#include <fornax/ops/normalization.h>

#include <cmath>

#include "tests/kernels/op_case.h"
#include "tests/kernels/reference_run.h"

namespace fornax {
namespace {

/// The op on explicit operands: x, scale, shift, running mean, running variance.
OpCase batch(const std::string& name, const Shape& x, bool train) {
  OpCase c;
  c.name = name + (train ? "_train" : "_evaluate");
  const Shape channels{x[-1]};
  c.inputs = {{.shape = x, .draw = {Draw::Kind::normal, 1, 2}},
              {.shape = channels, .draw = draw_uniform(0.5, 2), .role = OpInput::Role::parameter},
              {.shape = channels, .role = OpInput::Role::parameter},
              {.shape = channels, .role = OpInput::Role::state, .differentiable = false},
              {.shape = channels,
               .draw = draw_uniform(0.5, 2),
               .dtype = DType::f32,
               .role = OpInput::Role::state,
               .differentiable = false}};
  c.inputs[3].dtype = DType::f32;
  c.build = [train](std::span<const Value> in) {
    auto out = in[0].graph().add(train ? "batch_norm" : "batch_norm_evaluate", in,
                                 {{"epsilon", 1e-5}, {"momentum", 0.25}});
    return std::vector{out[0]};
  };
  c.bounds = {.f32 = 1e-5, .bf16 = 3e-2, .f16 = 4e-3};
  return c;
}

std::vector<OpCase> cases() {
  std::vector<OpCase> all;
  for (const bool train : {true, false}) {
    all.push_back(batch("small", {5, 3}, train));
    all.push_back(batch("images", {2, 7, 5, 33}, train));
    all.push_back(batch("chunks", {300, 70}, train));
    all.back().benchmark = {train ? "batch_norm" : "batch_norm_evaluate",
                            {{16384, 1024}, {1024}, {1024}, {1024}, {1024}}};
    all.push_back(batch("one_channel", {200, 1}, train));
    all.push_back(batch("whole_lines", {37, 48}, train));  // several rows side by side
  }
  const auto named = [](Shape shape, BatchNormOptions options, DType dtype = DType::f32) {
    return [=](Graph g) { batch_norm(g.input("x", shape, dtype), "norm", options); };
  };
  all[0].refusals = {
      {ErrorCode::shape, "at least two rows, got 1 in f32 \\[1, 3\\]", named({1, 3}, {})},
      {ErrorCode::shape, "last axis of channels; got a scalar", named({}, {})},
      {ErrorCode::shape, "with a last axis of channels; got i32 \\[4, 3\\]",
       named({4, 3}, {}, DType::i32)},
      {ErrorCode::invalid_argument, "epsilon must be >= 0; got -1", named({4, 3}, {.epsilon = -1})},
      {ErrorCode::invalid_argument, "momentum must lie in \\[0, 1\\]; got 2",
       named({4, 3}, {.momentum = 2})},
      {ErrorCode::invalid_argument, "'norm.scale' is taken", [](Graph g) {
         batch_norm(batch_norm(g.input("x", {4, 3}), "norm"), "norm");
       }}};
  return all;
}

FORNAX_OP_CASES(Normalization, cases());

TEST(BatchNormValues, MovesTheRunningStatisticsTowardsTheBatch) {
  Graph graph;
  const Value x = graph.input("x", {4, 1});
  const Value y = batch_norm(x, "norm", {.epsilon = 0, .momentum = 0.25});
  ReferenceRun run(graph.data(), DType::f64);
  run.feed(x.id(), {1, 2, 3, 6});
  run.feed(graph.find("norm.scale").id(), {2});
  run.feed(graph.find("norm.shift").id(), {1});
  run.feed(graph.find("norm.running_mean").id(), {1});
  run.feed(graph.find("norm.running_variance").id(), {2});
  run.run(static_cast<std::size_t>(graph.node_count()));
  const auto& out = graph.data().nodes.back().out;
  EXPECT_DOUBLE_EQ(run.elements(out[1])[0], 1 + 0.25 * (3 - 1));
  EXPECT_DOUBLE_EQ(run.elements(out[2])[0], 2 + 0.25 * (14.0 / 3 - 2)) << "unbiased";
  EXPECT_NEAR(run.elements(y.id())[3], 1 + 2 * 3 / std::sqrt(14.0 / 4), 1e-12);
}

}  // namespace
}  // namespace fornax
