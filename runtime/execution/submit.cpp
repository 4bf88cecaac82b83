// Steps of a Program: inputs in, one step submitted, results and bad indices out.
#include <algorithm>

#include "runtime/execution/program_data.h"
#include "runtime/support/log.h"

namespace fornax {

namespace {

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

/// Every input checked, and its address taken.
void take_inputs(ProgramData& data, std::span<const Input> inputs) {
  std::fill(data.input_addresses.begin(), data.input_addresses.end(), nullptr);
  for (const Input& input : inputs) take_input(data, input);
  for (std::size_t i = 0; i < data.input_names.size(); ++i)
    if (!data.input_addresses[i]) refuse(ErrorCode::not_found, data.input_names[i], "is not given");
}

void fill_step(const ProgramData& data, kernels::StepState& step) {
  step.step = data.state->step;
  step.seed = data.state->seed;
  step.bad_index = step.bad_value = 0;
  for (std::size_t slot = 0; slot < data.scalar_names.size(); ++slot)
    step.scalars[slot] = data.state->scalars.find(data.scalar_names[slot])->second;
}

std::string bad_index_text(const StepSlot& slot) {
  return "run: a label or index is out of range: value " + std::to_string(slot.step.bad_value) +
         " at position " + std::to_string(slot.step.bad_index - 1) + ", when State::step was " +
         std::to_string(slot.step.step) + "; it took no part in that step";
}

/// Waits for the slot's step if it is under way.
void end_step(ProgramData& data, StepSlot& slot) {
  if (!slot.under_way) return;
  slot.under_way = false;
  data.sequence->wait(data.index_of(slot));
  slot.unreported = slot.step.bad_index != 0;
}

[[noreturn]] void report(StepSlot& slot) {
  slot.unreported = false;
  throw Error(ErrorCode::invalid_argument, bad_index_text(slot));
}

/// The slots of a Program that writes a State are also ended by whoever reads the State.
std::unique_lock<std::mutex> lock_steps(const ProgramData& data) {
  return data.plan.writes_state ? std::unique_lock(data.state->steps_mutex)
                                : std::unique_lock<std::mutex>();
}

void report_unreported(ProgramData& data) {
  // The older step first: its slot is the one that the next step gets.
  for (int i = 0; i < Sequence::kSlots; ++i) {
    StepSlot& slot = data.slot_of(data.submitted + 1 + static_cast<std::uint64_t>(i));
    end_step(data, slot);
    if (slot.unreported) report(slot);
  }
}

/// The arena grew for another Program: this one ends its steps and is recorded anew.
void bind_again(ProgramData& data) {
  {
    const auto lock = lock_steps(data);
    for (StepSlot& slot : data.slots) end_step(data, slot);
  }
  bind(data);
}

/// Begins a step with the inputs taken; waits first for the step that had the slot.
StepSlot& begin_step(ProgramData& data) {
  StepSlot& slot = data.slot_of(data.submitted + 1);
  {
    const auto lock = lock_steps(data);
    end_step(data, slot);
    if (slot.unreported) report(slot);
    slot.number = 0;  // of no step if this one does not begin
  }
  if (data.bound_at != data.arena->moves) bind_again(data);
  fill_step(data, slot.step);
  data.sequence->submit(data.index_of(slot), slot.step, data.input_addresses,
                        slot.output_addresses);
  slot.under_way = true;
  slot.number = ++data.submitted;
  if (data.plan.advances_step) ++data.state->step;
  return slot;
}

const Outputs& results(ProgramData& data, StepSlot& slot) {
  const auto lock = lock_steps(data);
  end_step(data, slot);
  if (slot.step.bad_index != 0) report(slot);
  return slot.view;
}

}  // namespace

void settle(StateData& state) {
  const std::lock_guard lock(state.steps_mutex);
  for (ProgramData* writer : state.writers) report_unreported(*writer);
  if (!state.unreported.empty())
    throw Error(ErrorCode::invalid_argument, std::exchange(state.unreported, {}));
}

ProgramData::~ProgramData() {
  if (!state) return;
  const std::lock_guard lock(state->steps_mutex);
  std::erase(state->writers, this);
  for (StepSlot& slot : slots) {
    try {
      end_step(*this, slot);
      if (!slot.unreported) continue;
      state->unreported = bad_index_text(slot);
      log("execution", LogLevel::warning, state->unreported);
    } catch (...) {
      // A broken device says so to whoever uses it next.
    }
  }
}

const Tensor& Outputs::tensor(Value value) const {
  const auto& ids = data_->output_ids;
  const auto found = std::find(ids.begin(), ids.end(), value.id());
  if (!value || found == ids.end() || &value.graph().data() != &data_->graph.data())
    throw Error(ErrorCode::not_found, "outputs: the value was not among CompileOptions::outputs");
  return data_->slots[static_cast<std::size_t>(slot_)]
      .outputs[static_cast<std::size_t>(found - ids.begin())];
}
double Outputs::scalar(Value value) const { return tensor(value).scalar(); }

const Outputs& Ticket::wait() const {
  if (!data_) throw Error(ErrorCode::invalid_argument, "ticket: it is of no step");
  StepSlot& slot = data_->slot_of(number_);
  if (slot.number != number_)
    throw Error(ErrorCode::invalid_argument,
                "ticket: the results are gone; read a Ticket before the Program's second run or "
                "submit after it");
  return results(*data_, slot);
}

Ticket Program::submit(std::span<const Input> inputs) {
  take_inputs(*data_, inputs);
  Ticket ticket;
  ticket.number_ = begin_step(*data_).number;
  ticket.data_ = data_;
  return ticket;
}

const Outputs& Program::run(std::span<const Input> inputs) {
  take_inputs(*data_, inputs);
  settle(*data_->state);
  if (!data_->plan.writes_state) report_unreported(*data_);
  return results(*data_, begin_step(*data_));
}

}  // namespace fornax
