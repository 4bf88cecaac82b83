// A step in steady state allocates nothing: every operator new of the process counts.
#include <fornax/fornax.h>
#include <gtest/gtest.h>

#include "tests/allocation_count.h"

namespace fornax {
namespace {

/// Allocations of ten steps of an MLP that are run and ten that are submitted, after a warm-up.
std::int64_t allocations_of(const Device& device) {
  Graph graph;
  const Value x = graph.input("x", {64, 50});
  const Value label = graph.input("label", {64}, DType::i32);
  const Value h = gelu(linear(x, graph.parameter("w1", {96, 50}, he_normal()),
                              graph.parameter("b1", {96}, zeros())));
  const Value loss = cross_entropy(linear(h, graph.parameter("w2", {10, 96}, he_normal())), label);
  adamw(graph, clip_by_global_norm(gradients(loss, graph.parameters()), 1.0), {});
  const State state = initialize(graph, device, {.seed = 1});
  Program step = compile(graph, state, {.outputs = {loss}});
  const Tensor features(DType::f32, {64, 50}), labels(DType::i32, {64});
  double sum = 0;
  for (int i = 0; i < 3; ++i) sum += step.run({{"x", features}, {"label", labels}}).scalar(loss);
  const std::int64_t before = allocation_count();
  for (int i = 0; i < 10; ++i) sum += step.run({{"x", features}, {"label", labels}}).scalar(loss);
  Ticket last;
  for (int i = 0; i < 10; ++i) {
    const Ticket ticket = step.submit({{"x", features}, {"label", labels}});
    if (last) sum += last.scalar(loss);
    last = ticket;
  }
  const std::int64_t after = allocation_count();
  EXPECT_GT(sum, 0);
  return after - before;
}

TEST(Allocation, EveryFormIsCounted) {
  struct alignas(128) Wide {
    std::byte bytes[128];
  };
  const std::int64_t before = allocation_count();
  ::operator delete(::operator new(8));
  ::operator delete[](::operator new[](8));
  ::operator delete(::operator new(8, std::nothrow));
  ::operator delete[](::operator new[](8, std::nothrow));
  const auto at = std::align_val_t{alignof(Wide)};
  ::operator delete(::operator new(sizeof(Wide), at), at);
  ::operator delete[](::operator new[](sizeof(Wide), at), at);
  ::operator delete(::operator new(sizeof(Wide), at, std::nothrow), at);
  ::operator delete[](::operator new[](sizeof(Wide), at, std::nothrow), at);
  EXPECT_EQ(allocation_count() - before, 8);
}

TEST(Allocation, NoneInASteadyStep) {
  EXPECT_EQ(allocations_of(Device::cpu(1)), 0);
  EXPECT_EQ(allocations_of(Device::cpu(2)), 0);
}

}  // namespace
}  // namespace fornax
