// Programs: compile binds a plan to a State; run feeds one step.
#include <algorithm>
#include <cstring>

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
    data.arena = DeviceMemory(data.state->backend, data.plan.arena_bytes);
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
    data.outputs.emplace_back(value.type.dtype, value.type.shape);
  }
  for (Tensor& output : data.outputs) data.output_addresses.push_back(output.bytes().data());
}

std::int64_t input_index(const ProgramData& data, std::string_view name) {
  const auto found = std::find(data.input_names.begin(), data.input_names.end(), name);
  return found == data.input_names.end() ? -1 : found - data.input_names.begin();
}

/// An input that nothing reads was left out of the plan; it may still be given.
bool is_unread_input(const ProgramData& data, std::string_view name) {
  const Value value = data.graph.find(name);
  return value &&
         data.graph.data().values[static_cast<std::size_t>(value.id())].role == Role::input;
}

[[noreturn]] void refuse_input(const ProgramData& data, std::string_view name) {
  std::string names;
  for (const std::string& input : data.input_names) names += (names.empty() ? "" : ", ") + input;
  throw Error(ErrorCode::not_found,
              "run: the program has no input '" + std::string(name) + "'; its inputs are " + names);
}

[[noreturn]] void refuse(ErrorCode code, std::string_view input, const std::string& why) {
  throw Error(code, "run: input '" + std::string(input) + "' " + why);
}

// No message is put together before it is needed: run() allocates nothing.
void take_input(ProgramData& data, const Input& input) {
  const std::int64_t found = input_index(data, input.name);
  if (found < 0 && is_unread_input(data, input.name)) return;
  if (found < 0) refuse_input(data, input.name);
  const auto at = static_cast<std::size_t>(found);
  const int id = data.plan.inputs[at];
  const kernels::TensorType& type = data.plan.graph.values[static_cast<std::size_t>(id)].type;
  const Tensor& tensor = input.tensor;
  if (data.input_addresses[at]) refuse(ErrorCode::invalid_argument, input.name, "is given twice");
  if (tensor.shape() != type.shape)
    refuse(ErrorCode::shape, input.name,
           "has shape " + to_string(tensor.shape()) + ", the graph wants " + to_string(type.shape));
  data.input_addresses[at] = tensor.bytes().data();
  if (tensor.dtype() == type.dtype) return;
  if (data.converted[at].empty() || tensor.dtype() != DType::f32)
    refuse(ErrorCode::dtype, input.name,
           std::string("is ") + name(tensor.dtype()) + ", the graph wants " + name(type.dtype));
  const auto from = tensor.as<float>();
  std::copy(from.begin(), from.end(), data.converted[at].as<double>().begin());
  data.input_addresses[at] = data.converted[at].bytes().data();
}

void fill_step(ProgramData& data) {
  data.step.step = data.state->step;
  data.step.seed = data.state->seed;
  data.step.bad_index = data.step.bad_value = 0;
  for (std::size_t slot = 0; slot < data.scalar_names.size(); ++slot)
    data.step.scalars[slot] =
        static_cast<float>(data.state->scalars.find(data.scalar_names[slot])->second);
}

}  // namespace

const Tensor& Outputs::tensor(Value value) const {
  const auto& ids = data_->output_ids;
  const auto found = std::find(ids.begin(), ids.end(), value.id());
  if (!value || found == ids.end() || &value.graph().data() != &data_->graph.data())
    throw Error(ErrorCode::not_found, "outputs: the value was not among CompileOptions::outputs");
  return data_->outputs[static_cast<std::size_t>(found - ids.begin())];
}
double Outputs::scalar(Value value) const { return tensor(value).scalar(); }

const Outputs& Program::run(std::span<const Input> inputs) {
  ProgramData& data = *data_;
  std::fill(data.input_addresses.begin(), data.input_addresses.end(), nullptr);
  for (const Input& input : inputs) take_input(data, input);
  for (std::size_t i = 0; i < data.input_names.size(); ++i)
    if (!data.input_addresses[i]) refuse(ErrorCode::not_found, data.input_names[i], "is not given");
  fill_step(data);
  data.sequence->run(data.step, data.input_addresses, data.output_addresses);
  if (data.plan.advances_step) ++data.state->step;
  if (data.step.bad_index != 0)
    throw Error(ErrorCode::invalid_argument,
                "run: a label or index is out of range: value " +
                    std::to_string(data.step.bad_value) + " at position " +
                    std::to_string(data.step.bad_index - 1) + "; it took no part in this step");
  return data.view;
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
  data.output_ids = data.plan.outputs;
  for (const StepScalar& scalar : graph.data().scalars) data.scalar_names.push_back(scalar.name);
  allocate_arena(data);
  State(state).extend(graph);
  prepare_inputs(data);
  prepare_outputs(data);
  data.sequence =
      backend.record(make_commands(data), {data.plan.streams, data.plan.events, options.capture});
  data.view.data_ = &data;
  return program;
}

}  // namespace fornax
