// Steps of a plan: which kernel serves each node, and what must be uploaded and downloaded.
#include <algorithm>
#include <set>

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

/// Makes every narrow type row-major f32 and returns the bytes of the copies that this needs.
std::int64_t widen_types(std::vector<TensorType>& types) {
  std::int64_t bytes = 0;
  for (TensorType& type : types) {
    if (!narrow(type)) continue;
    type = TensorType(DType::f32, type.shape);
    bytes += padded(type.bytes());
  }
  return bytes;
}

class Chooser {
 public:
  explicit Chooser(const Plan& plan) : plan_(plan), used_(plan.pins.size(), 0) {}

  void choose(PlanStep& step) {
    node_ = &plan_.graph.nodes[at(step.node)];
    types_ = types_of(plan_.graph, *node_);
    refusals_.clear();
    if (const KernelPin* pin = pin_of_node()) return take_pinned(step, *pin);
    const KernelList list = candidates(plan_, node_->op->name);
    if (offered(step, list)) return;
    if (on_device()) refuse(step.node);
    if (any_narrow()) offered_wide(step, list);
  }

  /// Throws Error{not_found} when a pin fits no node.
  void check_pins() const {
    for (std::size_t i = 0; i < used_.size(); ++i) {
      if (used_[i]) continue;
      const KernelPin& pin = plan_.pins[i];
      std::set<std::string_view> ops;
      for (const PlanStep& step : plan_.steps)
        if (step.kind == PlanStep::Kind::launch)
          ops.insert(plan_.graph.nodes[at(step.node)].op->name);
      std::string text = "plan: " + pin.op + " is pinned to '" + pin.kernel + "', but no node is ";
      text += pin.value == kAbsent ? "such an op" : "such an op that makes that value";
      text += "; after fusing the plan has";
      for (const std::string_view op : ops) text += ' ' + std::string(op);
      throw Error(ErrorCode::not_found, text);
    }
  }

 private:
  using KernelList = std::vector<const Kernel*>;

  bool on_device() const { return plan_.model.backend == kernels::Backend::cuda; }
  bool any_narrow() const {
    return std::any_of(types_.in.begin(), types_.in.end(), narrow) ||
           std::any_of(types_.out.begin(), types_.out.end(), narrow);
  }

  bool offered(PlanStep& step, const KernelList& list) {
    const kernels::Signature signature{types_.in, types_.out, node_->attributes};
    for (const Kernel* kernel : list) {
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

  /// The same on f32 copies of narrow operands, which the reference takes too.
  bool offered_wide(PlanStep& step, const KernelList& list) {
    step.widen = true;
    const std::int64_t copies = widen_types(types_.in) + widen_types(types_.out);
    const bool taken = offered(step, list);
    step.workspace_bytes = padded(step.offer.workspace_bytes) + copies;
    return taken;
  }

  /// The first pin that fits the node; every one that does is marked as used.
  const KernelPin* pin_of_node() {
    const KernelPin* first = nullptr;
    for (std::size_t i = 0; i < used_.size(); ++i) {
      const KernelPin& pin = plan_.pins[i];
      const auto& out = node_->out;
      if (pin.op != node_->op->name) continue;
      if (pin.value != kAbsent && std::find(out.begin(), out.end(), pin.value) == out.end())
        continue;
      used_[i] = 1;
      if (!first) first = &pin;
    }
    return first;
  }

  void take_pinned(PlanStep& step, const KernelPin& pin) {
    step.pinned = true;
    if (!on_device() && pin.kernel == pin.op + "_reference") {
      if (any_narrow()) offered_wide(step, {});
      return;
    }
    KernelList others = candidates(plan_, node_->op->name);
    const auto found = std::find_if(others.begin(), others.end(), [&](const Kernel* kernel) {
      return kernel->name == pin.kernel;
    });
    if (found == others.end()) refuse_unknown(step.node, pin, others);
    const Kernel* kernel = *found;
    if (offered(step, {kernel})) return;
    if (!on_device() && any_narrow() && offered_wide(step, {kernel})) return;
    others.erase(found);
    refuse_pinned(step, pin, others);
  }

  [[noreturn]] void refuse_unknown(int node, const KernelPin& pin, const KernelList& list) const {
    std::string text = "plan: " + describe(plan_.graph, node) + " is pinned to '" + pin.kernel +
                       "', which is no kernel of it on " + plan_.model.name + "; there is";
    for (const Kernel* kernel : list) text += ' ' + std::string(kernel->name);
    if (!on_device()) text += ' ' + pin.op + "_reference";
    throw Error(ErrorCode::not_found, text);
  }

  [[noreturn]] void refuse_pinned(PlanStep& step, const KernelPin& pin, const KernelList& others) {
    std::string text = "plan: " + describe(plan_.graph, step.node) + " is pinned to '" +
                       pin.kernel + "', which refuses: " + refusals_.back() + "; ";
    refusals_.clear();
    text += offered(step, others) ? std::string(step.kernel->name) + " takes it"
                                  : "no other kernel takes it";
    for (const std::string& refusal : refusals_) text += "; " + refusal;
    throw Error(ErrorCode::unsupported, text);
  }

  [[noreturn]] void refuse(int node) const {
    std::string text =
        "plan: no kernel of " + plan_.model.name + " takes " + describe(plan_.graph, node) + " (";
    for (std::size_t i = 0; i < types_.in.size(); ++i)
      text += (i ? ", " : "") + to_string(types_.in[i]);
    text += ')';
    for (const std::string& refusal : refusals_) text += "; " + refusal;
    if (refusals_.empty()) text += "; none is registered for this op";
    throw Error(ErrorCode::unsupported, text);
  }

  const Plan& plan_;
  const NodeData* node_ = nullptr;  ///< under way
  NodeTypes types_;                 ///< of its operands, as asked
  std::vector<std::string> refusals_;
  std::vector<char> used_;  ///< by pin
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

std::vector<const Kernel*> candidates(const Plan& plan, std::string_view op) {
  std::vector<const Kernel*> list = kernels::find_kernels(op, plan.model);
  const bool library = plan.kernel_choice == KernelChoice::library;
  std::stable_partition(list.begin(), list.end(),
                        [&](const Kernel* kernel) { return kernel->library == library; });
  return list;
}

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
  chooser.check_pins();
  for (const int id : plan.outputs) plan.steps.push_back(copy_step(PlanStep::Kind::download, id));
  for (std::size_t id = 0; id < dependencies.updater.size(); ++id) {
    if (dependencies.updater[id] == kAbsent) continue;
    plan.writes_state = true;
    plan.advances_step |= plan.graph.values[id].role == Role::parameter;
  }
}

}  // namespace fornax
