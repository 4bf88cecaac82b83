// Networks drawn at random have one hash: two steps on the reference, unfused, and on the CPU with
// either instruction set, some threads and thresholds, or on the simt machine.
#include "tests/end_to_end/random_graph.h"

namespace fornax {
namespace {

/// A training graph, the same for a seed on every device.
class Network {
 public:
  Network(unsigned seed, std::int64_t most_rows) : draw_(seed), rows_(draw_.extent(most_rows)) {
    h_ = draw_.one_in(5) ? tokens() : input("x", draw_.tensor({rows_, draw_.extent(130)}));
    const auto layers = 1 + draw_.below(4);
    for (std::int64_t i = 0; i < layers; ++i) add_layer(std::to_string(i));
    outputs_.push_back(loss());
    Gradients all = gradients(outputs_.back(), graph_.parameters());
    if (draw_.one_in(3)) all = clip_by_global_norm(std::move(all), 0.5);
    if (draw_.one_in(2))
      adamw(graph_, all, {.learning_rate = 0.01});
    else
      sgd(graph_, all, {.learning_rate = 0.01, .momentum = draw_.one_in(2) ? 0.9 : 0});
  }

  std::vector<std::uint32_t> bits(const Device& device, bool fuse) const {
    CompileOptions options{.outputs = outputs_};
    options.fuse = fuse;
    const Input inputs[] = {{"x", inputs_[0]}, {"target", inputs_[1]}};
    return bits_of_two_steps(graph_, device, options, inputs);
  }

 private:
  Value input(const char* name, Tensor tensor) {
    const Value value = graph_.input(name, tensor.shape(), tensor.dtype());
    inputs_.push_back(std::move(tensor));
    return value;
  }
  Value tokens() {
    const std::int64_t words = 1 + draw_.below(40), length = 1 + draw_.below(4);
    const Value table = graph_.parameter("table", {words, draw_.extent(40)}, normal(0, 1));
    const Value x = embedding(table, input("x", draw_.labels({rows_, length}, words, 0)));
    return draw_.one_in(2) ? mean(x, {1}) : reshape(x, {rows_, length * table.shape()[1]});
  }

  void add_layer(const std::string& number) {
    const Value before = h_;
    const std::int64_t in = h_.shape()[-1], out = draw_.one_in(3) ? in : draw_.extent(130);
    const Value w = graph_.parameter("w" + number, {out, in}, he_normal());
    h_ = linear(h_, w, draw_.one_in(4) ? Value() : graph_.parameter("b" + number, {out}, ones()));
    if (rows_ > 1 && draw_.one_in(8)) h_ = batch_norm(h_, "norm" + number);
    constexpr const char* kinds[] = {"relu", "gelu", "gelu_tanh", "silu", "sigmoid", "tanh"};
    if (!draw_.one_in(6)) h_ = activation(h_, kinds[draw_.below(6)]);
    add_between(before, number);
    if (draw_.one_in(6)) outputs_.push_back(h_);
  }

  void add_between(Value before, const std::string& number) {
    const std::int64_t width = h_.shape()[-1];
    switch (draw_.below(14)) {
      case 0: h_ = before.shape() == h_.shape() ? add(h_, before) : h_; break;
      case 1: h_ = dropout(h_, 0.3); break;
      case 2: h_ = multiply(h_, graph_.parameter("gain" + number, {width}, ones())); break;
      case 3: h_ = softmax(h_); break;
      case 4: h_ = contiguous(transpose(sigmoid(contiguous(transpose(h_))))); break;
      case 5: h_ = slice(h_, 1, draw_.below(width), width); break;
      case 6: h_ = subtract(h_, mean(h_, {0})); break;
      case 7: h_ = tanh(divide(h_, add(sum(square(h_), {1}, ReducedAxes::keep), 1))); break;
      case 8:
        if (width % 2 == 0)
          h_ = reshape(permute(reshape(h_, {rows_, 2, width / 2}), {0, 2, 1}), {rows_, width});
        break;
      default: break;
    }
  }

  Value loss() {
    const std::int64_t kind = draw_.below(3), classes = h_.shape()[-1];
    if (kind > 0) {
      const Value target = input("target", draw_.tensor(h_.shape()));
      return kind == 1 ? mean_squared_error(h_, target) : binary_cross_entropy(h_, target);
    }
    const Value labels = input("target", draw_.labels({rows_}, classes, -100));
    if (draw_.one_in(3)) outputs_.push_back(correct_count(h_, labels).correct);
    return cross_entropy(h_, labels, {.label_smoothing = draw_.one_in(3) ? 0.1 : 0});
  }

  Draw draw_;
  std::int64_t rows_;
  Graph graph_{Mode::train};
  Value h_;
  std::vector<Value> outputs_;
  std::vector<Tensor> inputs_;  ///< x, target
};

using RandomTraining = RandomGraphs;

TEST_F(RandomTraining, OnTheCpuHasTheBitsOfTheReference) {
  for (unsigned seed = 0; seed < count(300) && !HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    Draw draw(~seed);
    expect_bits_on_cpu(Network(seed, seed % 4 == 0 ? 2200 : 300), draw);
  }
}

TEST_F(RandomTraining, OnTheSimtMachineHasTheBitsOfTheReference) {
  for (unsigned seed = 0; seed < count(60) && !HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    expect_bits_on_simt(Network(seed, 70), seed % 8 > 0);
  }
}

TEST_F(RandomTraining, AnotherNetworkHasOtherBits) {
  EXPECT_FALSE(Network(1, 300).bits(Device::cpu(1), true) ==
               Network(2, 300).bits(Device::reference(), false));
}

}  // namespace
}  // namespace fornax
