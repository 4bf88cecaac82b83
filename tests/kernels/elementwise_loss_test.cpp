// mean_squared_error and binary_cross_entropy.
#include <fornax/ops/elementwise_loss.h>

#include <cmath>

#include "tests/kernels/op_case.h"
#include "tests/kernels/reference_run.h"

namespace fornax {
namespace {

OpCase loss(const std::string& name, const Shape& shape, bool squared) {
  OpCase c;
  c.name = name + (squared ? "_squared" : "_logistic");
  c.inputs = {{.shape = shape, .draw = draw_normal(2)},
              {.shape = shape, .draw = draw_uniform(0, 1), .differentiable = squared}};
  c.build = [=](std::span<const Value> in) {
    return std::vector{squared ? mean_squared_error(in[0], in[1])
                               : binary_cross_entropy(in[0], in[1])};
  };
  c.mostly_zeros = shape.elements() == 0;
  // Gradients divided by so many elements are subnormal in f16.
  if (shape.elements() > 65536) c.dtypes = {DType::f32, DType::bf16};
  return c;
}

std::vector<OpCase> cases() {
  std::vector<OpCase> all;
  for (const bool squared : {true, false})
    for (const auto& [name, shape] : {std::pair{"scalar", Shape{}},
                                      {"matrix", {17, 9}},
                                      {"chunks", {3, 65536 + 5}},
                                      {"many_chunks", {4, 65536 + 5}},
                                      {"nothing", {0, 4}}})
      all.push_back(loss(name, shape, squared));
  all[1].benchmark = {"mean_squared_error", {{16384, 1024}, {16384, 1024}}};
  all[5].benchmark = {"binary_cross_entropy", {{16384, 1024}, {16384, 1024}}};
  all[0].refusals = {
      {ErrorCode::shape, "must have one shape; got f32 \\[2\\] and f32 \\[3\\]",
       [](Graph g) { mean_squared_error(g.input("p", {2}), g.input("t", {3})); }},
      {ErrorCode::dtype, "one dtype, got f32 \\[2\\] and f16 \\[2\\]",
       [](Graph g) { binary_cross_entropy(g.input("p", {2}), g.input("t", {2}, DType::f16)); }},
      {ErrorCode::unsupported, "binary_cross_entropy: the target has no gradient", [](Graph g) {
         const Value t = g.input("t", {2});
         gradients(binary_cross_entropy(g.input("p", {2}), t), std::vector{t});
       }}};
  return all;
}

FORNAX_OP_CASES(ElementwiseLoss, cases());

std::vector<double> value_of(Value (*loss)(Value, Value), const std::vector<double>& x,
                             const std::vector<double>& t) {
  Graph graph;
  const Shape shape{static_cast<std::int64_t>(x.size())};
  const Value p = graph.input("p", shape), target = graph.input("t", shape);
  const Value out = loss(p, target);
  ReferenceRun run(graph.data(), DType::f32);
  run.feed(p.id(), x), run.feed(target.id(), t);
  run.run(static_cast<std::size_t>(graph.node_count()));
  return run.elements(out.id());
}

TEST(ElementwiseLossValues, AreThoseOfTheFormulas) {
  EXPECT_EQ(value_of(mean_squared_error, {1, 3}, {0, 5})[0], 2.5);
  EXPECT_NEAR(value_of(binary_cross_entropy, {1}, {0.25})[0],
              0.25 * std::log(1 + std::exp(-1)) + 0.75 * std::log(1 + std::exp(1)), 1e-6);
  EXPECT_EQ(value_of(binary_cross_entropy, {300, -300}, {1, 0})[0], 0) << "no overflow";
  EXPECT_EQ(value_of(binary_cross_entropy, {300}, {0})[0], 300);
  EXPECT_EQ(value_of(mean_squared_error, {}, {})[0], 0);
}

}  // namespace
}  // namespace fornax
