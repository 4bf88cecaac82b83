// sgd, adamw, clipping by global norm: bits, accuracy, formulas over several steps, refusals.
#include <fornax/ops/linear.h>
#include <fornax/ops/optimizer_step.h>
#include <fornax/ops/reduction.h>

#include <cmath>

#include "tests/kernels/op_case.h"
#include "tests/kernels/reference_run.h"

namespace fornax {
namespace {

using Update = std::function<void(Graph, const Gradients&)>;

const std::vector<Shape> kShapes = {{7}, {33, 5}, {}, {0}, {16385 * 2 + 3}, {64}};

/// Parameters, gradients and moments of several tensors; the outputs of the optimizer node.
OpCase optimizer(const std::string& name, int moments, const Attributes& settings,
                 bool scaled = false, const std::vector<Shape>& shapes = kShapes) {
  OpCase c;
  c.name = name;
  const OpInput::Role roles[] = {OpInput::Role::parameter, OpInput::Role::input,
                                 OpInput::Role::state, OpInput::Role::state};
  for (std::size_t part = 0; part < 2 + static_cast<std::size_t>(moments); ++part)
    for (const Shape& shape : shapes)
      c.inputs.push_back({.shape = shape,
                          .draw = part == 3 ? draw_uniform(0, 2) : draw_normal(),
                          .role = roles[part]});
  if (scaled) c.inputs.push_back({.shape = {}, .draw = draw_uniform(0.5, 1)});
  c.has_gradient = false;
  c.dtypes = {DType::f32};
  c.bounds = {.f32 = 5e-6};  // a lone element may cancel
  std::vector<double> decays, scales;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    decays.push_back(0.05 * static_cast<double>(i % 3));
    scales.push_back(1 + 0.3 * static_cast<double>(i % 4));
  }
  c.build = [=](std::span<const Value> in) {
    Graph graph = in[0].graph();
    std::vector<Value> operands(in.begin(), in.end());
    if (!scaled) operands.emplace_back();
    Attributes attributes = settings;
    attributes.set("tensors", static_cast<std::int64_t>(decays.size()));
    attributes.set("moments", std::int64_t{moments});
    attributes.set("learning_rate_slot", std::int64_t{graph.step_scalar("learning_rate", 0.0625)});
    attributes.set("weight_decay", decays);
    attributes.set("learning_rate_scale", scales);
    return graph.add(moments == 2 ? "adamw" : "sgd", operands, attributes);
  };
  return c;
}

OpCase norm(const std::string& name, const std::vector<Shape>& shapes) {
  OpCase c;
  c.name = name;
  for (const Shape& shape : shapes) c.inputs.push_back({.shape = shape});
  c.has_gradient = false;
  c.build = [](std::span<const Value> in) {
    Gradients gradients;
    for (const Value& value : in) gradients.items.push_back({value, value});
    gradients = clip_by_global_norm(gradients, 2.0);
    return std::vector{gradients.scale, gradients.norm};
  };
  return c;
}

Gradients one_gradient(Graph graph) {
  return {{{graph.parameter("w", {3}, {}), graph.input("g", {3})}}, {}, {}};
}

std::vector<Refusal> refusals() {
  const auto refuse_adamw = [](AdamWOptions options) {
    return [options](Graph g) { adamw(g, one_gradient(g), options); };
  };
  const auto refuse_sgd = [](SgdOptions options) {
    return [options](Graph g) { sgd(g, one_gradient(g), options); };
  };
  const ErrorCode invalid = ErrorCode::invalid_argument;
  return {
      {invalid, "learning_rate must be a number >= 0; got -1", refuse_sgd({.learning_rate = -1})},
      {invalid, "momentum must lie in \\[0.0*, 1.0*\\); got 1", refuse_sgd({.momentum = 1})},
      {invalid, "nesterov needs momentum", refuse_sgd({.nesterov = true})},
      {invalid, "weight_decay must be a number >= 0; got nan",
       refuse_sgd({.weight_decay = std::nan("")})},
      {invalid, "beta2 must lie in", refuse_adamw({.beta2 = 1})},
      {invalid, "epsilon must be positive; got 0", refuse_adamw({.epsilon = 0})},
      {invalid, "the group parameter 'v' has no gradient here",
       [](Graph g) {
         sgd(g, one_gradient(g), {.groups = {{.parameters = {g.parameter("v", {1}, {})}}}});
       }},
      {invalid, "parameter 'w' stands in two groups",
       [](Graph g) {
         const Gradients gradients = one_gradient(g);
         const ParameterGroup group{.parameters = {gradients.items[0].parameter}};
         sgd(g, gradients, {.groups = {group, group}});
       }},
      {invalid, "no gradient to apply", [](Graph g) { sgd(g, {}); }},
      {invalid, "the name 'w.moment1' is taken",
       [](Graph g) {
         const Gradients gradients = one_gradient(g);
         adamw(g, gradients), adamw(g, gradients);
       }},
      {ErrorCode::shape, "gradient 0 must have the shape \\[3\\] of its parameter; got f32 \\[4\\]",
       [](Graph g) {
         sgd(g, {{{g.parameter("w", {3}, {}), g.input("g", {4})}}, {}, {}});
       }},
      {ErrorCode::dtype, "gradient 0 must be f32 as its parameter; got bf16 \\[3\\]",
       [](Graph g) {
         sgd(g, {{{g.parameter("w", {3}, {}), g.input("g", {3}, DType::bf16)}}, {}, {}});
       }},
      {invalid, "max_norm must be positive; got 0",
       [](Graph g) { clip_by_global_norm(one_gradient(g), 0); }},
      {invalid, "no gradient to clip", [](Graph) { clip_by_global_norm({}, 1); }}};
}

/// One large tensor after five of a layer's size, as often as the operands need.
std::vector<Shape> large_shapes(std::size_t operands, std::int64_t rows) {
  const std::size_t tensors = kShapes.size();
  std::vector<Shape> shapes;
  for (std::size_t i = 0; i < operands; ++i)
    shapes.push_back(Shape{i % tensors + 1 < tensors ? rows : 4 * rows, 1024});
  return shapes;
}

std::vector<OpCase> cases() {
  const auto sgd_of = [](double momentum, std::int64_t nesterov) {
    return Attributes{{"momentum", momentum}, {"nesterov", nesterov}};
  };
  const Attributes adam{{"beta1", 0.9}, {"beta2", 0.999}, {"epsilon", 1e-8}};
  std::vector<OpCase> all = {
      optimizer("sgd", 0, sgd_of(0, 0)),
      optimizer("sgd_momentum", 1, sgd_of(0.9, 0)),
      optimizer("sgd_nesterov_scaled", 1, sgd_of(0.9, 1), true),
      optimizer("adamw", 2, adam),
      optimizer("adamw_scaled", 2, adam, true),
      optimizer("more_than_one_table", 1, sgd_of(0.5, 0), false, std::vector<Shape>(300, {3})),
      norm("norm_of_one", {{5}}),
      norm("norm_of_300", std::vector<Shape>(300, {3})),
      norm("norm_of_many", {{33, 7}, {}, {0}, {65536 * 9 + 5}, {128}})};
  all[0].refusals = refusals();
  for (OpCase& c : all)
    if (c.name == "sgd" || c.name == "sgd_momentum" || c.name == "adamw")
      c.benchmark = {c.name, large_shapes(c.inputs.size(), 1024)};
    else if (c.name == "norm_of_many")  // larger than caches
      c.benchmark = {c.name, large_shapes(c.inputs.size(), 4096)};
  return all;
}

FORNAX_OP_CASES(OptimizerStep, cases());

/// The parameter after `steps` steps with the gradient g(step, element), by the f64 reference.
std::vector<double> trained(int steps, const Update& update, double gradient_of_step = 0.5) {
  Graph graph;
  const Value w = graph.parameter("w", {2}, {}), g = graph.input("g", {2});
  update(graph, {{{w, g}}, {}, {}});
  std::vector<double> p = {1, -2};
  std::map<int, std::vector<double>> moments;
  for (const char* name : {"w.moment1", "w.moment2"})
    if (const Value moment = graph.find(name)) moments[moment.id()] = {0, 0};
  for (int step = 0; step < steps; ++step) {
    ReferenceRun run(graph.data(), DType::f64);
    run.step.step = step;
    run.step.scalars[0] = 0.125;
    run.feed(w.id(), p);
    run.feed(g.id(), {gradient_of_step * (step + 1), -1});
    for (const auto& [id, moment] : moments) run.feed(id, moment);
    run.run(static_cast<std::size_t>(graph.node_count()));
    const auto& outputs = graph.data().nodes.back().out;
    p = run.elements(outputs[0]);
    std::size_t k = 1;
    for (auto& [id, moment] : moments) moment = run.elements(outputs[k++]);
  }
  return p;
}

TEST(OptimizerValues, SgdFollowsItsFormula) {
  double p = 1, m = 0;
  for (int step = 0; step < 4; ++step) {
    const double d = 0.5 * (step + 1) + 0.1 * p;
    m = 0.9 * m + d;
    p -= 0.125 * (d + 0.9 * m);
  }
  const auto got = trained(4, [](Graph graph, const Gradients& gradients) {
    sgd(graph, gradients,
        {.learning_rate = 0.125, .momentum = 0.9, .weight_decay = 0.1, .nesterov = true});
  });
  EXPECT_NEAR(got[0], p, 1e-12);
}

TEST(OptimizerValues, AdamWFollowsItsFormula) {
  double p = 1, m = 0, v = 0;
  for (int t = 1; t <= 5; ++t) {
    const double g = 0.5 * t;
    m = 0.9 * m + 0.1 * g, v = 0.99 * v + 0.01 * g * g;
    const double m_hat = m / (1 - std::pow(0.9, t)), v_hat = v / (1 - std::pow(0.99, t));
    p = p - 0.125 * 0.1 * p - 0.125 * m_hat / (std::sqrt(v_hat) + 1e-8);
  }
  const auto got = trained(5, [](Graph graph, const Gradients& gradients) {
    adamw(graph, gradients, {.learning_rate = 0.125, .beta2 = 0.99, .weight_decay = 0.1});
  });
  EXPECT_NEAR(got[0], p, 1e-12);
}

TEST(OptimizerValues, ClippingScalesTheNormToItsLimit) {
  const auto clipped = [](double gradient, double limit) {
    return 1 - trained(
                   1,
                   [&](Graph graph, Gradients gradients) {
                     gradients = clip_by_global_norm(gradients, limit);
                     sgd(graph, gradients, {.learning_rate = 0.125});
                   },
                   gradient)[0];
  };
  const double norm = std::sqrt(0.5 * 0.5 + 1);
  EXPECT_NEAR(clipped(0.5, 10), 0.125 * 0.5, 1e-12) << "a small norm is left alone";
  EXPECT_NEAR(clipped(0.5, 0.1), 0.125 * 0.5 * 0.1 / norm, 1e-7);
}

/// adamw of three parameters, of which one has 128 Ki elements: its nodes in the graph's text.
int update_nodes(bool clipped) {
  Graph graph(Mode::train);
  const Value x = graph.input("x", {4, 256});
  const Value hidden = linear(x, graph.parameter("large", {512, 256}, zeros()),
                              graph.parameter("bias", {512}, zeros()));
  const Value out = linear(hidden, graph.parameter("small", {3, 512}, zeros()));
  Gradients found = gradients(mean(out), graph.parameters());
  if (clipped) found = clip_by_global_norm(found, 1);
  adamw(graph, found);
  const std::string text = graph.print();
  int count = 0;
  for (std::size_t at = text.find("adamw"); at != std::string::npos;
       at = text.find("adamw", at + 1))
    ++count;
  return count;
}

TEST(OptimizerNodes, LargeTensorsAreUpdatedAloneUnlessTheNormOfAllIsNeeded) {
  EXPECT_EQ(update_nodes(false), 2);
  EXPECT_EQ(update_nodes(true), 1);
}

TEST(OptimizerValues, GroupsHaveSettingsOfTheirOwn) {
  const auto got = trained(1, [](Graph graph, const Gradients& gradients) {
    sgd(graph, gradients,
        {.weight_decay = 0.5,
         .groups = {
             {.parameters = {graph.find("w")}, .weight_decay = 0, .learning_rate_scale = 0.5}}});
  });
  EXPECT_NEAR(got[0], 1 - 0.125 * 0.5 * 0.5, 1e-12);
}

}  // namespace
}  // namespace fornax
