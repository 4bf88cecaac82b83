// Fusion of training steps: what merges, that bits stay, and that order is restored.
#include <fornax/fornax.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>

#include "runtime/execution/plan.h"

namespace fornax {
namespace {

/// x -> linear -> activation -> linear -> activation -> linear -> cross entropy, with AdamW.
struct Perceptron {
  Graph graph{Mode::train};
  Value loss, wide, hidden;

  explicit Perceptron(std::string_view kind) {
    const Value x = graph.input("x", {6, 5});
    const Value label = graph.input("label", {6}, DType::i32);
    wide = linear(x, weight("w0", {8, 5}), weight("b0", {8}));
    hidden = activation(wide, kind);
    const Value second = activation(linear(hidden, weight("w1", {7, 8}), weight("b1", {7})), kind);
    loss = cross_entropy(linear(second, weight("w2", {4, 7}), weight("b2", {4})), label);
    adamw(graph, gradients(loss, graph.parameters()), {.learning_rate = 1e-2});
  }
  Value weight(std::string_view name, const Shape& shape) {
    return graph.parameter(name, shape, normal(0, 0.5));
  }
};

std::int64_t count(const GraphData& graph, std::string_view op) {
  return std::count_if(graph.nodes.begin(), graph.nodes.end(),
                       [&](const NodeData& node) { return node.op->name == op; });
}

/// SHA-256 of the state after three steps, and the losses and pre-activations on the way.
struct Training {
  std::string sha256;
  std::vector<double> losses;
  std::vector<float> wide;
  std::int64_t launches = 0;
};
Training train(std::string_view kind, const Device& device, bool fused) {
  Perceptron model(kind);
  State state = initialize(model.graph, device, {.seed = 3});
  Program step = compile(model.graph, state, {.outputs = {model.loss, model.wide}, .fuse = fused});
  Tensor x(DType::f32, {6, 5}), label(DType::i32, {6});
  for (std::size_t i = 0; i < 30; ++i) x.as<float>()[i] = static_cast<float>(i % 7) * 0.25f - 0.5f;
  for (std::size_t i = 0; i < 6; ++i)
    label.as<std::int32_t>()[i] = static_cast<std::int32_t>(i % 4);
  Training run;
  for (int k = 0; k < 3; ++k) {
    const Outputs& outputs = step.run({{"x", x}, {"label", label}});
    run.losses.push_back(outputs.scalar(model.loss));
    const auto wide = outputs.tensor(model.wide).as<float>();
    run.wide.assign(wide.begin(), wide.end());
  }
  run.sha256 = state.sha256();
  run.launches = step.summary().launches;
  return run;
}

TEST(Fuse, LinearTakesActivationsAndTheirGradients) {
  Perceptron model("gelu");
  GraphData fused = model.graph.data();
  EXPECT_EQ(count(fused, "activation"), 2);
  EXPECT_EQ(count(fused, "activation_grad"), 2);
  fuse(fused, {model.loss.id()}, kernels::DeviceModel());
  EXPECT_EQ(count(fused, "activation"), 0) << "fused into linear";
  EXPECT_EQ(count(fused, "activation_grad"), 0) << "fused into linear_dgrad";
  EXPECT_EQ(count(fused, "linear"), 3);
}

TEST(Fuse, ValuesKeepTheirProducersAndOrder) {
  Perceptron model("gelu");
  GraphData fused = model.graph.data();
  fuse(fused, {model.loss.id(), model.wide.id()}, kernels::DeviceModel());
  for (int n = 0; n < static_cast<int>(fused.nodes.size()); ++n) {
    const NodeData& node = fused.nodes[static_cast<std::size_t>(n)];
    for (const int id : node.in)
      EXPECT_TRUE(id == kAbsent || fused.values[static_cast<std::size_t>(id)].producer < n);
    for (std::size_t i = 0; i < node.out.size(); ++i) {
      if (node.out[i] == kAbsent) continue;
      EXPECT_EQ(fused.values[static_cast<std::size_t>(node.out[i])].producer, n);
      EXPECT_EQ(fused.values[static_cast<std::size_t>(node.out[i])].output, static_cast<int>(i));
    }
  }
  EXPECT_NE(fused.values[static_cast<std::size_t>(model.wide.id())].producer, kAbsent)
      << "a returned value is still made";
}

/// x -> linear -> tanh -> linear, a loss, and an update; weights of 128 Ki elements are updated
/// alone.
struct WidePerceptron {
  Graph graph{Mode::train};
  Value loss, gradient;

  explicit WidePerceptron(std::int64_t rows) {
    const Value x = graph.input("x", {rows, 512});
    const Value w0 = graph.parameter("w0", {300, 512}, normal(0, 0.1));
    const Value w1 = graph.parameter("w1", {512, 300}, normal(0, 0.1));
    loss = mean(square(linear(tanh(linear(x, w0)), w1)));
  }
  /// Of the loss; gradient is that of w0.
  Gradients found() {
    Gradients all = gradients(loss, graph.parameters());
    gradient = all.items[0].gradient;
    return all;
  }
  std::int64_t merged(const std::vector<int>& outputs,
                      const kernels::DeviceModel& model = kernels::DeviceModel()) {
    GraphData fused = graph.data();
    fuse(fused, outputs, model);
    return count(fused, "linear_wgrad_update");
  }
};

TEST(Fuse, AWeightIsUpdatedWithItsGradient) {
  WidePerceptron model(8);
  adamw(model.graph, model.found());
  EXPECT_EQ(model.merged({model.loss.id()}), 2);
  EXPECT_EQ(model.merged({model.loss.id(), model.gradient.id()}), 1) << "one is returned";
  kernels::DeviceModel without;
  without.backend = kernels::Backend::cuda, without.module = "a module that was never loaded";
  EXPECT_EQ(model.merged({model.loss.id()}, without), 0) << "no kernel computes it there";
}

TEST(Fuse, AGradientThatIsClippedOrLongIsNot) {
  WidePerceptron clipped(8), long_sum(513), sgd_of(512);
  adamw(clipped.graph, clip_by_global_norm(clipped.found(), 1));
  EXPECT_EQ(clipped.merged({clipped.loss.id()}), 0);
  sgd(long_sum.graph, long_sum.found());
  EXPECT_EQ(long_sum.merged({long_sum.loss.id()}), 0);
  sgd(sgd_of.graph, sgd_of.found());
  EXPECT_EQ(sgd_of.merged({sgd_of.loss.id()}), 2);
}

TEST(Fuse, AnUpdatedWeightKeepsItsBitsAndItsGradientTakesNoMemory) {
  for (const char* optimizer : {"sgd", "momentum", "adamw"}) {
    std::string sha256[2];
    std::int64_t arena_bytes[2];
    for (const bool fused : {false, true}) {
      WidePerceptron model(24);
      if (std::string(optimizer) == "adamw")
        adamw(model.graph, model.found());
      else
        sgd(model.graph, model.found(), {.momentum = *optimizer == 'm' ? 0.9 : 0.0});
      State state = initialize(model.graph, Device::cpu(2), {.seed = 3});
      Program step = compile(model.graph, state, {.outputs = {model.loss}, .fuse = fused});
      Tensor x(DType::f32, {24, 512});
      for (std::size_t i = 0; i < x.as<float>().size(); ++i)
        x.as<float>()[i] = static_cast<float>(i * 7 % 23) * 0.25f - 2;
      for (int k = 0; k < 3; ++k) step.run({{"x", x}});
      sha256[fused] = state.sha256();
      arena_bytes[fused] = step.summary().arena_bytes;
    }
    EXPECT_EQ(sha256[0], sha256[1]) << optimizer;
    EXPECT_LT(arena_bytes[1], arena_bytes[0] - 256 * 1024) << optimizer;
  }
}

class FuseBits : public ::testing::TestWithParam<const char*> {};

TEST_P(FuseBits, StayTheSame) {
  for (const Device& device : {Device::reference(), Device::cpu(2)}) {
    const Training plain = train(GetParam(), device, false),
                   fused = train(GetParam(), device, true);
    EXPECT_EQ(plain.sha256, fused.sha256) << to_string(device);
    EXPECT_EQ(plain.losses, fused.losses);
    EXPECT_EQ(plain.wide, fused.wide);
    EXPECT_LT(fused.launches, plain.launches);
    EXPECT_NE(plain.losses[0], plain.losses[2]) << "training must change the loss";
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, FuseBits, ::testing::Values("relu", "gelu", "silu", "tanh"));

/// y = relu(linear(x)) + z, where z reads linear(x) and stands before relu: the merged node stands
/// where linear stood.
TEST(Fuse, ReadersOfWhatTheMergedNodeMakesStayBehindIt) {
  Graph graph(Mode::evaluate);
  const Value x = graph.input("x", {2, 3});
  const Value y = linear(x, graph.parameter("w", {4, 3}, normal(0, 1)));
  const Value between = multiply(y, 2.0);
  const Value after = multiply(between, 3.0);
  const Value z = relu(y);
  const Value sum = add(after, z);
  GraphData fused = graph.data();
  fuse(fused, {sum.id()}, kernels::DeviceModel());
  EXPECT_EQ(count(fused, "activation"), 0);
  EXPECT_EQ(fused.values[static_cast<std::size_t>(z.id())].producer, 0);
  EXPECT_EQ(fused.values[static_cast<std::size_t>(y.id())].producer, 0);
  EXPECT_NO_THROW(check_plan(make_plan(graph.data(), {}, {.outputs = {sum.id()}})));
}

/// linear_dgrad reads w before its update, the saved value comes from w after it: one node cannot
/// do both.
TEST(Fuse, MakesNoMergeThatWouldCloseACycle) {
  Graph graph(Mode::train);
  const Value w = graph.parameter("w", {3, 3}, normal(0, 1));
  const Value dx = graph.add("linear_dgrad", {graph.input("dy", {2, 3}), w})[0];
  const Value new_w = graph.add("sgd", {w, graph.input("dw", {3, 3}), Value()},
                                {{"tensors", std::int64_t{1}},
                                 {"moments", std::int64_t{0}},
                                 {"learning_rate_slot", graph.step_scalar("rate", 0.5)},
                                 {"momentum", 0.0},
                                 {"nesterov", std::int64_t{0}},
                                 {"weight_decay", std::vector<double>{0}},
                                 {"learning_rate_scale", std::vector<double>{1}}})[0];
  const Value saved = linear(graph.input("x", {2, 3}), new_w);
  const Value dz = graph.add("activation_grad", {dx, saved}, {{"kind", std::string("gelu")}})[0];
  const Plan plan = make_plan(graph.data(), {}, {.outputs = {dz.id()}});
  EXPECT_EQ(count(plan.graph, "activation_grad"), 1);
  EXPECT_NO_THROW(check_plan(plan));
}

double milliseconds_of_fuse(GraphData& graph, const std::vector<int>& outputs) {
  const auto start = std::chrono::steady_clock::now();
  fuse(graph, outputs, kernels::DeviceModel());
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

Value layer(Graph graph, Value x, int index) {
  const std::string name = std::to_string(index);
  return linear(x, graph.parameter("w" + name, {4, 4}, zeros()),
                graph.parameter("b" + name, {4}, zeros()));
}

/// The time is printed and no test: work is linear in the nodes where no merge searches.
TEST(FuseScale, AHundredThousandNodesOfTraining) {
  for (const int layers : {4200, 8400, 16800}) {
    Graph graph(Mode::train);
    Value x = graph.input("x", {2, 4});
    for (int i = 0; i < layers; ++i) x = gelu(layer(graph, x, i));
    const Value loss = mean(x);
    adamw(graph, gradients(loss, graph.parameters()), {});
    GraphData fused = graph.data();
    const double time = milliseconds_of_fuse(fused, {loss.id()});
    std::printf("%zu nodes: %.0f ms, %zu left\n", graph.data().nodes.size(), time,
                fused.nodes.size());
    EXPECT_EQ(count(fused, "activation") + count(fused, "activation_grad"), 1)
        << "the last gradient comes from the mean";
    EXPECT_EQ(count(fused, "column_sum"), 1);
  }
}

/// Every activation stands behind all layers, each of which reads the one before.
TEST(FuseScale, ActivationsFarBehindTheirLayers) {
  for (const int layers : {12500, 25000, 50000}) {
    Graph graph(Mode::evaluate);
    std::vector<Value> values{graph.input("x", {2, 4})};
    for (int i = 0; i < layers; ++i) values.push_back(layer(graph, values.back(), i));
    std::vector<int> outputs;
    for (int i = 1; i <= layers; ++i)
      outputs.push_back(relu(values[static_cast<std::size_t>(i)]).id());
    GraphData fused = graph.data();
    const double time = milliseconds_of_fuse(fused, outputs);
    std::printf("%d layers, activations behind: %.0f ms\n", layers, time);
    EXPECT_EQ(count(fused, "activation"), 0);
    EXPECT_EQ(count(fused, "linear"), layers);
  }
}

}  // namespace
}  // namespace fornax
