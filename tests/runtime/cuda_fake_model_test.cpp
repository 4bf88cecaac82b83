// Training steps at model size on the fake filling: planned for an H200 with the kernels of the
// CUDA module, recorded and replayed. Nothing is computed, and device memory is only addresses.
#include <fornax/fornax.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "kernels/op_table.h"
#include "runtime/cuda/cuda_backend.h"
#include "runtime/cuda/fake_table.h"
#include "runtime/execution/program_data.h"
#include "runtime/graph/graph_data.h"

namespace fornax {
namespace {

using cuda::BackendOptions;
using cuda::CudaBackend;
using cuda::FakeReport;

constexpr std::int64_t kVocabulary = 50257, kContext = 1024;

/// Width, depth and vocabulary of a GPT-2 (Radford et al. 2019), whose blocks hold 12 width^2
/// weights; here all of them are in one layer pair of 6 width.
struct ModelSize {
  const char* golden;
  int blocks;
  std::int64_t width, sequences;
  bool tied;  ///< the output layer's weight is the embedding's table
};
constexpr ModelSize kSmall{"fake_mlp_124m_h200.txt", 12, 768, 8, true};
constexpr ModelSize kLarge{"fake_mlp_1_5b_h200.txt", 48, 1600, 4, false};

Value block(Graph graph, Value x, int number) {
  Graph::Scope scope(graph, "block" + std::to_string(number));
  const std::int64_t width = x.shape()[-1], wide = 6 * width;
  const Value h = batch_norm(x, "norm");  // [T, C]
  const Value up = linear(h, graph.parameter("up.weight", {wide, width}, he_normal()),
                          graph.parameter("up.bias", {wide}, zeros()));  // [T, 6 C]
  return add(x, linear(gelu(up), graph.parameter("down.weight", {width, wide}, he_normal()),
                       graph.parameter("down.bias", {width}, zeros())));
}

/// The whole training step; returns the loss.
Value build(Graph graph, const ModelSize& size) {
  const Shape tokens{size.sequences * kContext};
  const Value token = graph.input("token", tokens, DType::i32);
  const Value position = graph.input("position", tokens, DType::i32);
  const Value label = graph.input("label", tokens, DType::i32);
  const Value table = graph.parameter("token.weight", {kVocabulary, size.width}, he_normal());
  const Value places = graph.parameter("position.weight", {kContext, size.width}, he_normal());
  Value x = add(embedding(table, token), embedding(places, position));
  for (int i = 0; i < size.blocks; ++i) x = block(graph, x, i);
  const Value head =
      size.tied ? table : graph.parameter("head.weight", {kVocabulary, size.width}, he_normal());
  const Value loss = cross_entropy(linear(batch_norm(x, "norm"), head), label);
  adamw(graph, clip_by_global_norm(gradients(loss, graph.parameters()), 1.0));
  return loss;
}

/// A step bound to addresses of a fake H200; the state has addresses and no content.
class FakeProgram {
 public:
  explicit FakeProgram(const ModelSize& size) : program_(Graph(Mode::train)) {
    static const bool once = [] {
      for (const auto& family : kernels::cuda_kernels_table())
        kernels::register_cuda_kernels("fake", family);
      return true;
    }();
    EXPECT_TRUE(once);
    const Value loss = build(program_.graph, size);
    kernels::DeviceModel model = kernels::DeviceModel::h200();
    model.module = "fake";
    program_.plan = make_plan(program_.graph.data(), model, {.outputs = {loss.id()}});
    program_.state = std::make_shared<StateData>();
    program_.state->backend = backend_;
    for (const ValueData& value : program_.plan.graph.values) place(value);
    program_.arena->reserve(backend_, program_.plan.arena_bytes);
    tokens_.resize(static_cast<std::size_t>(size.sequences * kContext));
  }

  const Plan& plan() const { return program_.plan; }
  std::int64_t parameter_elements() const { return parameter_elements_; }
  FakeReport report() const { return cuda::fake_report(*calls_.state); }
  std::vector<Command> commands() { return make_commands(program_); }
  std::unique_ptr<Sequence> record(std::vector<Command> commands, bool capture) {
    return backend_->record(std::move(commands), {plan().streams, plan().events, capture});
  }
  void run(Sequence& sequence) {
    const std::vector<const void*> inputs(plan().inputs.size(), tokens_.data());
    float loss = 0;
    void* const outputs[] = {&loss};
    kernels::StepState step{};
    sequence.run(step, inputs, outputs);
  }

 private:
  void place(const ValueData& value) {
    const bool parameter = value.role == Role::parameter;
    if (!parameter && value.role != Role::state) return;
    const auto role = parameter ? StateEntry::Role::parameter : StateEntry::Role::state;
    program_.state->values.emplace(value.name,
                                   StateValue{role, value.type.dtype, value.type.shape,
                                              DeviceMemory(backend_, value.type.bytes())});
    if (parameter) parameter_elements_ += value.type.shape.elements();
  }

  cuda::DriverCalls calls_ = cuda::make_fake_driver(cuda::FakeDevice::h200());
  std::shared_ptr<CudaBackend> backend_ = std::make_shared<CudaBackend>(
      calls_, BackendOptions{.module = "fake", .device = 0, .memory_limit_bytes = 0});
  ProgramData program_;
  std::vector<std::int32_t> tokens_;
  std::int64_t parameter_elements_ = 0;
};

/// Calls of one step, from what was counted before and after it.
std::string step_counts(const FakeReport& before, const FakeReport& after) {
  std::ostringstream text;
  text << after.kernel_launches - before.kernel_launches << " kernels, "
       << after.graph_launches - before.graph_launches << " graphs, "
       << after.copies - before.copies << " copies of " << after.copied_bytes - before.copied_bytes
       << " bytes, " << after.fills - before.fills << " fills, " << after.records - before.records
       << " events recorded, " << after.waits - before.waits << " waited for\n";
  return text.str();
}

std::string plan_counts(const FakeProgram& program) {
  const Plan& plan = program.plan();
  const PlanSummary summary = summarize(plan);
  std::map<std::string, int> launches;
  std::int64_t waits = 0;
  for (const PlanStep& step : plan.steps) {
    waits += static_cast<std::int64_t>(step.waits.size());
    if (step.kernel) ++launches[std::string(step.kernel->name)];
  }
  std::ostringstream text;
  text << program.parameter_elements() << " parameters, " << summary.launches << " launches, "
       << summary.events << " events, " << waits << " waits\n"
       << "state " << summary.state_bytes << " bytes, arena " << summary.arena_bytes
       << " bytes, at least " << summary.lower_bound_bytes << '\n';
  for (const auto& [name, count] : launches) text << name << ' ' << count << '\n';
  return text.str();
}

/// Records, runs twice, and says what the second step did.
std::string replay(FakeProgram& program, bool capture) {
  const auto sequence = program.record(program.commands(), capture);
  program.run(*sequence);
  const FakeReport before = program.report();
  program.run(*sequence);
  const FakeReport after = program.report();
  EXPECT_EQ(after.allocations, before.allocations);
  EXPECT_EQ(after.kernels_loaded, before.kernels_loaded);
  EXPECT_EQ(after.synchronisations, before.synchronisations + 1) << "the wait for its results";
  EXPECT_TRUE(after.faults.empty()) << cuda::to_string(after);
  return step_counts(before, after);
}

void expect_golden(const std::string& file, const std::string& text) {
  std::ifstream in(std::string(FORNAX_SOURCE_DIR) + "/tests/runtime/golden/" + file);
  std::stringstream golden;
  golden << in.rdbuf();
  EXPECT_EQ(text, golden.str()) << "golden/" << file << " should now read:\n" << text;
}

class CudaFakeModel : public testing::TestWithParam<ModelSize> {};

TEST_P(CudaFakeModel, StepIsOrderedAndNeitherAllocatesNorWaits) {
  FakeProgram program(GetParam());
  std::string text = plan_counts(program);
  text += "enqueued step: " + replay(program, false);
  text += "captured step: " + replay(program, true);
  text += "device memory " + std::to_string(program.report().peak_allocated_bytes) + " bytes\n";
  expect_golden(GetParam().golden, text);
}

INSTANTIATE_TEST_SUITE_P(Sizes, CudaFakeModel, testing::Values(kSmall, kLarge),
                         [](const auto& size) { return size.param.tied ? "Small" : "Large"; });

TEST(CudaFakeModelFault, ADroppedWaitIsSeen) {
  for (const int stream : {0, 1}) {
    FakeProgram program(kSmall);
    std::vector<Command> commands = program.commands();
    const std::size_t erased = std::erase_if(commands, [&](const Command& command) {
      return command.kind == Command::Kind::wait && command.stream == stream;
    });
    ASSERT_GT(erased, 0u);
    const auto sequence = program.record(std::move(commands), false);
    program.run(*sequence);
    EXPECT_FALSE(program.report().faults.empty()) << "waits of stream " << stream;
  }
}

}  // namespace
}  // namespace fornax
