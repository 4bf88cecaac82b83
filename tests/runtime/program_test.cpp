// Programs: inputs and outputs and what is refused, bad labels and indices, shared and frozen and
// tied parameters, the f64 reference.
#include <fornax/fornax.h>

#include <algorithm>
#include <cmath>

#include "tests/runtime/expect_error.h"

namespace fornax {
namespace {

constexpr ErrorCode kInvalid = ErrorCode::invalid_argument;

/// A classifier of [8, 6] with every kind of layer that a training step may have.
struct Classifier {
  Graph graph;
  Value loss, logits, dropped;

  explicit Classifier(Mode mode = Mode::train) : graph(mode) {
    const Value x = graph.input("x", {8, 6});
    const Value label = graph.input("label", {8}, DType::i32);
    dropped = mode == Mode::train ? dropout(gelu(first(x)), 0.25) : gelu(first(x));
    logits = linear(dropped, graph.parameter("w2", {3, 10}, xavier_uniform()),
                    graph.parameter("b2", {3}, zeros()));
    loss = cross_entropy(logits, label);
    if (mode == Mode::evaluate) return;
    adamw(graph, clip_by_global_norm(gradients(loss, graph.parameters()), 1.0),
          {.learning_rate = 0.02});
  }
  /// No bias before batch norm: its gradient is rounding errors, which AdamW makes as large as any.
  Value first(Value x) {
    return batch_norm(linear(x, graph.parameter("w1", {10, 6}, he_normal())), "norm");
  }
};

Tensor features(int shift = 0) {
  Tensor x(DType::f32, {8, 6});
  for (std::size_t i = 0; i < 48; ++i)
    x.as<float>()[i] = static_cast<float>(std::sin(static_cast<double>(i * i + 3) + shift));
  return x;
}
Tensor labels() { return Tensor({8}, {0, 1, 2, 2, 1, 0, 0, 1}); }

/// bf16 passes through f32 copies on the CPU, of views too: here one that repeats rows and begins
/// within its memory, one that leaves gaps and one that is transposed.
TEST(ProgramRun, WidensViewsAsTheyLie) {
  Graph graph;
  const Value x = graph.input("x", {5, 6}), narrow = cast(x, DType::bf16);
  const auto results = [](Value v) {
    return std::vector{add(broadcast(slice(v, 0, 2, 3), {4, 6}), 1.0),
                       multiply(slice(v, 1, 1, 4), 2.0), subtract(transpose(v), 3.0)};
  };
  std::vector<Value> outputs;
  for (const Value& y : results(narrow)) outputs.push_back(cast(y, DType::f32));
  for (const Value& y : results(x)) outputs.push_back(y);
  Tensor numbers(DType::f32, {5, 6});  // small integers: bf16 holds them and the results
  for (std::size_t i = 0; i < 30; ++i) numbers.as<float>()[i] = static_cast<float>(i);
  for (const char* device : {"cpu:1", "reference"}) {
    const State state = initialize(graph, Device::parse(device), {.seed = 1});
    Program step = compile(graph, state, {.outputs = outputs});
    const Outputs& got = step.run({{"x", numbers}});
    for (std::size_t i = 0; i < 3; ++i) {
      const Tensor &a = got.tensor(outputs[i]), &b = got.tensor(outputs[i + 3]);
      EXPECT_TRUE(std::equal(a.bytes().begin(), a.bytes().end(), b.bytes().begin()))
          << device << ", result " << i;
    }
  }
}

TEST(ProgramRun, RefusesWrongInputsAndLeavesTheState) {
  const Classifier model;
  for (const char* device : {"cpu:1", "cpu:2", "reference", "reference:f64"}) {
    const State state = initialize(model.graph, Device::parse(device), {.seed = 3});
    Program step = compile(model.graph, state, {.outputs = {model.loss}});
    step.run({{"x", features()}, {"label", labels()}});
    const std::string hash = state.sha256();
    const Tensor x = features(), label = labels();
    expect_error(ErrorCode::not_found, "input 'label' is not given", [&] { step.run({{"x", x}}); });
    expect_error(ErrorCode::not_found, "no input 'y'; its inputs are x, label", [&] {
      step.run({{"x", x}, {"label", label}, {"y", x}});
    });
    expect_error(ErrorCode::not_found, "no input 'w1'", [&] { step.run({{"w1", x}}); });
    expect_error(kInvalid, "input 'x' is given twice", [&] {
      step.run({{"x", x}, {"x", x}, {"label", label}});
    });
    expect_error(ErrorCode::shape, "input 'x' has shape [8, 5], the graph wants [8, 6]", [&] {
      step.run({{"label", label}, {"x", Tensor(DType::f32, {8, 5})}});
    });
    expect_error(ErrorCode::dtype, "input 'label' is f32, the graph wants i32", [&] {
      step.run({{"x", x}, {"label", Tensor(DType::f32, {8})}});
    });
    expect_error(ErrorCode::dtype, "input 'x' is i64, the graph wants f", [&] {
      step.run({{"x", Tensor(DType::i64, {8, 6})}, {"label", label}});
    });
    EXPECT_EQ(state.sha256(), hash) << device;
    EXPECT_EQ(state.step(), 1);
    step.run({{"label", label}, {"x", x}});  // in any order, and a refused run leaves no trace
    EXPECT_EQ(state.step(), 2);
    EXPECT_NE(state.sha256(), hash);
  }
}

TEST(ProgramRun, ReportsALabelOutOfRange) {
  const Classifier model(Mode::evaluate);
  for (const char* device : {"cpu:1", "cpu:2", "reference", "reference:f64"}) {
    const State state = initialize(model.graph, Device::parse(device), {.seed = 3});
    Program program = compile(model.graph, state, {.outputs = {model.loss}});
    const Tensor x = features();
    for (const auto& [row, bad] : {std::pair{2, 3}, {7, -1}, {0, 2147483647}}) {
      Tensor label = labels();
      label.as<std::int32_t>()[static_cast<std::size_t>(row)] = bad;
      expect_error(
          kInvalid,
          "out of range: value " + std::to_string(bad) + " at position " + std::to_string(row),
          [&] {
            program.run({{"x", x}, {"label", label}});
          });
    }
    Tensor two = labels();
    two.as<std::int32_t>()[6] = 9, two.as<std::int32_t>()[1] = 8;
    expect_error(kInvalid, "value 8 at position 1", [&] {
      program.run({{"x", x}, {"label", two}});
    });
    Tensor ignored = labels();
    ignored.as<std::int32_t>()[3] = -100;
    EXPECT_GT(program.run({{"x", x}, {"label", ignored}}).scalar(model.loss), 0);
  }
}

TEST(ProgramRun, ReportsAnIndexOutOfRange) {
  Graph graph;
  const Value index = graph.input("index", {2, 2}, DType::i32);
  const Value table = graph.parameter("table", {4, 3}, normal());
  const Value y = embedding(table, index), loss = sum(square(y));
  sgd(graph, gradients(loss, graph.parameters()), {});
  for (const char* device : {"cpu:1", "cpu:2", "reference"}) {
    const State state = initialize(graph, Device::parse(device));
    Program step = compile(graph, state, {.outputs = {loss}});
    const Tensor good({2, 2}, {0, 3, 1, 1}), bad({2, 2}, {0, 3, 4, -1});
    expect_error(kInvalid, "out of range: value 4 at position 2", [&] {
      step.run({{"index", bad}});
    });
    EXPECT_GT(step.run({{"index", good}}).scalar(loss), 0) << "the flag is taken down again";
  }
}

TEST(ProgramOutputs, AreThoseAskedFor) {
  const Classifier model, other;
  const State state = initialize(model.graph, Device::cpu(1));
  Program step = compile(model.graph, state, {.outputs = {model.loss, model.logits}});
  const Outputs& out = step.run({{"x", features()}, {"label", labels()}});
  EXPECT_EQ(out.tensor(model.logits).shape(), (Shape{8, 3}));
  EXPECT_TRUE(std::isfinite(out.scalar(model.loss)));
  const char* message = "was not among CompileOptions::outputs";
  expect_error(ErrorCode::not_found, message, [&] { out.tensor(model.dropped); });
  expect_error(ErrorCode::not_found, message, [&] { out.scalar(other.loss); });
  expect_error(ErrorCode::not_found, message, [&] { out.tensor(Value()); });
  expect_error(ErrorCode::shape, "", [&] { out.scalar(model.logits); });
  const char* absent = "an output is absent or belongs to another graph";
  expect_error(kInvalid, absent, [&] { compile(model.graph, state, {.outputs = {other.loss}}); });
  expect_error(kInvalid, absent, [&] { compile(model.graph, state, {.outputs = {Value()}}); });
}

/// What a step shows of views of a value and of a parameter that it updates, and of no elements.
std::vector<Tensor> shown_views(const Device& device, bool fuse) {
  Graph graph;
  const Value w = graph.parameter("w", {5, 6}, normal(0, 1));
  const Value y = gelu(w), nothing = slice(slice(w, 0, 3, 3), 1, 5, 6);
  sgd(graph, gradients(sum(y), {w}), {.learning_rate = 0.5});
  CompileOptions options;
  options.fuse = fuse;
  options.outputs = {transpose(y), broadcast(slice(y, 0, 4, 5), {3, 2, 6}),   slice(y, 1, 2, 5),
                     transpose(w), permute(reshape(w, {5, 2, 3}), {1, 0, 2}), nothing};
  options.outputs.push_back(options.outputs[0]);
  State state = initialize(graph, device, {.seed = 1});
  std::vector<Tensor> shown;
  Program step = compile(graph, state, options);
  const Tensor before = state.parameters().at("w");
  const Outputs& outputs = step.run({});
  for (const Value& view : options.outputs) shown.push_back(outputs.tensor(view));
  for (std::size_t i = 0; i < 30; ++i)
    EXPECT_EQ(shown[3].as<float>()[i % 6 * 5 + i / 6], before.as<float>()[i]);
  return shown;
}

TEST(ProgramOutputs, OfViewsAreRowMajor) {
  const std::vector<Tensor> expected = shown_views(Device::reference(), false);
  const std::span<const float> turned = expected[0].as<float>(), rows = expected[1].as<float>();
  ASSERT_EQ(expected[1].shape(), (Shape{3, 2, 6}));
  EXPECT_EQ(expected[5].shape(), (Shape{0, 1}));
  for (std::size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i], turned[i % 6 * 5 + 4]);
  for (const Device& device : {Device::cpu(1), Device::reference(), Device::simt()})
    for (const bool fuse : {false, true}) {
      const std::vector<Tensor> shown = shown_views(device, fuse);
      for (std::size_t i = 0; i < shown.size(); ++i)
        EXPECT_TRUE(std::ranges::equal(shown[i].bytes(), expected[i].bytes()))
            << i << " on " << to_string(device);
    }
}

TEST(ProgramOutputs, OfWhatIsUpdatedMustSayWhen) {
  Graph graph;
  const Value w = graph.parameter("w", {2}, ones());
  sgd(graph, gradients(sum(square(w)), graph.parameters()), {.learning_rate = 0.25});
  const State state = initialize(graph, Device::cpu(1));
  expect_error(ErrorCode::unsupported, "an output shows what 'w' held before sgd",
               [&] { compile(graph, state, {.outputs = {w}}); });
}

TEST(Programs, TrainAndEvaluateShareOneState) {
  const Classifier train, evaluate(Mode::evaluate);
  const State state = initialize(train.graph, Device::cpu(2), {.seed = 3});
  Program step = compile(train.graph, state, {.outputs = {train.loss}});
  Program look = compile(evaluate.graph, state, {.outputs = {evaluate.loss}});
  const Tensor x = features(), label = labels();
  const double before = look.run({{"x", x}, {"label", label}}).scalar(evaluate.loss);
  EXPECT_EQ(state.step(), 0) << "evaluation is no step";
  const std::string hash = state.sha256();
  EXPECT_EQ(look.run({{"x", x}, {"label", label}}).scalar(evaluate.loss), before);
  EXPECT_EQ(state.sha256(), hash) << "nor does it change anything";
  for (int i = 0; i < 100; ++i) step.run({{"x", x}, {"label", label}});
  EXPECT_EQ(state.step(), 100);
  EXPECT_LT(look.run({{"x", x}, {"label", label}}).scalar(evaluate.loss), before / 2);
}

TEST(Programs, LeaveFrozenParameters) {
  Graph graph;
  const Value x = graph.input("x", {4, 3});
  const Value frozen = graph.parameter("frozen", {5, 3}, normal(), {.trainable = false});
  const Value w = graph.parameter("w", {2, 5}, normal());
  const Value loss = mean(square(linear(tanh(linear(x, frozen)), w)));
  adamw(graph, gradients(loss, graph.parameters()), {.learning_rate = 0.1});
  const State state = initialize(graph, Device::cpu(1), {.seed = 1});
  const Tensor before = state.get("frozen"), moved = state.get("w");
  Program step = compile(graph, state, {});
  Tensor ones(DType::f32, {4, 3});
  for (float& one : ones.as<float>()) one = 1;
  for (int i = 0; i < 5; ++i) step.run({{"x", ones}});
  const auto bits = [](const Tensor& tensor) {
    return std::vector<std::byte>(tensor.bytes().begin(), tensor.bytes().end());
  };
  EXPECT_EQ(bits(state.get("frozen")), bits(before));
  EXPECT_NE(bits(state.get("w")), bits(moved));
  EXPECT_FALSE(state.has("frozen.moment1"));
}

// One matrix for two layers: its gradient is the sum of both uses.
TEST(Programs, TieParameters) {
  Graph graph;
  const Value w = graph.parameter("w", {1, 1}, constant(2));
  const Value loss = sum(linear(linear(graph.input("x", {1, 1}), w), w));
  const Gradients all = gradients(loss, graph.parameters());
  ASSERT_EQ(all.items.size(), 1u);
  sgd(graph, all, {.learning_rate = 0.125});
  for (const char* device : {"cpu:1", "reference"}) {
    const State state = initialize(graph, Device::parse(device));
    Program step = compile(graph, state, {.outputs = {loss, all.items[0].gradient}});
    const Outputs& out = step.run({{"x", Tensor({1, 1}, {3.0f})}});
    EXPECT_EQ(out.scalar(loss), 12);
    EXPECT_EQ(out.scalar(all.items[0].gradient), 12) << "d(w w x)/dw = 2 w x";
    EXPECT_EQ(state.get("w").scalar(), 2 - 0.125 * 12);
  }
}

TEST(Programs, TheF64ReferenceAgreesWithF32) {
  const Classifier model;
  State exact = initialize(model.graph, Device::reference(DType::f64), {.seed = 3});
  const State single = initialize(model.graph, Device::reference(), {.seed = 3});
  Program judge = compile(model.graph, exact, {.outputs = {model.loss, model.logits}});
  Program step = compile(model.graph, single, {.outputs = {model.loss, model.logits}});
  EXPECT_EQ(exact.get("w1").dtype(), DType::f64);
  EXPECT_EQ(exact.entries().size(), single.entries().size());
  // Small steps: AdamW's first ones are +-rate, whatever the size of the gradient.
  exact.set_scalar("learning_rate", 1e-3);
  State(single).set_scalar("learning_rate", 1e-3);
  for (int i = 0; i < 3; ++i) {
    const Tensor x = features(i), label = labels();
    const double wanted = judge.run({{"x", x}, {"label", label}}).scalar(model.loss);
    const double got = step.run({{"x", x}, {"label", label}}).scalar(model.loss);
    EXPECT_NEAR(got, wanted, 1e-5) << "step " << i;
    EXPECT_NE(got, wanted) << "one of them is not what it says";
  }
  for (const StateEntry& entry : single.entries()) {
    const Tensor got = single.get(entry.name), wanted = exact.get(entry.name);
    for (std::size_t i = 0; i < got.as<float>().size(); ++i)
      EXPECT_NEAR(static_cast<double>(got.as<float>()[i]), wanted.as<double>()[i], 1e-5)
          << entry.name << ' ' << i;
  }
}

TEST(Programs, ALearningRateKeepsItsDigitsInF64) {
  Graph graph;
  const Value w = graph.parameter("w", {1}, zeros());
  sgd(graph, gradients(sum(w), {w}), {.learning_rate = 0.1});
  for (const DType dtype : {DType::f64, DType::f32}) {
    State state = initialize(graph, Device::reference(dtype));
    Program step = compile(graph, state, {});
    step.run({});
    const double expected = dtype == DType::f64 ? -0.1 : -0.1f;
    EXPECT_EQ(state.get("w").scalar(), expected) << name(dtype);
    state.set_scalar("learning_rate", 0.3), state.set("w", Tensor({1}, {0.0f}));
    step.run({});
    EXPECT_EQ(state.get("w").scalar(), dtype == DType::f64 ? -0.3 : -0.3f) << name(dtype);
  }
}

TEST(Programs, AnInputThatNothingReadsMayBeLeftOut) {
  Graph graph;
  const Value x = graph.input("x", {2});
  graph.input("unread", {3});
  const Value y = sum(x);
  Program program = compile(graph, initialize(graph, Device::cpu(1)), {.outputs = {y}});
  const Tensor two({2}, {1.0f, 2.0f}), three(DType::f32, {3});
  EXPECT_EQ(program.run({{"x", two}}).scalar(y), 3);
  EXPECT_EQ(program.run({{"x", two}, {"unread", three}}).scalar(y), 3);
}

}  // namespace
}  // namespace fornax
