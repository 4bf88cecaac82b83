// From a plan to commands: every address resolved, bf16 and f16 operands routed through f32 copies.
#include "kernels/layout/strided.h"
#include "kernels/numeric/numeric.h"
#include "runtime/execution/program_data.h"

namespace fornax {

namespace {

using kernels::ConstTensorView;
using kernels::KernelArgs;
using kernels::TensorType;
using kernels::TensorView;

bool narrow(DType dtype) { return dtype == DType::bf16 || dtype == DType::f16; }

float widen_element(DType dtype, std::uint16_t bits) {
  return dtype == DType::bf16 ? numeric::from_bf16(bits) : numeric::from_f16(bits);
}
std::uint16_t narrow_element(DType dtype, float value) {
  return dtype == DType::bf16 ? numeric::to_bf16(value) : numeric::to_f16(value);
}

/// to = the elements of x in row-major order, however they lie.
void widen_elements(const ConstTensorView& x, float* to) {
  if (x.elements() == 0) return;
  const auto walk = kernels::strided_walk<1>(x.shape(), {x.type->strides});
  const std::int64_t width = walk.row_elements(), stride = walk.stride[0][walk.rank - 1];
  for (std::int64_t row = 0; row < walk.rows(); ++row) {
    std::int64_t offset[1];
    walk.row_offsets(row, offset);
    const auto* from = x.as<std::uint16_t>() + offset[0];
    for (std::int64_t i = 0; i < width; ++i) *to++ = widen_element(x.type->dtype, from[i * stride]);
  }
}

/// Runs the kernel of a BoundStep on row-major f32 copies of its narrow operands; inputs are
/// widened before, outputs rounded after (to nearest even).
struct Widened {
  std::shared_ptr<const void> kernel_bound;
  void (*launch)(const KernelArgs&);
  std::vector<TensorType> types;  ///< f32 forms: inputs, then outputs
  std::vector<ConstTensorView> in;
  std::vector<TensorView> out;
  std::int64_t kernel_workspace;

  static void run(const KernelArgs& args) {
    const auto& self = *static_cast<const Widened*>(args.bound);
    for (std::size_t i = 0; i < args.in.size(); ++i) {
      if (self.in[i].data == args.in[i].data || !args.in[i].present()) continue;
      widen_elements(args.in[i], static_cast<float*>(const_cast<void*>(self.in[i].data)));
    }
    KernelArgs inner = args;
    inner.in = self.in, inner.out = self.out, inner.bound = self.kernel_bound.get();
    inner.workspace = args.workspace.first(static_cast<std::size_t>(self.kernel_workspace));
    self.launch(inner);
    for (std::size_t i = 0; i < args.out.size(); ++i) {
      if (self.out[i].data == args.out[i].data || !args.out[i].present()) continue;
      const float* from = self.out[i].as<float>();
      auto* to = args.out[i].as<std::uint16_t>();
      for (std::int64_t e = 0; e < args.out[i].elements(); ++e)
        to[e] = narrow_element(args.out[i].type->dtype, from[e]);
    }
  }
};

std::int64_t padded(std::int64_t bytes) { return (bytes + 255) / 256 * 256; }

std::shared_ptr<Widened> widen(const PlanStep& step, const KernelArgs& args) {
  auto widened = std::make_shared<Widened>();
  widened->launch = nullptr;
  widened->kernel_workspace = padded(step.offer.workspace_bytes);
  widened->types.reserve(args.in.size() + args.out.size());
  std::byte* next = args.workspace.data() + widened->kernel_workspace;
  const auto place = [&](const TensorType* type, const void* data) -> void* {
    TensorType wide = type ? *type : TensorType();
    const bool copy = data && narrow(wide.dtype);
    if (copy) wide = TensorType(DType::f32, type->shape);
    widened->types.push_back(wide);
    if (!copy) return const_cast<void*>(data);
    void* at = next;
    next += padded(wide.bytes());
    return at;
  };
  for (const ConstTensorView& view : args.in) {
    void* at = place(view.type, view.data);
    widened->in.push_back({at, &widened->types.back()});
  }
  for (const TensorView& view : args.out) {
    void* at = place(view.type, view.data);
    widened->out.push_back({at, &widened->types.back()});
  }
  return widened;
}

class Binder {
 public:
  explicit Binder(ProgramData& program) : program_(program), plan_(program.plan) {}

  void* address(const Location& location) const {
    std::byte* base = nullptr;
    if (location.space == Location::Space::arena)
      base = static_cast<std::byte*>(program_.arena->memory.get());
    if (location.space == Location::Space::state) {
      const auto& name = plan_.graph.values[static_cast<std::size_t>(location.value)].name;
      base = static_cast<std::byte*>(program_.state->values.find(name)->second.memory.get());
    }
    return base ? base + location.offset_bytes : nullptr;
  }

  const PlanValue& value(int id) const { return plan_.values[static_cast<std::size_t>(id)]; }

  Command launch(const PlanStep& step) {
    const NodeData& node = plan_.graph.nodes[static_cast<std::size_t>(step.node)];
    program_.bound.push_back(std::make_unique<BoundStep>());
    BoundStep& bound = *program_.bound.back();
    for (const int id : step.in)
      bound.in_types.push_back(id == kAbsent ? TensorType() : value(id).type);
    for (const int id : step.out)
      bound.out_types.push_back(id == kAbsent ? TensorType() : value(id).type);
    for (std::size_t i = 0; i < step.in.size(); ++i)
      bound.in.push_back({step.in[i] == kAbsent ? nullptr : address(value(step.in[i]).location),
                          &bound.in_types[i]});
    for (std::size_t i = 0; i < step.out.size(); ++i)
      bound.out.push_back({step.out[i] == kAbsent ? nullptr : address(value(step.out[i]).location),
                           &bound.out_types[i]});
    Command command;
    command.name =
        step.kernel ? std::string(step.kernel->name) : std::string(node.op->name) + "_reference";
    command.args.in = bound.in, command.args.out = bound.out;
    command.args.attributes = &node.attributes;
    command.uses_step = node.op->uses_step;
    command.args.threads = plan_.model.threads;
    if (step.workspace_bytes)
      command.args.workspace = {static_cast<std::byte*>(address(step.workspace)),
                                static_cast<std::size_t>(step.workspace_bytes)};
    if (const std::int64_t bytes = plan_.thread_space_bytes()) {
      auto* arena = static_cast<std::byte*>(program_.arena->memory.get());
      command.args.thread_space = {arena + plan_.arena_bytes - bytes,
                                   static_cast<std::size_t>(bytes)};
    }
    choose_function(step, node, bound, command);
    if (step.kernel && !step.widen) command.by_rows = step.kernel->by_rows;
    return command;
  }

 private:
  void choose_function(const PlanStep& step, const NodeData& node, BoundStep& bound,
                       Command& command) {
    const bool f64 = program_.state->backend->storage(DType::f32) == DType::f64;
    command.launch = step.kernel ? step.kernel->launch
                     : f64       ? node.op->reference_f64
                                 : node.op->reference_f32;
    kernels::require(command.launch, ErrorCode::unsupported,
                     describe(plan_.graph, step.node) + " has no reference");
    std::shared_ptr<Widened> widened;
    std::vector<TensorType> in = bound.in_types, out = bound.out_types;
    if (step.widen) {
      widened = widen(step, command.args);
      for (std::size_t i = 0; i < in.size(); ++i) in[i] = widened->types[i];
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = widened->types[in.size() + i];
      widened->launch = std::exchange(command.launch, &Widened::run);
    }
    if (step.kernel && step.kernel->bind)
      bound.bound = step.kernel->bind({in, out, node.attributes}, step.offer, plan_.model);
    if (widened) {
      widened->kernel_bound = std::move(bound.bound);
      bound.bound = std::move(widened);
    }
    command.args.bound = bound.bound.get();
  }

  ProgramData& program_;
  const Plan& plan_;
};

}  // namespace

std::vector<Command> make_commands(ProgramData& program) {
  Binder binder(program);
  std::vector<Command> commands;
  int uploads = 0, downloads = 0;
  for (const PlanStep& step : program.plan.steps) {
    Command command;
    command.stream = step.stream;
    for (const int event : step.waits) {
      command.kind = Command::Kind::wait, command.event = event;
      commands.push_back(command);
    }
    if (step.kind == PlanStep::Kind::launch) {
      command = binder.launch(step);
    } else {
      const bool upload = step.kind == PlanStep::Kind::upload;
      const PlanValue& value = binder.value(upload ? step.out[0] : step.in[0]);
      command.kind = upload ? Command::Kind::upload : Command::Kind::download;
      command.slot = upload ? uploads++ : downloads++;
      command.device = binder.address(value.location);
      command.bytes = value.type.bytes();
    }
    command.stream = step.stream;
    commands.push_back(std::move(command));
    if (step.signal == kAbsent) continue;
    Command signal;
    signal.kind = Command::Kind::signal, signal.stream = step.stream, signal.event = step.signal;
    commands.push_back(std::move(signal));
  }
  return commands;
}

}  // namespace fornax
