// Networks: a whole training step, the building of its graph, its compilation.
#include <fornax/fornax.h>

#include <memory>
#include <random>
#include <stdexcept>

#include "tests/bench/step_cases.h"

namespace fornax::bench {

namespace {

Tensor label_values(std::int64_t count, std::int64_t classes) {
  Tensor tensor(DType::i32, {count});
  std::mt19937 engine(7);
  std::uniform_int_distribution<std::int32_t> draw(0, static_cast<std::int32_t>(classes - 1));
  for (std::int32_t& value : tensor.as<std::int32_t>()) value = draw(engine);
  return tensor;
}

struct Network {
  Graph graph;
  Value loss;
};

Value network_loss(Graph graph, Value y, const Settings& settings) {
  const std::string loss = settings.text("loss", "cross_entropy");
  const std::int64_t batch = y.shape()[0];
  if (loss == "cross_entropy") return cross_entropy(y, graph.input("target", {batch}, DType::i32));
  const Value target = graph.input("target", y.shape());
  if (loss == "mean_squared_error") return mean_squared_error(y, target);
  if (loss == "half_squares") return multiply(sum(square(subtract(y, target))), 0.5);
  throw std::runtime_error(loss + ": no such loss");
}

Network build_network(const Settings& settings) {
  Network n;
  const std::vector<std::int64_t> widths = settings.list("widths");
  const std::string kind = settings.text("activation", "relu");
  const bool last_too = settings.integer("last_activation", 0) != 0;
  if (widths.size() < 2) throw std::runtime_error("widths: two numbers at least");
  Value h = n.graph.input("x", {settings.integer("batch", 1), widths[0]});
  for (std::size_t i = 1; i < widths.size(); ++i) {
    const std::string number = std::to_string(i);
    const Value w = n.graph.parameter("w" + number, {widths[i], widths[i - 1]}, he_normal());
    const Value b = n.graph.parameter("b" + number, {widths[i]}, normal(0, 0.1));
    h = linear(h, w, b);
    if (i + 1 < widths.size() || last_too) h = activation(h, kind);
  }
  n.loss = network_loss(n.graph, h, settings);
  const Gradients all = gradients(n.loss, n.graph.parameters());
  const double rate = settings.number("rate", 1e-3);
  const std::string optimizer = settings.text("optimizer", "adamw");
  if (optimizer == "adamw") {
    adamw(n.graph, all, {.learning_rate = rate});
  } else if (optimizer == "sgd") {
    sgd(n.graph, all, {.learning_rate = rate});
  } else {
    throw std::runtime_error(optimizer + ": no such optimizer");
  }
  return n;
}

}  // namespace

Case load_network(const Settings& settings) {
  struct Content {
    Network network;
    State state;
    Tensor x, target;
    Program program;
  };
  auto c = std::make_shared<Content>();
  c->network = build_network(settings);
  const Graph& graph = c->network.graph;
  c->state = initialize(graph, settings.device(), {.seed = 1});
  const Shape inputs = graph.find("x").shape(), targets = graph.find("target").shape();
  c->x = normal_values(inputs, 3);
  c->target = targets.rank() == 1 ? label_values(inputs[0], settings.list("widths").back())
                                  : normal_values(targets, 5);
  if (settings.text("data", "") != "") {
    TensorMap tensors = c->state.parameters();
    tensors["input.x"] = c->x, tensors["input.target"] = c->target;
    write_data(settings, tensors);
  }
  forget_peak();
  c->program = compile(graph, c->state, {.outputs = {c->network.loss}});
  Case loaded;
  loaded.plan = c->program.summary();
  const auto step = [c] {
    return c->program.run({{"x", c->x}, {"target", c->target}}).scalar(c->network.loss);
  };
  std::vector<double> losses;
  const std::int64_t checked = settings.integer("checked", 5);
  for (std::int64_t i = 0; i < checked; ++i) losses.push_back(step());
  loaded.check = {losses};
  loaded.step = [step] { step(); };
  return loaded;
}

Case load_build(const Settings& settings) {
  return {[settings] { build_network(settings); },
          {{static_cast<double>(build_network(settings).graph.node_count())}},
          {}};
}

Case load_compile(const Settings& settings) {
  struct Content {
    Network network;
    State state;
  };
  auto c = std::make_shared<Content>();
  c->network = build_network(settings);
  c->state = initialize(c->network.graph, settings.device(), {.seed = 1});
  Case loaded;
  loaded.step = [c] { compile(c->network.graph, c->state, {.outputs = {c->network.loss}}); };
  loaded.plan = compile(c->network.graph, c->state, {.outputs = {c->network.loss}}).summary();
  loaded.check = {{static_cast<double>(c->network.graph.node_count())}};
  return loaded;
}

}  // namespace fornax::bench
