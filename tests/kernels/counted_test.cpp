// FLOPs and operations counted by running a template once.
#include "kernels/numeric/counted.h"

#include <gtest/gtest.h>

#include "kernels/activation/activation_functions.h"
#include "kernels/op.h"

namespace fornax {
namespace {

using numeric::Counted;

template <class Function>
std::pair<double, double> counts(const Function& function) {
  const numeric::Arithmetic all = numeric::arithmetic_of(function);
  return {all.flops, all.operations};
}

TEST(Counted, CountsQuotientsAndSquareRoots) {
  const auto quotients = [](const auto& function) {
    return numeric::arithmetic_of(function).quotients;
  };
  EXPECT_EQ(quotients([](Counted x) { return numeric::rsqrt(x); }), 2);
  EXPECT_EQ(quotients([](Counted x) { return numeric::tanh(x); }), 1);
  EXPECT_EQ(quotients([](Counted x) { return numeric::exp(x); }), 0);
}

using Pair = std::pair<double, double>;  // FLOPs, operations

TEST(Counted, CountsFlopsAndOperations) {
  EXPECT_EQ(counts([](Counted x) { return x; }), Pair(0, 0));
  EXPECT_EQ(counts([](Counted a, Counted b) { return a + b * a; }), Pair(2, 2));
  EXPECT_EQ(counts([](Counted a, Counted b, Counted c) { return fma(a, b, c); }), Pair(2, 1));
  EXPECT_EQ(counts([](Counted x) { return numeric::horner(x, 1.0f, 2.0f, 3.0f); }), Pair(4, 2));
  EXPECT_EQ(counts([](Counted x) { return numeric::relu(x); }), Pair(0, 2));
  EXPECT_EQ(counts([](Counted x) { return numeric::rsqrt(x); }), Pair(2, 2));
  // By hand: one fma and a subtraction for n, two fma for r, four for q, then r^2, fma, + 1 and two
  // scalings, which some processors do in one.
  EXPECT_EQ(counts([](Counted x) { return numeric::exp_bounded(x); }), Pair(20, 12));
  EXPECT_EQ(counts([](Counted x) { return numeric::exp(x); }), Pair(21, 14));
  // A fma for each of eight coefficients, f^2, f^2 q, two fma with a sum between, the parts.
  EXPECT_EQ(counts([](Counted x) { return numeric::log(x); }), Pair(26, 20));
}

TEST(Counted, CostsDifferByFunction) {
  const kernels::TensorType type(DType::f32, Shape{8, 4});
  const auto flops = [&](const char* op, const char* kind, std::vector<kernels::TensorType> in) {
    Attributes attributes;
    if (kind) attributes.set("kind", std::string(kind));
    const std::vector out{type};
    return kernels::find_op(op).cost({in, out, attributes}).flops / 32;
  };
  EXPECT_EQ(flops("activation", "relu", {type}), 0);
  EXPECT_EQ(flops("activation", "sigmoid", {type}), 23);
  EXPECT_GT(flops("activation", "gelu", {type}), flops("activation", "silu", {type}));
  EXPECT_EQ(flops("activation_grad", "tanh", {type, type}), 4);
  EXPECT_EQ(flops("add", nullptr, {type, type}), 1);
  EXPECT_EQ(flops("maximum", nullptr, {type, type}), 0);
  EXPECT_EQ(flops("exp", nullptr, {type}), 21);
  const std::vector in{type}, out{type};
  EXPECT_EQ(kernels::find_op("exp").cost({in, out, {}}).operations / 32, 14);
  EXPECT_EQ(kernels::find_op("exp").cost({in, out, {}}).quotients, 0);
  Attributes sigmoid;
  sigmoid.set("kind", std::string("sigmoid"));
  EXPECT_EQ(kernels::find_op("activation").cost({in, out, sigmoid}).quotients, 32);
}

}  // namespace
}  // namespace fornax
