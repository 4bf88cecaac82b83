// A step in steady state allocates nothing: every operator new and malloc of
// the process counts.
#include <dlfcn.h>
#include <fornax/fornax.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<long> allocations{0};
}

// GCC sees that these free what malloc gave and warns, which is their purpose.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes ? bytes : 1)) return memory;
  throw std::bad_alloc();
}
// std::stable_sort takes its buffer so; a sanitizer minds when only one form is replaced.
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(bytes == 0 ? 1 : bytes);
}
void* operator new[](std::size_t bytes) { return operator new(bytes); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  ++allocations;
  void* memory = nullptr;
  if (posix_memalign(&memory, static_cast<std::size_t>(alignment), bytes ? bytes : 1))
    throw std::bad_alloc();
  return memory;
}
void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  ++allocations;
  void* memory = nullptr;
  return posix_memalign(&memory, static_cast<std::size_t>(alignment), bytes ? bytes : 1) ? nullptr
                                                                                         : memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace fornax {
namespace {

/// Allocations of ten steps of an MLP that are run and ten that are submitted, after a warm-up.
long allocations_of(const Device& device) {
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
  const long before = allocations;
  for (int i = 0; i < 10; ++i) sum += step.run({{"x", features}, {"label", labels}}).scalar(loss);
  Ticket last;
  for (int i = 0; i < 10; ++i) {
    const Ticket ticket = step.submit({{"x", features}, {"label", labels}});
    if (last) sum += last.scalar(loss);
    last = ticket;
  }
  const long after = allocations;
  EXPECT_GT(sum, 0);
  return after - before;
}

TEST(Allocation, TheCounterCounts) {
  const long before = allocations;
  ::operator delete(::operator new(8));
  EXPECT_GT(allocations - before, 0);
}

TEST(Allocation, NoneInASteadyStep) {
  EXPECT_EQ(allocations_of(Device::cpu(1)), 0);
  EXPECT_EQ(allocations_of(Device::cpu(2)), 0);
}

}  // namespace
}  // namespace fornax
