// three_layer: the 3-5-3 sigmoid network by hand and by fornax. One step is printed number by
// number beside the formulas of backpropagation, then the network trains.
//
// With E = 1/2 sum (y - a)^2 the error of the output layer is delta = (a - y) s'(z), and a step of
// gradient descent subtracts rate * dE/dw. Texts that write delta = (y - a) s'(z) and subtract all
// the same climb the error; with that sign one must add.
#include <fornax/fornax.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

namespace {

using namespace fornax;
using Numbers = std::vector<double>;

constexpr std::int64_t kIn = 3, kHidden = 5, kOut = 3;
constexpr double kRate = 0.1;

struct Network {
  Graph graph;
  Value z1, a1, z2, a2, loss;
  Value delta2, delta1;           // dE/dz of the output and of the hidden layer
  std::vector<Value> parameters;  // w1 [5, 3], b1 [5], w2 [3, 5], b2 [3]
  std::vector<Value> gradients;
};

Network build() {
  Network n;
  Graph& graph = n.graph;
  const Value x = graph.input("x", {1, kIn}), y = graph.input("y", {1, kOut});
  const Value w1 = graph.parameter("w1", {kHidden, kIn}, normal());
  const Value b1 = graph.parameter("b1", {kHidden}, normal());
  const Value w2 = graph.parameter("w2", {kOut, kHidden}, normal());
  const Value b2 = graph.parameter("b2", {kOut}, normal());
  n.z1 = linear(x, w1, b1);     // [1, 5]
  n.a1 = sigmoid(n.z1);         // [1, 5]
  n.z2 = linear(n.a1, w2, b2);  // [1, 3]
  n.a2 = sigmoid(n.z2);         // [1, 3]
  n.loss = multiply(sum(square(subtract(n.a2, y))), 0.5);
  n.parameters = {w1, b1, w2, b2};
  std::vector<Value> wanted = n.parameters;
  wanted.push_back(n.z1), wanted.push_back(n.z2);
  Gradients all = gradients(n.loss, wanted);
  n.delta2 = all.items.back().gradient, all.items.pop_back();
  n.delta1 = all.items.back().gradient, all.items.pop_back();
  for (const ParameterGradient& item : all.items) n.gradients.push_back(item.gradient);
  sgd(graph, all, {.learning_rate = kRate});
  return n;
}

Numbers numbers(const Tensor& tensor) {
  const auto values = tensor.as<float>();
  return {values.begin(), values.end()};
}

double s(double z) { return 1 / (1 + std::exp(-z)); }

/// Everything the formulas give, in double, from the parameters before the step.
struct ByHand {
  Numbers z1, a1, z2, a2, delta2, delta1, dw1, db1, dw2, db2;
  double loss = 0;

  ByHand(const std::array<Numbers, 4>& p, const Numbers& x, const Numbers& y) {
    const auto& [w1, b1, w2, b2] = p;
    layer(w1, b1, x, z1, a1);
    layer(w2, b2, a1, z2, a2);
    for (std::size_t i = 0; i < y.size(); ++i) {
      loss += 0.5 * (y[i] - a2[i]) * (y[i] - a2[i]);
      delta2.push_back((a2[i] - y[i]) * a2[i] * (1 - a2[i]));
    }
    for (std::size_t j = 0; j < a1.size(); ++j) {
      double back = 0;
      for (std::size_t i = 0; i < delta2.size(); ++i) back += w2[i * a1.size() + j] * delta2[i];
      delta1.push_back(back * a1[j] * (1 - a1[j]));
    }
    outer(delta1, x, dw1), outer(delta2, a1, dw2);
    db1 = delta1, db2 = delta2;
  }

  static void layer(const Numbers& w, const Numbers& b, const Numbers& in, Numbers& z, Numbers& a) {
    for (std::size_t i = 0; i < b.size(); ++i) {
      double sum = b[i];
      for (std::size_t j = 0; j < in.size(); ++j) sum += w[i * in.size() + j] * in[j];
      z.push_back(sum), a.push_back(s(sum));
    }
  }
  static void outer(const Numbers& delta, const Numbers& in, Numbers& dw) {
    for (const double d : delta)
      for (const double value : in) dw.push_back(d * value);
  }
};

/// Prints a row a number and returns the largest difference.
double compare(const char* name, const Numbers& ours, const Numbers& by_hand) {
  double worst = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const std::string label = std::string(name) + '[' + std::to_string(i) + ']';
    std::printf("  %-10s %13.9f %13.9f  %8.1e\n", label.c_str(), ours[i], by_hand[i],
                std::fabs(ours[i] - by_hand[i]));
    worst = std::max(worst, std::fabs(ours[i] - by_hand[i]));
  }
  return worst;
}

double show_step(const Network& n, const State& state, Program& step, const Tensor& x,
                 const Tensor& y) {
  std::array<Numbers, 4> parameters;
  for (std::size_t i = 0; i < 4; ++i) parameters[i] = numbers(state.get(n.parameters[i].name()));
  const ByHand hand(parameters, numbers(x), numbers(y));
  const Outputs& out = step.run({{"x", x}, {"y", y}});
  std::printf("One step, x = (1, 0, 1), rate %.1f\n  %-10s %13s %13s  %8s\n", kRate, "", "fornax",
              "by hand", "differ");
  double worst = 0;
  const auto row = [&](const char* name, Value value, const Numbers& by_hand) {
    worst = std::max(worst, compare(name, numbers(out.tensor(value)), by_hand));
  };
  row("z1", n.z1, hand.z1), row("a1", n.a1, hand.a1), row("z2", n.z2, hand.z2);
  row("a2", n.a2, hand.a2), row("E", n.loss, {hand.loss});
  row("delta2", n.delta2, hand.delta2), row("delta1", n.delta1, hand.delta1);
  row("dE/dw1", n.gradients[0], hand.dw1), row("dE/db1", n.gradients[1], hand.db1);
  row("dE/dw2", n.gradients[2], hand.dw2), row("dE/db2", n.gradients[3], hand.db2);
  const Numbers* steps[] = {&hand.dw1, &hand.db1, &hand.dw2, &hand.db2};
  for (std::size_t p = 0; p < 4; ++p) {
    Numbers after = parameters[p];
    for (std::size_t i = 0; i < after.size(); ++i) after[i] -= kRate * (*steps[p])[i];
    const std::string name = n.parameters[p].name() + " after";
    worst =
        std::max(worst, compare(name.c_str(), numbers(state.get(n.parameters[p].name())), after));
  }
  return worst;
}

struct Sample {
  Tensor x, y;
};

/// The eight inputs of three bits; outputs: all of them, any of them, most of them.
std::vector<Sample> truth_table() {
  std::vector<Sample> samples;
  for (int bits = 0; bits < 8; ++bits) {
    const int count = (bits & 1) + (bits >> 1 & 1) + (bits >> 2 & 1);
    samples.push_back(
        {Tensor({1, kIn}, {static_cast<float>(bits & 1), static_cast<float>(bits >> 1 & 1),
                           static_cast<float>(bits >> 2 & 1)}),
         Tensor({1, kOut},
                {count == 3 ? 1.0f : 0.0f, count > 0 ? 1.0f : 0.0f, count >= 2 ? 1.0f : 0.0f})});
  }
  return samples;
}

int run(const std::string& device, std::uint64_t seed, int epochs) {
  const Network n = build();
  const State state = initialize(n.graph, Device::parse(device), {.seed = seed});
  CompileOptions everything{.outputs = {n.z1, n.a1, n.z2, n.a2, n.loss, n.delta2, n.delta1}};
  for (const Value& gradient : n.gradients) everything.outputs.push_back(gradient);
  Program shown = compile(n.graph, state, everything);
  Program step = compile(n.graph, state, {.outputs = {n.loss}});

  const std::vector<Sample> samples = truth_table();
  const double worst = show_step(n, state, shown, samples[5].x, samples[5].y);
  std::printf(
      "Largest difference from the formulas in double: %.1e\n\nTraining on 3 bits -> "
      "(all, any, most)\n",
      worst);
  const auto begin = std::chrono::steady_clock::now();
  double error = 0;
  for (int epoch = 1; epoch <= epochs; ++epoch) {
    error = 0;
    for (const Sample& sample : samples)
      error += step.run({{"x", sample.x}, {"y", sample.y}}).scalar(n.loss);
    if (epoch == 1 || epoch % std::max(1, epochs / 5) == 0)
      std::printf("  epoch %6d  E = %.6f\n", epoch, error);
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("%.0f steps in %.2f s, %.2f us each; state %s\n", epochs * 8.0, seconds,
              seconds / (epochs * 8.0) * 1e6, state.sha256().c_str());
  return worst < 1e-5 ? 0 : 1;
}

}  // namespace

int main(int count, char** words) {
  CLI::App app("The 3-5-3 sigmoid network: one step by hand and by fornax, then training.");
  std::string device = "cpu";
  std::uint64_t seed = 1;
  int epochs = 5000;
  app.add_option("--device", device, "cpu, reference, simt or cuda");
  app.add_option("--seed", seed, "seed of the initial weights");
  app.add_option("--epochs", epochs, "passes over the eight samples")->check(CLI::PositiveNumber);
  try {
    app.parse(count, words);
    return run(device, seed, epochs);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "three_layer: %s\n", error.what());
    return 1;
  }
}
