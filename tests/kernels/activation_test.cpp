// Activation functions and their gradients.
#include <fornax/ops/activation.h>

#include "tests/kernels/op_case.h"

namespace fornax {
namespace {

OpCase function(const std::string& kind, const Shape& shape) {
  OpCase c;
  c.name = kind + "_" + std::to_string(shape.elements());
  c.inputs = {{.shape = shape, .draw = draw_normal(2)}};
  c.build = [=](std::span<const Value> in) { return std::vector{activation(in[0], kind)}; };
  c.mostly_zeros = shape.elements() == 0;
  return c;
}

std::vector<OpCase> cases() {
  std::vector<OpCase> all;
  for (const char* kind : {"relu", "gelu", "gelu_tanh", "silu", "sigmoid", "tanh"}) {
    all.push_back(function(kind, {3, 11}));
    all.back().benchmark = {kind, {{16384, 1024}}};
    all.push_back(function(kind, {9, 3001}));  // more than one part for threads
  }
  all.push_back(function("gelu", {0}));
  all[0].refusals = {{ErrorCode::invalid_argument, "activation 'swish' is unknown; there are none",
                      [](Graph g) { activation(g.input("x", {2}), "swish"); }},
                     {ErrorCode::dtype, "activation.*got i64 \\[2\\]",
                      [](Graph g) { relu(g.input("x", {2}, DType::i64)); }}};
  return all;
}

FORNAX_OP_CASES(ActivationOps, cases());

TEST(Activation, NoneIsTheValueItself) {
  Graph graph;
  const Value x = graph.input("x", {2});
  EXPECT_EQ(activation(x, "none"), x);
  EXPECT_EQ(graph.node_count(), 0);
}

}  // namespace
}  // namespace fornax
