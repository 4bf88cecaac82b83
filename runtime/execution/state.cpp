// State: named values on a backend.
#include <algorithm>

#include "runtime/execution/state_data.h"
#include "runtime/graph/graph_data.h"

namespace fornax {

using kernels::require;

namespace {

/// Levenshtein distance, for hints.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({change, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

template <class Map>
[[noreturn]] void not_found(const char* what, std::string_view name, const Map& map) {
  std::string nearest;
  for (const auto& [key, value] : map)
    if (nearest.empty() || distance(name, key) < distance(name, nearest)) nearest = key;
  throw Error(ErrorCode::not_found,
              std::string("state: no ") + what + " is called '" + std::string(name) + '\'' +
                  (nearest.empty() ? std::string() : "; the nearest is '" + nearest + '\''));
}

StateValue& find(StateData& data, std::string_view name) {
  const auto found = data.values.find(name);
  if (found == data.values.end()) not_found("parameter or state", name, data.values);
  return found->second;
}

/// The bits of `from` as dtype `to`; only between f32 and f64, else a copy.
Tensor converted(const Tensor& from, DType to) {
  if (from.dtype() == to) return from;
  Tensor result(to, from.shape());
  if (to == DType::f64 && from.dtype() == DType::f32)
    std::copy_n(from.as<float>().begin(), from.shape().elements(), result.as<double>().begin());
  else if (to == DType::f32 && from.dtype() == DType::f64)
    std::transform(from.as<double>().begin(), from.as<double>().end(), result.as<float>().begin(),
                   [](double value) { return static_cast<float>(value); });
  else
    throw Error(ErrorCode::dtype, std::string("state: ") + name(from.dtype()) + " given where " +
                                      name(to) + " is kept");
  return result;
}

using StateValues = std::map<std::string, StateValue, std::less<>>;

void allocate_value(StateData& data, const ValueData& value, StateValues& added) {
  const Tensor initial = converted(
      initial_value(value.initializer, value.type.dtype, value.type.shape, value.name, data.seed),
      data.backend->storage(value.type.dtype));
  const auto bytes = static_cast<std::int64_t>(initial.bytes().size());
  StateValue entry{
      value.role == Role::parameter ? StateEntry::Role::parameter : StateEntry::Role::state,
      initial.dtype(), initial.shape(), DeviceMemory(data.backend, bytes)};
  data.backend->upload(entry.memory.get(), initial.bytes().data(), bytes);
  added.emplace(value.name, std::move(entry));
}

void add_value(StateData& data, const ValueData& value, StateValues& added) {
  try {
    allocate_value(data, value, added);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::out_of_memory) throw;
    throw Error(ErrorCode::out_of_memory,
                "state: '" + value.name + "' " + to_string(value.type) + ": " + error.what());
  }
}

}  // namespace

const Device& State::device() const { return data_->device; }
bool State::has(std::string_view name) const { return data_->values.contains(name); }

std::vector<StateEntry> State::entries() const {
  std::vector<StateEntry> entries;
  for (const auto& [name, value] : data_->values)
    entries.push_back({name, value.role, value.dtype, value.shape});
  return entries;
}

Tensor State::get(std::string_view name) const {
  const StateValue& value = find(*data_, name);
  settle(*data_);
  Tensor result(value.dtype, value.shape);
  data_->backend->download(result.bytes().data(), value.memory.get(),
                           static_cast<std::int64_t>(result.bytes().size()));
  return result;
}

void State::set(std::string_view name, const Tensor& tensor) {
  StateValue& value = find(*data_, name);
  require(tensor.shape() == value.shape, ErrorCode::shape,
          "state: '" + std::string(name) + "' has shape " + to_string(value.shape) + "; got " +
              to_string(tensor.shape()));
  const Tensor stored = converted(tensor, value.dtype);
  data_->backend->upload(value.memory.get(), stored.bytes().data(),
                         static_cast<std::int64_t>(stored.bytes().size()));
}

std::map<std::string, Tensor> State::parameters() const {
  std::map<std::string, Tensor> result;
  for (const auto& [name, value] : data_->values)
    if (value.role == StateEntry::Role::parameter) result.emplace(name, get(name));
  return result;
}

std::int64_t State::step() const { return data_->step; }
void State::set_step(std::int64_t step) {
  require(step >= 0, ErrorCode::invalid_argument,
          "state: step " + std::to_string(step) + "; it is 0 or more");
  data_->step = step;
}
std::uint64_t State::seed() const { return data_->seed; }
void State::set_seed(std::uint64_t seed) { data_->seed = seed; }

double State::scalar(std::string_view name) const {
  const auto found = data_->scalars.find(name);
  if (found == data_->scalars.end()) not_found("step scalar", name, data_->scalars);
  return found->second;
}
void State::set_scalar(std::string_view name, double value) {
  const auto found = data_->scalars.find(name);
  if (found == data_->scalars.end()) not_found("step scalar", name, data_->scalars);
  found->second = value;
}
std::map<std::string, double> State::scalars() const {
  return {data_->scalars.begin(), data_->scalars.end()};
}

std::string State::note(std::string_view key) const {
  const auto found = data_->notes.find(key);
  return found == data_->notes.end() ? std::string() : found->second;
}
void State::set_note(std::string_view key, std::string value) {
  data_->notes[std::string(key)] = std::move(value);
}
std::map<std::string, std::string> State::notes() const {
  return {data_->notes.begin(), data_->notes.end()};
}

void State::extend(const Graph& graph) {
  std::vector<const ValueData*> missing;
  for (const ValueData& value : graph.data().values) {
    if (value.role != Role::parameter && value.role != Role::state) continue;
    const auto found = data_->values.find(value.name);
    if (found == data_->values.end()) {
      missing.push_back(&value);
      continue;
    }
    require(found->second.shape == value.type.shape, ErrorCode::shape,
            "state: '" + value.name + "' has shape " + to_string(found->second.shape) +
                ", the graph wants " + to_string(value.type.shape));
    require(found->second.dtype == data_->backend->storage(value.type.dtype), ErrorCode::dtype,
            "state: '" + value.name + "' is " + name(found->second.dtype) + ", the graph wants " +
                name(value.type.dtype));
  }
  StateValues added;  // all or nothing
  for (const ValueData* value : missing) add_value(*data_, *value, added);
  data_->values.merge(added);
  for (const StepScalar& scalar : graph.data().scalars)
    data_->scalars.try_emplace(scalar.name, scalar.initial);
}

State initialize(const Graph& graph, const Device& device, const InitializeOptions& options) {
  State state;
  state.data_ = std::make_shared<StateData>();
  state.data_->backend = open_backend(device);
  state.data_->device = device;
  state.data_->seed = options.seed;
  state.extend(graph);
  return state;
}

}  // namespace fornax
