// Steps of a plan: which kernel serves each node, and what must be uploaded and downloaded.
#include <algorithm>

#include "runtime/execution/plan.h"

namespace fornax {

namespace {

using kernels::Kernel;
using kernels::Offer;
using kernels::TensorType;

std::size_t at(int id) { return static_cast<std::size_t>(id); }
std::int64_t padded(std::int64_t bytes) { return (bytes + 255) / 256 * 256; }
bool narrow(const TensorType& type) {
  return type.dtype == DType::bf16 || type.dtype == DType::f16;
}

/// Sets every narrow type to f32 and returns the bytes of the copies that this needs.
std::int64_t widen_types(std::vector<TensorType>& types) {
  std::int64_t bytes = 0;
  for (TensorType& type : types) {
    if (!narrow(type)) continue;
    type.dtype = DType::f32;
    bytes += padded(type.bytes());
  }
  return bytes;
}

class Chooser {
 public:
  explicit Chooser(const Plan& plan) : plan_(plan) {}

  void choose(PlanStep& step) {
    const NodeData& node = plan_.graph.nodes[at(step.node)];
    NodeTypes types = types_of(plan_.graph, node);
    const bool any_narrow = std::any_of(types.in.begin(), types.in.end(), narrow) ||
                            std::any_of(types.out.begin(), types.out.end(), narrow);
    refusals_.clear();
    if (offered(step, node, types)) return;
    if (plan_.model.backend == kernels::Backend::cuda) refuse(step.node, types);
    if (any_narrow) {
      step.widen = true;
      const std::int64_t copies = widen_types(types.in) + widen_types(types.out);
      offered(step, node, types);
      step.workspace_bytes = padded(step.offer.workspace_bytes) + copies;
    }
  }

 private:
  bool offered(PlanStep& step, const NodeData& node, const NodeTypes& types) {
    const kernels::Signature signature{types.in, types.out, node.attributes};
    for (const Kernel* kernel : kernels::find_kernels(node.op->name, plan_.model)) {
      Offer offer = kernel->offer(signature, plan_.model);
      if (!offer.refusal.empty()) {
        refusals_.push_back(std::move(offer.refusal));
        continue;
      }
      step.kernel = kernel;
      step.offer = std::move(offer);
      step.workspace_bytes = step.offer.workspace_bytes;
      return true;
    }
    return false;
  }

  [[noreturn]] void refuse(int node, const NodeTypes& types) const {
    std::string text =
        "plan: no kernel of " + plan_.model.name + " takes " + describe(plan_.graph, node) + " (";
    for (std::size_t i = 0; i < types.in.size(); ++i)
      text += (i ? ", " : "") + to_string(types.in[i]);
    text += ')';
    for (const std::string& refusal : refusals_) text += "; " + refusal;
    if (refusals_.empty()) text += "; none is registered for this op";
    throw Error(ErrorCode::unsupported, text);
  }

  const Plan& plan_;
  std::vector<std::string> refusals_;
};

PlanStep copy_step(PlanStep::Kind kind, int value) {
  PlanStep step;
  step.kind = kind;
  (kind == PlanStep::Kind::upload ? step.out : step.in).push_back(value);
  return step;
}

/// Inputs that a node reads or that the step returns, in order of creation.
std::vector<int> used_inputs(const Plan& plan) {
  std::vector<char> used(plan.graph.values.size(), 0);
  for (const NodeData& node : plan.graph.nodes)
    for (const int id : node.in)
      if (id != kAbsent) used[at(id)] = 1;
  for (const int id : plan.outputs) used[at(id)] = 1;
  std::vector<int> inputs;
  for (std::size_t id = 0; id < used.size(); ++id)
    if (used[id] && plan.graph.values[id].role == Role::input)
      inputs.push_back(static_cast<int>(id));
  return inputs;
}

}  // namespace

void choose_kernels(Plan& plan) {
  const Dependencies dependencies = dependencies_of(plan.graph);
  const std::vector<int> order = schedule(plan.graph, dependencies);
  for (const int id : plan.outputs) {
    const int updater = dependencies.updater[at(dependencies.base[at(id)])];
    if (updater == kAbsent) continue;
    throw Error(ErrorCode::unsupported,
                "plan: an output shows what '" + plan.graph.handle(id).name() + "' held before " +
                    describe(plan.graph, updater) +
                    " updates it; return the updated value, or a copy made by contiguous()");
  }
  plan.inputs = used_inputs(plan);
  plan.steps.clear();
  plan.streams = 1;
  plan.events = 0;
  for (const int id : plan.inputs) plan.steps.push_back(copy_step(PlanStep::Kind::upload, id));
  Chooser chooser(plan);
  for (const int n : order) {
    if (dependencies.view[at(n)]) continue;
    PlanStep step;
    step.node = n;
    step.in = plan.graph.nodes[at(n)].in;
    step.out = plan.graph.nodes[at(n)].out;
    chooser.choose(step);
    plan.steps.push_back(std::move(step));
  }
  for (const int id : plan.outputs) plan.steps.push_back(copy_step(PlanStep::Kind::download, id));
  for (std::size_t id = 0; id < dependencies.updater.size(); ++id)
    plan.advances_step |=
        dependencies.updater[id] != kAbsent && plan.graph.values[id].role == Role::parameter;
}

}  // namespace fornax
