// Programs that share one arena: the memory of the largest, the bits of arenas of their own.
#include <fornax/fornax.h>

#include <algorithm>

#include "tests/allocation_count.h"
#include "tests/runtime/expect_error.h"
#include "tests/runtime/training_problem.h"

// Under a sanitizer a refused allocation must come back as null, not end the process.
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }
extern "C" const char* __tsan_default_options() { return "allocator_may_return_null=1"; }

namespace fornax {
namespace {

struct Net {
  Graph graph;
  Value loss;

  explicit Net(std::int64_t rows, Mode mode = Mode::train) : graph(mode) {
    const Value x = graph.input("x", {rows, 6});
    const Value label = graph.input("label", {rows}, DType::i32);
    const Value h = gelu(linear(x, graph.parameter("w1", {40, 6}, he_normal())));
    loss = cross_entropy(linear(h, graph.parameter("w2", {3, 40}, he_normal())), label);
    if (mode == Mode::train) sgd(graph, gradients(loss, graph.parameters()), {});
  }
};

Ticket submit(Program& program, std::int64_t rows) {
  Tensor x(DType::f32, {rows, 6}), label(DType::i32, {rows});
  for (std::size_t i = 0; i < x.as<float>().size(); ++i)
    x.as<float>()[i] = static_cast<float>(i % 7) - 3;
  return program.submit({{"x", x}, {"label", label}});
}

/// Small, large and evaluating steps by turns; each Program is compiled where it is needed first,
/// so that the arena grows under a step that may be under way. The losses, then the hash.
std::vector<std::string> trained(const char* device, bool share) {
  const Net small(4), large(64), look(16, Mode::evaluate);
  const State state = initialize(small.graph, Device::parse(device), {.seed = 1});
  CompileOptions options;
  if (share) options.arena = Arena();
  const auto compiled = [&](const Net& net) {
    options.outputs = {net.loss};
    return compile(net.graph, state, options);
  };
  std::vector<std::string> told;
  Program first = compiled(small), second, third;
  for (int turn = 0; turn < 3; ++turn) {
    const Ticket a = submit(first, 4);
    if (!second) second = compiled(large);
    const Ticket b = submit(second, 64), c = submit(first, 4);
    if (!third) third = compiled(look);
    const Ticket d = submit(third, 16);
    for (const double loss :
         {a.scalar(small.loss), b.scalar(large.loss), c.scalar(small.loss), d.scalar(look.loss)})
      told.push_back(std::to_string(loss));
  }
  if (share) {
    EXPECT_EQ(options.arena->bytes(), second.summary().arena_bytes) << "that of the largest";
  }
  told.push_back(state.sha256());
  return told;
}

TEST(Arena, SharedGivesTheBitsOfArenasOfTheirOwn) {
  const auto right = trained("reference", false);
  for (const char* device : {"reference", "cpu:1", "cpu:2", "simt"})
    EXPECT_EQ(trained(device, true), right) << device;
}

/// Bytes of device memory that two Programs take, and at most took.
std::pair<long, long> bytes_of_two(std::int64_t first, std::int64_t second, bool share) {
  const Net one(first), two(second);
  const State state = initialize(one.graph, Device::cpu(1));
  const long before = aligned_bytes();
  reset_aligned_peak();
  CompileOptions options;
  if (share) options.arena = Arena();
  const Program a = compile(one.graph, state, options), b = compile(two.graph, state, options);
  return {aligned_bytes() - before, aligned_peak_bytes() - before};
}

TEST(Arena, SharedTakesTheMemoryOfTheLargest) {
  const auto [apart, apart_peak] = bytes_of_two(500, 1000, false);
  const auto [together, together_peak] = bytes_of_two(500, 1000, true);
  const auto [growing_last, peak_shrinking] = bytes_of_two(1000, 500, true);
  EXPECT_GT(together, 1000 * 40 * 4) << "the hidden layer alone";
  EXPECT_GT(apart, together * 5 / 4);
  EXPECT_EQ(apart_peak, apart);
  EXPECT_LT(together_peak, together + 4096) << "the small block went before the large one came";
  EXPECT_LT(std::abs(growing_last - together), 4096);
  EXPECT_LT(peak_shrinking, together + 4096);
}

TEST(Arena, BelongsToOneState) {
  const Net net(4);
  CompileOptions options;
  options.arena = Arena();
  EXPECT_EQ(options.arena->bytes(), 0);
  const Program first = compile(net.graph, initialize(net.graph, Device::cpu(1)), options);
  EXPECT_EQ(options.arena->bytes(), first.summary().arena_bytes);
  expect_error(ErrorCode::invalid_argument, "shared with a Program of another State",
               [&] { compile(net.graph, initialize(net.graph, Device::cpu(1)), options); });
}

TEST(Arena, ThatCannotGrowStaysAsItIs) {
  const Net net(4), huge(std::int64_t{1} << 42);
  const State state = initialize(net.graph, Device::cpu(1));
  CompileOptions options{.outputs = {net.loss}};
  options.arena = Arena();
  Program program = compile(net.graph, state, options);
  const double loss = submit(program, 4).scalar(net.loss);
  const std::int64_t bytes = options.arena->bytes();
  options.outputs = {huge.loss};
  expect_error(ErrorCode::out_of_memory, "a smaller batch would help",
               [&] { compile(huge.graph, state, options); });
  EXPECT_EQ(options.arena->bytes(), bytes);
  EXPECT_LT(submit(program, 4).scalar(net.loss), loss);
}

/// Bytes of device memory that a Trainer holds after it saw so many rows in batches of 64, and
/// evaluated so many.
long bytes_of_trainer(std::int64_t rows, std::int64_t evaluated) {
  const long before = aligned_bytes();
  Trainer trainer({Linear(4, 1000), Gelu(), Linear(1000, 3)}, {.device = Device::cpu(1)});
  trainer.fit(three_clouds(rows), {.epochs = 1, .batch_size = 64});
  if (evaluated) trainer.evaluate(three_clouds(evaluated));
  return aligned_bytes() - before;
}

TEST(Arena, IsOneForATrainersPrograms) {
  const long one = bytes_of_trainer(128, 0);
  EXPECT_GT(one, 64 * 1000 * 4);
  EXPECT_LT(std::abs(bytes_of_trainer(128 + 63, 60) - one), 4096)
      << "the short last batch and the evaluation fit into the block of the "
         "full batch";
}

}  // namespace
}  // namespace fornax
