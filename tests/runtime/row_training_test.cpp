// Training steps that go by bands of rows give the reference's bits, whatever the widths, the
// batch, the loss and the threads.
#include <fornax/fornax.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "runtime/device/row_run.h"

namespace fornax {
namespace {

struct Problem {
  const char* name;
  std::vector<std::int64_t> widths;
  std::int64_t batch;
  std::string activation = "relu", loss = "cross_entropy";
  double drop_p = 0;
  bool residual = false;  ///< layers of one width add their input, and a row of their own
};

void PrintTo(const Problem& problem, std::ostream* out) { *out << problem.name; }

Tensor normal_tensor(const Shape& shape, unsigned seed) {
  Tensor tensor(DType::f32, shape);
  std::mt19937 engine(seed);
  std::normal_distribution<float> draw;
  for (float& x : tensor.as<float>()) x = draw(engine);
  return tensor;
}

/// Classes, with some rows that do not count.
Tensor label_tensor(std::int64_t rows, std::int64_t classes) {
  Tensor tensor(DType::i32, {rows});
  std::mt19937 engine(9);
  for (std::int32_t& label : tensor.as<std::int32_t>()) {
    label = static_cast<std::int32_t>(engine() % static_cast<unsigned>(classes + 1));
    if (label == classes) label = -100;
  }
  return tensor;
}

struct Trained {
  std::string state;
  std::vector<double> losses;
  bool operator==(const Trained&) const = default;
};

class ByBands : public ::testing::TestWithParam<Problem> {
 protected:
  ByBands() { banded_bytes = 0; }
  ~ByBands() override {
    banded_bytes = before_;
    set_log_sink({});
    set_log_levels("warning");
  }

  /// Three steps.
  static Trained train(const Device& device) {
    const Problem& p = GetParam();
    Graph graph;
    Value h = graph.input("x", {p.batch, p.widths[0]});
    for (std::size_t i = 1; i < p.widths.size(); ++i) {
      const std::string n = std::to_string(i);
      const Value before = h;
      h = linear(h, graph.parameter("w" + n, {p.widths[i], p.widths[i - 1]}, he_normal()),
                 graph.parameter("b" + n, {p.widths[i]}, normal(0, 0.1)));
      if (i + 1 == p.widths.size()) break;
      h = activation(h, p.activation);
      if (p.residual && p.widths[i] == p.widths[i - 1])
        h = add(multiply(h, graph.parameter("g" + n, {p.widths[i]}, ones())),
                multiply(before, 0.5));
      if (p.drop_p > 0) h = dropout(h, p.drop_p);
    }
    const bool classes = p.loss == "cross_entropy";
    const std::int64_t outputs = p.widths.back();
    const Value target = graph.input("target", classes ? Shape{p.batch} : h.shape(),
                                     classes ? DType::i32 : DType::f32);
    const Value loss = classes                          ? cross_entropy(h, target)
                       : p.loss == "mean_squared_error" ? mean_squared_error(h, target)
                                                        : binary_cross_entropy(h, target);
    adamw(graph, gradients(loss, graph.parameters()), {.learning_rate = 0.01});
    State state = initialize(graph, device, {.seed = 3});
    Program program = compile(graph, state, {.outputs = {loss}});
    const Tensor x = normal_tensor({p.batch, p.widths[0]}, 5);
    const Tensor y = classes ? label_tensor(p.batch, outputs) : normal_tensor(h.shape(), 6);
    Trained run;
    for (int step = 0; step < 3; ++step)
      run.losses.push_back(program.run({{"x", x}, {"target", y}}).scalar(loss));
    run.state = state.sha256();
    return run;
  }

  /// The same, and how many launches went by bands.
  static Trained train_counted(const Device& device, int& launches) {
    launches = 0;
    set_log_levels("plan=debug");
    set_log_sink([&](const LogRecord& record) {
      const std::string line(record.message);
      const std::size_t colon = line.find("rows:");
      if (line.rfind("by bands", 0) != 0 || colon == std::string::npos) return;
      launches +=
          static_cast<int>(std::count(line.begin() + static_cast<long>(colon), line.end(), ' '));
    });
    return train(device);
  }

 private:
  std::int64_t before_ = banded_bytes;
};

TEST_P(ByBands, HasTheBitsOfTheReference) {
  const Trained reference = train(Device::reference());
  const auto layers = static_cast<int>(GetParam().widths.size()) - 1;
  for (const int threads : {1, 2, 3}) {
    int launches = 0;
    EXPECT_EQ(train_counted(Device::cpu(threads), launches), reference) << threads << " threads";
    EXPECT_GE(launches, 3 * layers) << threads << " threads";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Networks, ByBands,
    ::testing::Values(
        Problem{"narrow", {32, 32, 32, 10}, 3072}, Problem{"one_column", {1, 1, 2}, 3500},
        Problem{"ragged", {7, 33, 19, 3}, 4099, "gelu"},
        Problem{"widest", {200, 250, 128, 40}, 3073, "silu"},
        Problem{"residual", {24, 24, 24, 7}, 3200, "silu", "cross_entropy", 0.1, true},
        Problem{"dropped", {16, 48, 24, 5}, 3600, "tanh", "cross_entropy", 0.3},
        Problem{"regression", {12, 64, 64, 1}, 5000, "relu", "mean_squared_error"},
        Problem{"logistic", {9, 17, 31, 6}, 3333, "sigmoid", "binary_cross_entropy"},
        Problem{
            "regression_dropped", {12, 20, 20, 3}, 3100, "gelu_tanh", "mean_squared_error", 0.1}),
    [](const auto& tested) { return tested.param.name; });

/// Sums of what is computed by rows go by bands with it, each row's or of all.
TEST(ByBandsSums, HaveTheBitsOfTheReference) {
  const std::int64_t before = banded_bytes.exchange(0);
  struct Case {
    Shape shape;
    std::vector<int> axes;
    bool by_bands;
  };
  const Case cases[] = {{{3300, 70}, {1}, true},           {{3, 1100, 40}, {-1}, true},
                        {{3300, 512}, {0, 1}, true},       {{3201, 512}, {0, 1}, true},
                        {{5, 700, 1024}, {0, 1, 2}, true}, {{3300, 500}, {0, 1}, false},
                        {{5, 700, 512}, {1, 2}, false}};
  for (const Case& one : cases) {
    int runs = 0;
    const auto value = [&](const Device& device) {
      Graph graph;
      const Value x = graph.parameter("x", one.shape, normal(0, 1));
      const Value y = mean(square(x), one.axes);
      State state = initialize(graph, device, {.seed = 3});
      set_log_levels("plan=debug");
      set_log_sink([&](const LogRecord& record) {
        runs += std::string_view(record.message).rfind("by bands", 0) == 0;
      });
      Program program = compile(graph, state, {.outputs = {y}});
      const auto result = program.run({});
      set_log_sink({});
      set_log_levels("warning");
      const Tensor tensor = result.tensor(y);
      const auto numbers = tensor.as<float>();
      return std::vector<float>(numbers.begin(), numbers.end());
    };
    const std::vector<float> reference = value(Device::reference());
    for (const int threads : {1, 2, 3}) {
      runs = 0;
      const std::vector<float> ours = value(Device::cpu(threads));
      ASSERT_EQ(ours.size(), reference.size());
      EXPECT_EQ(std::memcmp(ours.data(), reference.data(), 4 * ours.size()), 0)
          << to_string(one.shape) << ", " << threads << " threads";
      EXPECT_EQ(runs > 0, one.by_bands) << to_string(one.shape);
    }
  }
  banded_bytes = before;
}

// A label out of range is found, its flat position too, and the next step is as if it had not been.
TEST(ByBandsErrors, NameTheFirstBadLabel) {
  const std::int64_t before = banded_bytes.exchange(0), rows = 3000;
  Graph graph;
  Value h = graph.input("x", {rows, 8});
  h = relu(linear(h, graph.parameter("w1", {16, 8}, he_normal())));
  h = linear(h, graph.parameter("w2", {4, 16}, he_normal()));
  const Value loss = cross_entropy(h, graph.input("target", {rows}, DType::i32));
  sgd(graph, gradients(loss, graph.parameters()), {.learning_rate = 0.1});
  State state = initialize(graph, Device::cpu(1), {.seed = 3});
  Program program = compile(graph, state, {.outputs = {loss}});
  const Tensor x = normal_tensor({rows, 8}, 5);
  Tensor labels = label_tensor(rows, 4);
  labels.as<std::int32_t>()[2900] = 77;
  labels.as<std::int32_t>()[1234] = 4;
  try {
    program.run({{"x", x}, {"target", labels}});
    ADD_FAILURE() << "a label of 4 among 4 classes was taken";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("1234"), std::string::npos) << error.what();
  }
  banded_bytes = before;
}

}  // namespace
}  // namespace fornax
