// From a graph to a plan: passes, kernels, streams, memory; checked.
#include "runtime/execution/plan.h"

namespace fornax {

Plan make_plan(GraphData graph, const kernels::DeviceModel& model, const PlanOptions& options) {
  for (const int id : options.outputs)
    kernels::require(id >= 0 && id < static_cast<int>(graph.values.size()),
                     ErrorCode::invalid_argument,
                     "plan: output " + std::to_string(id) + " is no value of the graph");
  Plan plan;
  plan.model = model;
  plan.outputs = options.outputs;
  dead_nodes(graph, options.outputs);
  if (options.fuse) fuse(graph, options.outputs);
  plan.graph = std::move(graph);
  choose_kernels(plan);
  assign_streams(plan, options);
  plan_memory(plan);
  check_plan(plan);
  return plan;
}

}  // namespace fornax
