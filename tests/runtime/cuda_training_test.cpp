// Training on Device::simt() and on a card, eager and captured, leaves the bits of the reference.
#include <fornax/fornax.h>
#include <gtest/gtest.h>

#include <cstring>

#include "tests/kernels/card.h"

namespace {

using namespace fornax;

std::map<std::string, Tensor> trained(const Device& device, bool capture) {
  Graph graph(Mode::train);
  const Value x = graph.input("x", {6, 20});
  const Value label = graph.input("label", {6}, DType::i32);
  const Value w1 = graph.parameter("w1", {33, 20}, he_normal());
  const Value b1 = graph.parameter("b1", {33}, zeros());
  const Value w2 = graph.parameter("w2", {5, 33}, xavier_uniform());
  const Value loss = cross_entropy(linear(dropout(gelu(linear(x, w1, b1)), 0.25), w2), label);
  adamw(graph, gradients(loss, graph.parameters()), {.learning_rate = 0.01});
  State state = initialize(graph, device, {.seed = 3});
  CompileOptions options{.outputs = {loss}};
  options.capture = capture;
  Program program = compile(graph, state, options);
  Tensor features(DType::f32, {6, 20}), labels(DType::i32, {6});
  for (int step = 0; step < 4; ++step) {
    for (std::size_t i = 0; i < 120; ++i)
      features.as<float>()[i] = static_cast<float>((i * 7 + static_cast<std::size_t>(step)) % 11);
    for (std::size_t i = 0; i < 6; ++i) labels.as<std::int32_t>()[i] = static_cast<int>(i % 5);
    program.run({{"x", features}, {"label", labels}});
  }
  return state.parameters();
}

void expect_bits_of_reference(const Device& device) {
  const auto right = trained(Device::reference(), false);
  for (const bool capture : {false, true}) {
    const auto ours = trained(device, capture);
    ASSERT_EQ(ours.size(), right.size());
    for (const auto& [name, tensor] : right) {
      const auto a = tensor.bytes(), b = ours.at(name).bytes();
      ASSERT_EQ(a.size(), b.size());
      EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size()), 0) << name << ", capture " << capture;
    }
  }
}

TEST(CudaTraining, SimtLeavesTheReferencesBits) { expect_bits_of_reference(Device::simt()); }

TEST(CudaTraining, ACardLeavesTheReferencesBits) {
  if (!card()) GTEST_SKIP() << "no card here, or libfornax_cuda is not built";
  expect_bits_of_reference(Device::cuda(0));
}

}  // namespace
