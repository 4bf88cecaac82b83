// Plans as text, and what they will cost.
#include <algorithm>
#include <cstdio>

#include "runtime/execution/plan.h"

namespace fornax {

namespace {

std::size_t at(int id) { return static_cast<std::size_t>(id); }

std::string label(const Plan& plan, int id) {
  if (id == kAbsent) return "-";
  const std::string& name = plan.graph.values[at(id)].name;
  return name.empty() ? '%' + std::to_string(id) : name;
}

std::string list(const Plan& plan, const std::vector<int>& ids) {
  std::string text;
  for (const int id : ids) text += (text.empty() ? "" : ", ") + label(plan, id);
  return text;
}

std::string to_string(const Plan& plan, const Location& location) {
  if (location.space == Location::Space::none) return "nowhere";
  const std::string offset = std::to_string(location.offset_bytes);
  if (location.space == Location::Space::arena) return "arena+" + offset;
  return label(plan, location.value) + '+' + offset;
}

std::string print_step(const Plan& plan, const PlanStep& step) {
  std::string text = std::to_string(step.stream) + ' ';
  for (const int event : step.waits) text += "wait e" + std::to_string(event) + ' ';
  if (step.kind == PlanStep::Kind::upload) text += "upload " + list(plan, step.out);
  if (step.kind == PlanStep::Kind::download) text += "download " + list(plan, step.in);
  if (step.kind == PlanStep::Kind::launch) {
    const NodeData& node = plan.graph.nodes[at(step.node)];
    const std::string op(node.op->name);
    text += list(plan, step.out) + " = " + op + to_string(node.attributes) + '(' +
            list(plan, step.in) + ") by " +
            (step.kernel ? std::string(step.kernel->name) : op + "_reference");
    if (step.offer.variant) text += " variant " + std::to_string(step.offer.variant);
    if (step.pinned) text += " pinned";
    if (step.widen) text += " widened";
    if (step.workspace_bytes)
      text += " workspace " + std::to_string(step.workspace_bytes) + " at " +
              to_string(plan, step.workspace);
  }
  if (step.signal != kAbsent) text += " signal e" + std::to_string(step.signal);
  return text + '\n';
}

std::string print_value(const Plan& plan, int id) {
  const PlanValue& value = plan.values[at(id)];
  std::string text =
      label(plan, id) + ' ' + to_string(value.type) + " at " + to_string(plan, value.location);
  if (value.root != id) return text + " in " + label(plan, value.root) + '\n';
  return text + ", " + std::to_string(value.bytes) + " bytes, steps " +
         std::to_string(value.first) + " to " + std::to_string(value.last) + '\n';
}

/// "kernels: own first; linear pinned to linear_exact".
std::string print_order(const Plan& plan) {
  std::string text = "kernels: ";
  text += plan.kernel_choice == KernelChoice::library ? "library first" : "own first";
  for (const KernelPin& pin : plan.pins) {
    text += "; " + pin.op;
    if (pin.value != kAbsent) text += " that makes " + label(plan, pin.value);
    text += " pinned to " + pin.kernel;
  }
  return text + '\n';
}

/// One line for every kernel that was asked before the step's own and refused.
std::string refusals_before(const Plan& plan, const PlanStep& step) {
  std::string text;
  if (step.pinned) return text;
  const NodeData& node = plan.graph.nodes[at(step.node)];
  const NodeTypes types = types_of(plan.graph, node);
  const kernels::Signature signature{types.in, types.out, node.attributes};
  for (const kernels::Kernel* kernel : candidates(plan, node.op->name)) {
    if (kernel == step.kernel) break;
    const std::string refusal = kernel->offer(signature, plan.model).refusal;
    if (!refusal.empty()) text += describe(plan.graph, step.node) + ": " + refusal + '\n';
  }
  return text;
}

}  // namespace

std::string print(const Plan& plan) {
  std::string text = "plan for " + plan.model.name + ": " + std::to_string(plan.steps.size()) +
                     " steps, " + std::to_string(plan.streams) + " streams, " +
                     std::to_string(plan.events) + " events, arena " +
                     std::to_string(plan.arena_bytes) + " bytes (at least " +
                     std::to_string(plan.lower_bound_bytes) + ")";
  if (plan.thread_bytes > 0)
    text += ", " + std::to_string(plan.thread_bytes) + " of them for each thread";
  text += '\n';
  text += print_order(plan);
  text += "steps: stream, waits, what, signal\n";
  for (std::size_t s = 0; s < plan.steps.size(); ++s)
    text += std::to_string(s) + ": " + print_step(plan, plan.steps[s]);
  text += "values\n";
  for (int id = 0; id < static_cast<int>(plan.values.size()); ++id)
    if (plan.values[at(id)].root != kAbsent) text += print_value(plan, id);
  return text;
}

std::string print_refusals(const Plan& plan) {
  std::string text;
  for (const PlanStep& step : plan.steps)
    if (step.kind == PlanStep::Kind::launch) text += refusals_before(plan, step);
  return text;
}

std::string print_choices(const Plan& plan) {
  std::string text = print_order(plan);
  for (const PlanStep& step : plan.steps) {
    if (step.kind != PlanStep::Kind::launch) continue;
    text += refusals_before(plan, step) + describe(plan.graph, step.node) + ": ";
    text += step.kernel ? std::string(step.kernel->name) : "the reference";
    if (step.pinned) text += ", pinned";
    text += step.widen ? ", on f32 copies\n" : "\n";
  }
  return text;
}

PlanSummary summarize(const Plan& plan) {
  PlanSummary summary;
  summary.nodes = static_cast<std::int64_t>(plan.graph.nodes.size());
  summary.streams = plan.streams;
  summary.events = plan.events;
  summary.arena_bytes = plan.arena_bytes;
  summary.lower_bound_bytes = plan.lower_bound_bytes;
  double seconds = 0;
  for (const PlanStep& step : plan.steps) {
    if (step.kind != PlanStep::Kind::launch) continue;
    ++summary.launches;
    summary.workspace_bytes = std::max(summary.workspace_bytes, step.workspace_bytes);
    const NodeData& node = plan.graph.nodes[at(step.node)];
    const NodeTypes types = types_of(plan.graph, node);
    const kernels::Signature signature{types.in, types.out, node.attributes};
    const kernels::Cost cost =
        node.op->cost ? node.op->cost(signature) : kernels::streaming_cost(signature, 0);
    summary.flops += cost.flops;
    summary.operations += std::max(cost.operations, cost.flops / 2);
    summary.quotients += cost.quotients;
    summary.read_bytes += cost.read_bytes;
    summary.write_bytes += cost.write_bytes;
    const bool narrow = std::any_of(types.in.begin(), types.in.end(), [](const auto& type) {
      return type.dtype == DType::bf16 || type.dtype == DType::f16;
    });
    const double rate = narrow ? plan.model.bf16_flops : plan.model.f32_flops;
    if (rate > 0) seconds += cost.flops / rate;
  }
  for (std::size_t id = 0; id < plan.values.size(); ++id)
    if (plan.values[id].location.space == Location::Space::state &&
        plan.values[id].root == static_cast<int>(id))
      summary.state_bytes += plan.values[id].bytes;
  const auto bytes = static_cast<double>(summary.read_bytes + summary.write_bytes);
  if (plan.model.bytes_per_second > 0)
    seconds = std::max(seconds, bytes / plan.model.bytes_per_second);
  summary.floor_ms = seconds * 1e3;
  summary.workspace_bytes += plan.thread_space_bytes();
  return summary;
}

}  // namespace fornax
