// Expressions drawn at random, of shapes of rank 0 to 4, have one hash: what they give, views and
// empty values among it, and a step along their gradients, on the reference, unfused, and on the
// CPU or the simt machine.
#include "tests/end_to_end/random_graph.h"

namespace fornax {
namespace {

class Expression {
 public:
  Expression(unsigned seed, std::int64_t most_elements) : draw_(seed), most_(most_elements) {
    const auto operands = 1 + draw_.below(3);
    for (std::int64_t i = 0; i < operands; ++i) {
      const Shape shape = i > 0 && draw_.one_in(2) ? values_[0].shape() : draw_shape();
      values_.push_back(negate(graph_.parameter("p" + std::to_string(i), shape, normal(0, 1))));
    }
    const auto ops = 1 + draw_.below(9);
    for (std::int64_t i = 0; i < ops; ++i) add_op(std::to_string(i));
    const Value loss = add(mean(square(values_.back())), mean(square(any())));
    sgd(graph_, gradients(loss, graph_.parameters()), {.learning_rate = 0.01, .momentum = 0.9});
    values_.push_back(loss);
  }

  std::vector<std::uint32_t> bits(const Device& device, bool fuse) const {
    CompileOptions options{.outputs = values_};
    options.fuse = fuse;
    return bits_of_two_steps(graph_, device, options, {});
  }
  std::int64_t values() const { return std::ssize(values_); }

 private:
  Shape draw_shape() {
    std::vector<std::int64_t> extents;
    std::int64_t left = most_;
    for (std::int64_t axis = draw_.below(5); axis > 0; --axis) {
      const std::int64_t drawn = draw_.one_in(40) ? 0 : draw_.extent(draw_.one_in(3) ? 300 : 40);
      extents.push_back(std::min(drawn, left));
      left /= std::max<std::int64_t>(extents.back(), 1);
    }
    return Shape(extents);
  }
  Value any() {
    return draw_.one_in(2) ? values_.back()
                           : values_[static_cast<std::size_t>(draw_.below(std::ssize(values_)))];
  }

  void add_op(const std::string& number) {
    const Value x = any();
    Value y;
    try {
      y = draw_.one_in(2) ? view(x) : draw_.one_in(2) ? elementwise(x) : other(x, number);
    } catch (const Error&) {
      return;  // operands that do not fit
    }
    if (y && y.shape().elements() <= 10 * most_) values_.push_back(y);
  }

  Value elementwise(Value x) {
    constexpr const char* kinds[] = {"relu", "gelu", "gelu_tanh", "silu", "sigmoid", "tanh"};
    switch (draw_.below(9)) {
      case 0: return exp(tanh(x));
      case 1: return log(add(square(x), 0.5));
      case 2: return sqrt(add(square(x), 0.25));
      case 3: return add(x, any());
      case 4: return multiply(x, any());
      case 5: return maximum(x, any());
      case 6: return divide(x, add(square(any()), 1.0));
      case 7: return subtract(2.0, x);
      default: return activation(x, kinds[draw_.below(6)]);
    }
  }

  Value other(Value x, const std::string& number) {
    const int rank = x.shape().rank();
    const auto axis = static_cast<int>(draw_.below(std::max(rank, 1)));
    const auto reduced = draw_.one_in(2) ? ReducedAxes::keep : ReducedAxes::drop;
    switch (draw_.below(6)) {
      case 0: return sum(x, some_axes(rank), reduced);
      case 1: return mean(x, some_axes(rank), reduced);
      case 2: return softmax(x, axis);
      case 3: return log_softmax(x, axis);
      case 4: return dropout(x, 0.25);
      default:
        return linear(x, graph_.parameter("w" + number, {1 + draw_.below(20), x.shape()[-1]},
                                          normal(0, 0.3)));
    }
  }
  std::vector<int> some_axes(int rank) {
    std::vector<int> axes;
    for (int axis = 0; axis < rank; ++axis)
      if (draw_.one_in(2)) axes.push_back(axis);
    return axes;
  }

  Value view(Value x) {
    const int rank = x.shape().rank();
    std::vector<std::int64_t> extents(x.shape().begin(), x.shape().end());
    switch (draw_.below(4)) {
      case 0: {
        std::vector<std::int64_t> axes;
        for (int axis = 0; axis < rank; ++axis)
          axes.insert(axes.begin() + draw_.below(axis + 1), axis);
        return permute(x, axes);
      }
      case 1: {
        const auto axis = static_cast<int>(draw_.below(std::max(rank, 1)));
        const std::int64_t begin = draw_.below(x.shape()[axis] + 1);
        return slice(x, axis, begin, begin + draw_.below(x.shape()[axis] - begin + 1));
      }
      case 2:
        for (std::int64_t& extent : extents)
          if (extent == 1) extent = 1 + draw_.below(9);
        if (rank < 4) extents.insert(extents.begin(), 1 + draw_.below(4));
        return broadcast(x, Shape(extents));
      default: std::reverse(extents.begin(), extents.end()); return reshape(x, extents);
    }
  }

  Draw draw_;
  std::int64_t most_;
  Graph graph_{Mode::train};
  std::vector<Value> values_;  ///< all of them are returned
};

using RandomExpressions = RandomGraphs;

TEST_F(RandomExpressions, OnTheCpuHaveTheBitsOfTheReference) {
  std::int64_t values = 0;
  for (unsigned seed = 0; seed < count(600) && !HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    const Expression expression(seed, 20'000);
    Draw draw(~seed);
    expect_bits_on_cpu(expression, draw);
    values += expression.values();
  }
  EXPECT_GT(values, 5 * count(600)) << "too many ops are refused";
}

TEST_F(RandomExpressions, OnTheSimtMachineHaveTheBitsOfTheReference) {
  for (unsigned seed = 0; seed < count(300) && !HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    expect_bits_on_simt(Expression(seed, 500), seed % 8 > 0);
  }
}

}  // namespace
}  // namespace fornax
