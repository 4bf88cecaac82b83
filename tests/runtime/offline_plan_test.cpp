// Plans for machines that are not present: golden texts, kernel choice, predicted cost.
#include <fornax/fornax.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "runtime/support/log.h"
#include "tests/runtime/test_graph.h"

namespace fornax::testing {
namespace {

using kernels::DeviceModel;
using kernels::Kernel;
using kernels::Offer;
using kernels::Signature;

Offer accept(const Signature&, const DeviceModel&) { return {}; }
Offer accept_with_workspace(const Signature&, const DeviceModel&) { return {"", 1000, 2}; }
Offer refuse(const Signature& signature, const DeviceModel& model) {
  return {"test_refusing: wants rank 2 on " + model.name + ", got rank " +
              std::to_string(signature.in[0].shape.rank()),
          0, 0};
}

/// A CUDA kernel for every op, so that graphs of real ops plan for a GPU here.
void register_kernels() {
  static const std::vector<Kernel> kernels = [] {
    std::vector<Kernel> list{
        {"test_compute", "test_refusing", refuse, nullptr, launch_nothing},
        {"test_compute", "test_planned", accept_with_workspace, nullptr, launch_nothing},
        {"test_in_place", "test_refusing", refuse, nullptr, launch_nothing},
        {"test_update", "test_updating", accept, nullptr, launch_nothing},
        {"test_weight_gradient", "test_wgrad", accept, nullptr, launch_nothing}};
    for (const kernels::OpDefinition* op : kernels::all_ops())
      list.push_back({op->name, op->name, accept, nullptr, launch_nothing});
    return list;
  }();
  static const bool once = (kernels::register_cuda_kernels("test", kernels), true);
  EXPECT_TRUE(once);
}

void expect_golden(const std::string& file, const std::string& text) {
  std::ifstream in(std::string(FORNAX_SOURCE_DIR) + "/tests/runtime/golden/" + file);
  std::stringstream golden;
  golden << in.rdbuf();
  EXPECT_EQ(text, golden.str()) << "golden/" << file << " should now read:\n" << text;
}

TEST(OfflinePlan, PrintsATrainingStepForH200) {
  register_kernels();
  GraphMaker maker;
  const int loss = training_chain(maker, 3, 1000);
  const Plan plan = make_plan(maker.graph, DeviceModel::h200(), {.outputs = {loss}});
  expect_golden("training_chain_h200.txt", print(plan));
  EXPECT_EQ(print_refusals(plan).find("test_compute (node 0): test_refusing: wants rank 2"), 0u);
}

/// 45 blocks of 2048 -> 8192 -> 2048 with residuals, 1.5 billion parameters, AdamW, 4096 rows.
TEST(OfflinePlan, CountsOfAnMlpOfOneAndAHalfBillionForH200) {
  register_kernels();
  Graph graph(Mode::train);
  Value x = graph.input("x", {4096, 2048});
  const Value target = graph.input("target", {4096, 2048});
  for (int k = 0; k < 45; ++k) {
    Graph::Scope scope(graph, "block" + std::to_string(k));
    const Value up = linear(x, graph.parameter("up.weight", {8192, 2048}, he_normal()),
                            graph.parameter("up.bias", {8192}, zeros()));
    const Value down = linear(gelu(up), graph.parameter("down.weight", {2048, 8192}, he_normal()),
                              graph.parameter("down.bias", {2048}, zeros()));
    x = add(x, down);
  }
  const Value loss = mean_squared_error(x, target);
  adamw(graph, gradients(loss, graph.parameters()));
  const Plan plan = make_plan(graph.data(), DeviceModel::h200(), {.outputs = {loss.id()}});
  const PlanSummary summary = summarize(plan);
  std::map<std::string, int> launches;
  int waits = 0, second = 0;
  for (const PlanStep& step : plan.steps) {
    waits += static_cast<int>(step.waits.size());
    second += step.stream == 1;
    if (step.kernel) ++launches[std::string(step.kernel->name)];
  }
  std::ostringstream text;
  text << "launches " << summary.launches << ", on the second stream " << second << ", events "
       << summary.events << ", waits " << waits << '\n';
  for (const auto& [name, count] : launches) text << name << ' ' << count << '\n';
  text << "state " << summary.state_bytes << " bytes, arena " << summary.arena_bytes
       << " bytes, at least " << summary.lower_bound_bytes << '\n'
       << "read " << summary.read_bytes << " bytes, written " << summary.write_bytes << '\n'
       << "GFLOP " << static_cast<std::int64_t>(summary.flops / 1e9) << ", floor "
       << static_cast<std::int64_t>(summary.floor_ms * 1000) << " us\n";
  expect_golden("mlp_1_5b_h200.txt", text.str());
  EXPECT_LE(static_cast<double>(summary.arena_bytes),
            1.01 * static_cast<double>(summary.lower_bound_bytes));
}

TEST(OfflinePlan, SaysWhyNoKernelTakesANode) {
  register_kernels();
  GraphMaker maker;
  const int y = maker.add(kInPlace, {maker.input("x", 64)}, 64);
  try {
    make_plan(maker.graph, DeviceModel::h200(), {.outputs = {y}});
    FAIL() << "planned without a kernel";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
    EXPECT_NE(std::string(error.what())
                  .find("test_in_place (node 0) (f32 [64]); test_refusing: "
                        "wants rank 2 on h200, got rank 1"),
              std::string::npos)
        << error.what();
  }
}

TEST(OfflinePlan, TheLogTellsEveryChoiceAndRefusal) {
  register_kernels();
  GraphMaker maker;
  const int y = maker.add(kCompute, {maker.input("x", 64)}, 64);
  std::vector<std::string> lines;
  set_log_sink([&](const LogRecord& record) { lines.emplace_back(record.message); });
  make_plan(maker.graph, DeviceModel::h200(), {.outputs = {y}});
  EXPECT_TRUE(lines.empty()) << "not asked for";
  set_log_levels("plan");
  make_plan(maker.graph, DeviceModel::h200(), {.outputs = {y}});
  set_log_levels("warning"), set_log_sink({});
  EXPECT_EQ(lines, (std::vector<std::string>{
                       "kernels: own first",
                       "test_compute (node 0): test_refusing: wants rank 2 on h200, got rank 1",
                       "test_compute (node 0): test_planned"}));
}

TEST(OfflinePlan, NarrowTypesPassThroughCopies) {
  GraphMaker maker;
  const int x = maker.input("x", 100), y = maker.add(kCompute, {x}, 100);
  for (ValueData& value : maker.graph.values) value.type.dtype = DType::bf16;
  const Plan plan = make_plan(maker.graph, reference_model(), {.outputs = {y}});
  EXPECT_TRUE(plan.steps[1].widen);
  EXPECT_EQ(plan.steps[1].workspace_bytes, 2 * 512);
  EXPECT_EQ(plan.arena_bytes, 256 + 256 + 1024);
}

TEST(OfflinePlan, FloorIsTheSlowerOfArithmeticAndMemory) {
  Graph graph(Mode::evaluate);
  const Value x = graph.input("x", {1024, 1024}), w = graph.input("w", {1024, 1024});
  const Value product = linear(x, w), small = relu(x);
  DeviceModel model = reference_model();
  model.f32_flops = 1e12;
  model.bytes_per_second = 1e12;
  const PlanSummary compute =
      summarize(make_plan(graph.data(), model, {.outputs = {product.id()}}));
  EXPECT_DOUBLE_EQ(compute.flops, 2.0 * 1024 * 1024 * 1024);
  EXPECT_DOUBLE_EQ(compute.floor_ms, 2.0 * 1024 * 1024 * 1024 / 1e9);
  model.f32_flops = 1e15;
  const PlanSummary memory = summarize(make_plan(graph.data(), model, {.outputs = {small.id()}}));
  EXPECT_DOUBLE_EQ(memory.floor_ms, 8.0 * 1024 * 1024 / 1e9);
}

TEST(OfflinePlan, SummaryCountsTheSpaceOfThreadsAsWorkspace) {
  Graph graph(Mode::evaluate);
  const Value x = graph.input("x", {64, 64}), w = graph.input("w", {64, 64});
  Plan plan = make_plan(graph.data(), reference_model(), {.outputs = {linear(x, w).id()}});
  const std::int64_t workspace = summarize(plan).workspace_bytes;
  plan.model.threads = 3, plan.thread_bytes = 512;
  EXPECT_EQ(summarize(plan).workspace_bytes, workspace + 3 * 512);
}

}  // namespace
}  // namespace fornax::testing
