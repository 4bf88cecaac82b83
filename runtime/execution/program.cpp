// Programs: compile binds a plan to a State.
#include <algorithm>

#include "runtime/execution/program_data.h"

namespace fornax {

using kernels::require;

namespace {

/// The graph as the backend stores it: on the f64 reference every f32 is f64.
GraphData stored_graph(const GraphData& graph, const Backend& backend) {
  GraphData stored = graph;
  for (ValueData& value : stored.values) value.type.dtype = backend.storage(value.type.dtype);
  return stored;
}

void check_outputs(const Graph& graph, const CompileOptions& options) {
  for (const Value& value : options.outputs) {
    require(value && &value.graph().data() == &graph.data(), ErrorCode::invalid_argument,
            "compile: an output is absent or belongs to another graph");
  }
  for (const PinnedKernel& pin : options.pinned_kernels)
    require(!pin.output || &pin.output.graph().data() == &graph.data(), ErrorCode::invalid_argument,
            "compile: the output of a pin to '" + pin.kernel + "' belongs to another graph");
}

PlanOptions plan_options(const CompileOptions& options) {
  PlanOptions result;
  for (const Value& value : options.outputs) result.outputs.push_back(value.id());
  result.fuse = options.fuse;
  result.second_stream = options.second_stream;
  result.kernel_choice = options.kernel_choice;
  for (const PinnedKernel& pin : options.pinned_kernels)
    result.pins.push_back({pin.op, pin.kernel, pin.output ? pin.output.id() : kAbsent});
  return result;
}

/// "  gelu output f32 [64, 512], 131072 bytes" for the largest of the arena's values.
std::string largest_values(const Plan& plan, std::size_t count) {
  std::vector<int> roots;
  for (int id = 0; id < static_cast<int>(plan.values.size()); ++id) {
    const PlanValue& value = plan.values[static_cast<std::size_t>(id)];
    if (value.root == id && value.location.space == Location::Space::arena) roots.push_back(id);
  }
  const auto bytes = [&](int id) { return plan.values[static_cast<std::size_t>(id)].bytes; };
  std::stable_sort(roots.begin(), roots.end(), [&](int a, int b) { return bytes(a) > bytes(b); });
  roots.resize(std::min(roots.size(), count));
  std::string text;
  for (const int id : roots) {
    const ValueData& value = plan.graph.values[static_cast<std::size_t>(id)];
    text += "\n  ";
    text += value.producer == kAbsent ? "input " + value.name
                                      : "output of " + describe(plan.graph, value.producer);
    text += ": " + to_string(value.type) + ", " + std::to_string(bytes(id)) + " bytes";
  }
  return text;
}

void allocate_arena(ProgramData& data) {
  try {
    data.arena->reserve(data.state->backend, data.plan.arena_bytes);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::out_of_memory) throw;
    throw Error(ErrorCode::out_of_memory,
                "compile: the arena needs " + std::to_string(data.plan.arena_bytes) + " bytes: " +
                    error.what() + "; a smaller batch would help. The largest values are" +
                    largest_values(data.plan, 10));
  }
}

void prepare_inputs(ProgramData& data) {
  for (const int id : data.plan.inputs) {
    const ValueData& value = data.plan.graph.values[static_cast<std::size_t>(id)];
    const DType given = data.graph.find(value.name).dtype();
    data.input_names.push_back(value.name);
    data.converted.push_back(
        given == value.type.dtype ? Tensor() : Tensor(value.type.dtype, value.type.shape));
  }
  data.input_addresses.resize(data.plan.inputs.size());
}

void prepare_outputs(ProgramData& data) {
  for (const int id : data.plan.outputs) {
    const ValueData& value = data.plan.graph.values[static_cast<std::size_t>(id)];
    for (StepSlot& slot : data.slots) slot.outputs.emplace_back(value.type.dtype, value.type.shape);
  }
  for (StepSlot& slot : data.slots)
    for (Tensor& output : slot.outputs) slot.output_addresses.push_back(output.bytes().data());
}

}  // namespace

void bind(ProgramData& data) {
  data.sequence.reset();  // it points into what is bound
  data.bound.clear();
  data.arena->reserve(data.state->backend, data.plan.arena_bytes);  // if a growing arena lost it
  const std::span arena(static_cast<std::byte*>(data.arena->memory.get()),
                        static_cast<std::size_t>(data.plan.arena_bytes));
  data.sequence = data.state->backend->record(
      make_commands(data), {data.plan.streams, data.plan.events, data.capture, arena});
  data.bound_at = data.arena->moves;
}

PlanSummary Program::summary() const { return summarize(data_->plan); }
std::string Program::print_plan() const { return print(data_->plan); }

Program compile(const Graph& graph, const State& state, const CompileOptions& options) {
  check_outputs(graph, options);
  Program program;
  program.data_ = std::make_shared<ProgramData>(graph);
  ProgramData& data = *program.data_;
  data.state = state.shared();
  Backend& backend = *data.state->backend;
  data.plan =
      make_plan(stored_graph(graph.data(), backend), backend.model(), plan_options(options));
  for (const Value& value : options.outputs) data.output_ids.push_back(value.id());
  for (const StepScalar& scalar : graph.data().scalars) data.scalar_names.push_back(scalar.name);
  if (options.arena) data.arena = options.arena->shared();
  allocate_arena(data);
  State(state).extend(graph);
  prepare_inputs(data);
  prepare_outputs(data);
  data.capture = options.capture;
  bind(data);
  for (int i = 0; i < Sequence::kSlots; ++i) {
    Outputs& view = data.slots[static_cast<std::size_t>(i)].view;
    view.data_ = &data, view.slot_ = i;
  }
  if (!data.plan.writes_state) return program;
  const std::lock_guard lock(data.state->steps_mutex);
  data.state->writers.push_back(&data);
  return program;
}

}  // namespace fornax
