// Builds a model with its gradients and optimizer, and trains it.
#include "tests/end_to_end/parity/training.h"

#include <algorithm>

namespace fornax::parity {

namespace {

/// Entry `number`, modulo their number, of what is stacked along the leading axis.
Tensor entry(const Tensor& stacked, int number) {
  const Shape& shape = stacked.shape();
  Tensor result(stacked.dtype(),
                Shape(std::span<const std::int64_t>(shape.begin() + 1, shape.end())));
  const std::size_t bytes = result.bytes().size();
  const auto at = static_cast<std::size_t>(number % shape[0]) * bytes;
  std::copy_n(stacked.bytes().begin() + static_cast<std::ptrdiff_t>(at), bytes,
              result.bytes().begin());
  return result;
}

}  // namespace

Training::Training(const Model& model, const Device& device, const Faults& faults)
    : model_(model), faults_(faults), data_(model.data()) {
  loss_ = model.loss(graph_);
  evaluate_loss_ = model.loss(evaluate_graph_);
  gradients_ = gradients(loss_, graph_.parameters());
  if (faults.gradient_factor != 1)
    gradients_.items[0].gradient = multiply(gradients_.items[0].gradient, faults.gradient_factor);
  if (model.clip_norm > 0) gradients_ = clip_by_global_norm(gradients_, model.clip_norm);
  model.update(graph_, gradients_);
  state_ = initialize(graph_, device, {.seed = kSeed});
}

Trace Training::run() {
  CompileOptions options{.outputs = {loss_}};
  if (gradients_.norm) options.outputs.push_back(gradients_.norm);
  Program program = compile(graph_, state_, options);
  for (const ParameterGradient& item : gradients_.items) options.outputs.push_back(item.gradient);
  Program with_gradients = compile(graph_, state_, options);
  Trace trace;
  while (state_.step() < kSteps) {
    const auto number = static_cast<int>(state_.step());
    step(number == 0 ? with_gradients : program, number, trace);
  }
  trace.values = values();
  return trace;
}

void Training::step(Program& program, int number, Trace& trace) {
  state_.set_scalar("learning_rate", model_.rate(number) * faults_.rate_factor);
  const Outputs& outputs = feed(program, graph_, number);
  trace.losses.push_back(outputs.scalar(loss_));
  if (gradients_.norm) trace.norms.push_back(outputs.scalar(gradients_.norm));
  if (number > 0) return;
  for (const ParameterGradient& item : gradients_.items)
    trace.gradients.emplace(item.parameter.name(), outputs.tensor(item.gradient));
}

const Outputs& Training::feed(Program& program, const Graph& graph, int number) {
  TensorMap batch;
  for (const auto& [name, stacked] : data_)
    if (graph.find(name)) batch.emplace(name, entry(stacked, number));
  std::vector<Input> inputs;
  for (const auto& [name, tensor] : batch) inputs.push_back({name, tensor});
  return program.run(inputs);
}

double Training::evaluate() {
  Program program = compile(evaluate_graph_, state_, {.outputs = {evaluate_loss_}});
  return feed(program, evaluate_graph_, 0).scalar(evaluate_loss_);
}

TensorMap Training::values() const {
  TensorMap values;
  for (const StateEntry& entry : state_.entries())
    if (evaluate_graph_.find(entry.name)) values.emplace(entry.name, state_.get(entry.name));
  return values;
}

void Training::save_initial(const std::string& path) const {
  TensorMap tensors = values();
  for (const auto& [name, stacked] : data_) tensors.emplace("input." + name, stacked);
  save_safetensors(path, tensors, {{"model", model_.name}});
}

}  // namespace fornax::parity
