// FLOPs counted by running a template once.
#include "kernels/numeric/counted.h"

#include <gtest/gtest.h>

#include "kernels/activation/activation_functions.h"
#include "kernels/op.h"

namespace fornax {
namespace {

using numeric::Counted;

TEST(Counted, CountsArithmeticAlone) {
  EXPECT_EQ(numeric::flops_of([](Counted x) { return x; }), 0);
  EXPECT_EQ(numeric::flops_of([](Counted a, Counted b) { return a + b * a; }), 2);
  EXPECT_EQ(numeric::flops_of([](Counted a, Counted b, Counted c) { return fma(a, b, c); }), 2);
  EXPECT_EQ(numeric::flops_of([](Counted x) { return numeric::horner(x, 1.0f, 2.0f, 3.0f); }), 4);
  EXPECT_EQ(numeric::flops_of([](Counted x) { return numeric::relu(x); }), 0);
  EXPECT_EQ(numeric::flops_of([](Counted x) { return numeric::rsqrt(x); }), 2);
  // By hand: one fma and a subtraction for n, two fma for r, four for q, then r^2, fma, + 1 and two
  // scalings.
  EXPECT_EQ(numeric::flops_of([](Counted x) { return numeric::exp(x); }), 21);
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
}

}  // namespace
}  // namespace fornax
