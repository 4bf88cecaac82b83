// Activation functions and their gradients.
#include <fornax/ops/activation.h>
#include <fornax/ops/pointwise.h>
#include <fornax/program.h>

#include <cstring>

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

/// Outputs as large as this are written past the caches; their bits are those of small ones.
TEST(Activation, LargeOutputsAreWhatSmallOnesAre) {
  const Shape whole{2051, 4099}, row{1, 4099};
  Graph graph(Mode::evaluate), one(Mode::evaluate);
  const auto network = [](Graph g, const Shape& shape) {
    const Value x = g.input("x", shape), y = g.input("y", shape);
    return std::vector{gelu(x), add(x, y)};
  };
  const std::vector<Value> large = network(graph, whole), small = network(one, row);
  const State state = initialize(graph, Device::cpu(3), {});
  Program program = compile(graph, state, {.outputs = large});
  Program row_program = compile(one, state, {.outputs = small});
  Tensor x(DType::f32, whole), y(DType::f32, whole), x_row(DType::f32, row), y_row(DType::f32, row);
  for (std::int64_t i = 0; i < whole.elements(); ++i) {
    x.as<float>()[static_cast<std::size_t>(i)] = 1e-3f * static_cast<float>(i % 7919 - 3000);
    y.as<float>()[static_cast<std::size_t>(i)] = 1e-2f * static_cast<float>(i % 997 - 300);
  }
  const Outputs& outputs = program.run({{"x", x}, {"y", y}});
  const std::size_t bytes = x_row.bytes().size();
  for (const std::size_t r : {std::size_t{0}, std::size_t{683}, std::size_t{684}, std::size_t{1367},
                              std::size_t{1368}, std::size_t{2050}}) {
    std::memcpy(x_row.bytes().data(), x.bytes().data() + r * bytes, bytes);
    std::memcpy(y_row.bytes().data(), y.bytes().data() + r * bytes, bytes);
    const Outputs& expected = row_program.run({{"x", x_row}, {"y", y_row}});
    for (std::size_t k = 0; k < large.size(); ++k)
      EXPECT_EQ(std::memcmp(outputs.tensor(large[k]).bytes().data() + r * bytes,
                            expected.tensor(small[k]).bytes().data(), bytes),
                0)
          << "output " << k << ", row " << r;
  }
}

TEST(Activation, NoneIsTheValueItself) {
  Graph graph;
  const Value x = graph.input("x", {2});
  EXPECT_EQ(activation(x, "none"), x);
  EXPECT_EQ(graph.node_count(), 0);
}

}  // namespace
}  // namespace fornax
