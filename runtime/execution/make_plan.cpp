// From a graph to a plan: passes, kernels, streams, memory; checked.
#include "runtime/execution/plan.h"
#include "runtime/support/log.h"

namespace fornax {

namespace {

void log_choices(const Plan& plan) {
  if (!log_enabled("plan", LogLevel::debug)) return;
  const std::string text = print_choices(plan);
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = text.find('\n', start);
    log("plan", LogLevel::debug, std::string_view(text).substr(start, end - start));
    start = end + 1;
  }
}

}  // namespace

Plan make_plan(GraphData graph, const kernels::DeviceModel& model, const PlanOptions& options) {
  for (const int id : options.outputs)
    kernels::require(id >= 0 && id < static_cast<int>(graph.values.size()),
                     ErrorCode::invalid_argument,
                     "plan: output " + std::to_string(id) + " is no value of the graph");
  Plan plan;
  plan.model = model;
  plan.outputs = options.outputs;
  plan.kernel_choice = options.kernel_choice;
  plan.pins = options.pins;
  copy_views(graph, plan.outputs);
  dead_nodes(graph, plan.outputs);
  if (options.fuse) fuse(graph, plan.outputs, model);
  plan.graph = std::move(graph);
  choose_kernels(plan);
  log_choices(plan);
  assign_streams(plan, options);
  plan_memory(plan);
  check_plan(plan);
  return plan;
}

}  // namespace fornax
