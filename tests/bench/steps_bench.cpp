// A server of training steps: builds one case, writes its initial values for the peers, runs five
// steps, prints what they gave as one line of JSON, then answers every line "N" on standard input
// with the seconds that N more steps took, and "memory" with the peak of resident bytes.
//
//   steps_bench KIND KEY=VALUE...
//   network  widths=784,512,10 batch=64 activation=relu loss=cross_entropy optimizer=adamw
//   rate=1e-3 op       op=add|gelu|softmax|column_sum|adamw rows=4096 columns=1024 build, compile
//   as network; a step is then one build of the graph, or one compile
// All take device=cpu:2 and data=FILE (where initial values and inputs are written).
#include <fornax/fornax.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace fornax;

/// The words KEY=VALUE of the command line.
class Settings {
 public:
  Settings(int count, char** words) {
    for (int i = 2; i < count; ++i) {
      const std::string word = words[i];
      const std::size_t equals = word.find('=');
      if (equals == std::string::npos) throw std::runtime_error(word + ": KEY=VALUE expected");
      values_[word.substr(0, equals)] = word.substr(equals + 1);
    }
  }
  std::string text(const std::string& key, const std::string& otherwise) const {
    const auto at = values_.find(key);
    return at == values_.end() ? otherwise : at->second;
  }
  std::int64_t integer(const std::string& key, std::int64_t otherwise) const {
    return std::stoll(text(key, std::to_string(otherwise)));
  }
  double number(const std::string& key, double otherwise) const {
    return std::stod(text(key, std::to_string(otherwise)));
  }
  std::vector<std::int64_t> list(const std::string& key) const {
    std::vector<std::int64_t> numbers;
    std::stringstream words(text(key, ""));
    for (std::string word; std::getline(words, word, ',');) numbers.push_back(std::stoll(word));
    return numbers;
  }

 private:
  std::map<std::string, std::string> values_;
};

Tensor normal_values(const Shape& shape, std::uint32_t seed) {
  Tensor tensor(DType::f32, shape);
  std::mt19937 engine(seed);
  std::normal_distribution<float> draw;
  for (float& value : tensor.as<float>()) value = draw(engine);
  return tensor;
}

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

/// What the loop serves: one step, what five of them must give everywhere, and the plan.
struct Server {
  std::function<void()> step;
  std::vector<double> check;  // numbers that a peer must give too
  PlanSummary plan;
};

void write_data(const Settings& settings, TensorMap tensors) {
  const std::string path = settings.text("data", "");
  if (!path.empty()) save_safetensors(path, tensors);
}

Server serve_network(const Settings& settings) {
  struct Content {
    Network network;
    State state;
    Tensor x, target;
    Program program;
  };
  auto c = std::make_shared<Content>();
  c->network = build_network(settings);
  const Graph& graph = c->network.graph;
  c->state = initialize(graph, Device::parse(settings.text("device", "cpu")), {.seed = 1});
  const Shape inputs = graph.find("x").shape(), targets = graph.find("target").shape();
  c->x = normal_values(inputs, 3);
  c->target = targets.rank() == 1 ? label_values(inputs[0], settings.list("widths").back())
                                  : normal_values(targets, 5);
  TensorMap tensors = c->state.parameters();
  tensors["input.x"] = c->x, tensors["input.target"] = c->target;
  write_data(settings, std::move(tensors));
  c->program = compile(graph, c->state, {.outputs = {c->network.loss}});
  Server server;
  server.plan = c->program.summary();
  const auto step = [c] {
    return c->program.run({{"x", c->x}, {"target", c->target}}).scalar(c->network.loss);
  };
  const std::int64_t checked = settings.integer("checked", 5);
  for (std::int64_t i = 0; i < checked; ++i) server.check.push_back(step());
  server.step = [step] { step(); };
  return server;
}

/// The first row of y leaves the program: all of y is computed, little is copied.
Value first_row(Value y) { return slice(y, 0, 0, 1); }

Value op_result(Graph graph, const std::string& op, Value x, Value other) {
  if (op == "add") return first_row(add(x, other));
  if (op == "gelu") return first_row(gelu(x));
  if (op == "softmax") return first_row(softmax(x));
  if (op == "column_sum") return sum(x, {0});
  if (op != "adamw") throw std::runtime_error(op + ": no such op");
  adamw(graph, Gradients{{{x, other}}, {}, {}}, {.learning_rate = 1e-3});
  return {};
}

/// Operands are parameters, so that a step copies none of them.
Server serve_op(const Settings& settings) {
  struct Content {
    Graph graph;
    State state;
    Program program;
  };
  auto c = std::make_shared<Content>();
  const std::string op = settings.text("op", "");
  const Shape shape{settings.integer("rows", 1), settings.integer("columns", 1)};
  const Value x = c->graph.parameter("x", shape, normal());
  const bool two = op == "add" || op == "adamw";
  const Value other =
      two ? c->graph.parameter("other", shape, normal(), {.trainable = false}) : Value();
  const Value result = op_result(c->graph, op, x, other);
  c->state = initialize(c->graph, Device::parse(settings.text("device", "cpu")), {.seed = 1});
  write_data(settings, c->state.parameters());
  CompileOptions options;
  if (result) options.outputs.push_back(result);
  c->program = compile(c->graph, c->state, options);
  Server server{[c] { c->program.run({}); }, {}, c->program.summary()};
  for (int i = 0; i < 4; ++i) server.step();
  const Outputs& outputs = c->program.run({});
  const Tensor values = result ? outputs.tensor(result) : c->state.get("x");
  for (std::size_t i = 0; i < 8; ++i) server.check.push_back(values.as<float>()[i]);
  return server;
}

Server serve_build(const Settings& settings) {
  return {[settings] { build_network(settings); },
          {static_cast<double>(build_network(settings).graph.node_count())},
          {}};
}

Server serve_compile(const Settings& settings) {
  struct Content {
    Network network;
    State state;
  };
  auto c = std::make_shared<Content>();
  c->network = build_network(settings);
  c->state =
      initialize(c->network.graph, Device::parse(settings.text("device", "cpu")), {.seed = 1});
  Server server;
  server.step = [c] { compile(c->network.graph, c->state, {.outputs = {c->network.loss}}); };
  server.plan = compile(c->network.graph, c->state, {.outputs = {c->network.loss}}).summary();
  server.check = {static_cast<double>(c->network.graph.node_count())};
  return server;
}

Server make_server(const std::string& kind, const Settings& settings) {
  if (kind == "network") return serve_network(settings);
  if (kind == "op") return serve_op(settings);
  if (kind == "build") return serve_build(settings);
  if (kind == "compile") return serve_compile(settings);
  throw std::runtime_error(kind + ": no such kind of case");
}

long long peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind("VmHWM:", 0) == 0) return 1024 * std::atoll(line.c_str() + 6);
  return 0;
}

void print_ready(const Server& server) {
  std::printf("{\"check\": [");
  for (std::size_t i = 0; i < server.check.size(); ++i)
    std::printf("%s%.9g", i > 0 ? ", " : "", server.check[i]);
  const PlanSummary& plan = server.plan;
  std::printf("], \"nodes\": %lld, \"launches\": %lld, \"arena_bytes\": %lld",
              static_cast<long long>(plan.nodes), static_cast<long long>(plan.launches),
              static_cast<long long>(plan.arena_bytes));
  std::printf(", \"state_bytes\": %lld, \"flops\": %.6g}\n",
              static_cast<long long>(plan.state_bytes), plan.flops);
  std::fflush(stdout);
}

void serve(const Server& server) {
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "memory") {
      std::printf("%lld\n", peak_resident_bytes());
    } else {
      const long long steps = std::atoll(line.c_str());
      const auto begin = std::chrono::steady_clock::now();
      for (long long i = 0; i < steps; ++i) server.step();
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
      std::printf("%.9f\n", taken.count());
    }
    std::fflush(stdout);
  }
}

}  // namespace

int main(int count, char** words) {
  try {
    if (count < 2) throw std::runtime_error("steps_bench KIND KEY=VALUE...");
    const Server server = make_server(words[1], Settings(count, words));
    print_ready(server);
    serve(server);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "steps_bench: %s\n", error.what());
    return 1;
  }
}
