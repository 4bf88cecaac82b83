// sgd(), adamw() and clip_by_global_norm(): from options and gradients to nodes.
#include <fornax/ops/optimizer_step.h>

#include "kernels/op.h"

namespace fornax {

namespace {

using kernels::require;

constexpr std::int64_t kElementsUpdatedAlone = 128 * 1024;

void require_range(const char* option, double value, double low, double end) {
  require(value >= low && value < end, ErrorCode::invalid_argument,
          std::string("optimizer: ") + option + " must lie in [" + std::to_string(low) + ", " +
              std::to_string(end) + "); got " + std::to_string(value));
}
void require_rate(const char* option, double value) {
  require(
      value >= 0 && value < 1e30, ErrorCode::invalid_argument,
      std::string("optimizer: ") + option + " must be a number >= 0; got " + std::to_string(value));
}

/// Settings of every tensor in order of the gradients.
struct TensorSettings {
  std::vector<double> weight_decay, learning_rate_scale;
};

TensorSettings settings_of(const Gradients& gradients, double weight_decay,
                           const std::vector<ParameterGroup>& groups) {
  const std::size_t count = gradients.items.size();
  TensorSettings settings{std::vector<double>(count, weight_decay), std::vector<double>(count, 1)};
  std::vector<char> grouped(count, 0);
  for (const ParameterGroup& group : groups)
    for (const Value& parameter : group.parameters) {
      std::size_t i = 0;
      while (i < count && !(gradients.items[i].parameter == parameter)) ++i;
      require(i < count, ErrorCode::invalid_argument,
              "optimizer: the group parameter '" + (parameter ? parameter.name() : "") +
                  "' has no gradient here");
      require(!grouped[i], ErrorCode::invalid_argument,
              "optimizer: parameter '" + parameter.name() + "' stands in two groups");
      grouped[i] = 1;
      settings.weight_decay[i] = group.weight_decay.value_or(weight_decay);
      settings.learning_rate_scale[i] = group.learning_rate_scale.value_or(1);
      require_rate("weight_decay", settings.weight_decay[i]);
      require_rate("learning_rate_scale", settings.learning_rate_scale[i]);
    }
  return settings;
}

/// An optimizer's node without its tensors: what all of them share.
struct Update {
  std::string_view op;
  int moments;
  Attributes attributes;
};

std::vector<double> chosen(const std::vector<double>& values, const std::vector<std::size_t>& of) {
  std::vector<double> some;
  for (const std::size_t i : of) some.push_back(values[i]);
  return some;
}

/// One node for the listed tensors; moments[m][i] is moment m of tensor i.
void add_node(Graph graph, const Gradients& gradients, const Update& update,
              const TensorSettings& settings, const std::vector<std::vector<Value>>& moments,
              const std::vector<std::size_t>& tensors) {
  std::vector<Value> in;
  for (const std::size_t i : tensors) in.push_back(gradients.items[i].parameter);
  for (const std::size_t i : tensors) in.push_back(gradients.items[i].gradient);
  for (const auto& moment : moments)
    for (const std::size_t i : tensors) in.push_back(moment[i]);
  in.push_back(gradients.scale);
  Attributes attributes = update.attributes;
  attributes.set("tensors", static_cast<std::int64_t>(tensors.size()));
  attributes.set("moments", static_cast<std::int64_t>(moments.size()));
  attributes.set("weight_decay", chosen(settings.weight_decay, tensors));
  attributes.set("learning_rate_scale", chosen(settings.learning_rate_scale, tensors));
  graph.add(update.op, in, std::move(attributes));
}

/// A tensor so large that its update is worth a launch of its own, which runs as soon as its
/// gradient is there: then the gradient is still near, and its memory is free for the next one.
/// A scale that clips by the norm of all gradients must wait for them, and one node does for all.
bool updated_alone(const Gradients& gradients, std::size_t i) {
  return !gradients.scale &&
         gradients.items[i].parameter.shape().elements() >= kElementsUpdatedAlone;
}

void add_update(Graph graph, const Gradients& gradients, const Update& update,
                const TensorSettings& settings) {
  require(!gradients.items.empty(), ErrorCode::invalid_argument,
          std::string(update.op) + ": there is no gradient to apply");
  std::vector<std::vector<Value>> moments(static_cast<std::size_t>(update.moments));
  for (std::size_t m = 0; m < moments.size(); ++m)
    for (const auto& item : gradients.items)
      moments[m].push_back(graph.state(item.parameter.name() + ".moment" + std::to_string(m + 1),
                                       item.parameter.shape(), zeros(), item.parameter.dtype()));
  std::vector<std::size_t> together;
  for (std::size_t i = 0; i < gradients.items.size(); ++i) {
    if (updated_alone(gradients, i))
      add_node(graph, gradients, update, settings, moments, {i});
    else
      together.push_back(i);
  }
  if (!together.empty()) add_node(graph, gradients, update, settings, moments, together);
}

}  // namespace

void sgd(Graph graph, const Gradients& gradients, const SgdOptions& options) {
  require_rate("learning_rate", options.learning_rate);
  require_rate("weight_decay", options.weight_decay);
  require_range("momentum", options.momentum, 0, 1);
  require(!options.nesterov || options.momentum > 0, ErrorCode::invalid_argument,
          "sgd: nesterov needs momentum > 0");
  const TensorSettings settings = settings_of(gradients, options.weight_decay, options.groups);
  const std::int64_t slot = graph.step_scalar("learning_rate", options.learning_rate);
  add_update(graph, gradients,
             {"sgd",
              options.momentum > 0 ? 1 : 0,
              {{"learning_rate_slot", slot},
               {"momentum", options.momentum},
               {"nesterov", static_cast<std::int64_t>(options.nesterov)}}},
             settings);
}

void adamw(Graph graph, const Gradients& gradients, const AdamWOptions& options) {
  require_rate("learning_rate", options.learning_rate);
  require_rate("weight_decay", options.weight_decay);
  require_range("beta1", options.beta1, 0, 1);
  require_range("beta2", options.beta2, 0, 1);
  require(options.epsilon > 0, ErrorCode::invalid_argument,
          "adamw: epsilon must be positive; got " + std::to_string(options.epsilon));
  const TensorSettings settings = settings_of(gradients, options.weight_decay, options.groups);
  const std::int64_t slot = graph.step_scalar("learning_rate", options.learning_rate);
  add_update(graph, gradients,
             {"adamw",
              2,
              {{"learning_rate_slot", slot},
               {"beta1", options.beta1},
               {"beta2", options.beta2},
               {"epsilon", options.epsilon}}},
             settings);
}

Gradients clip_by_global_norm(Gradients gradients, double max_norm) {
  require(!gradients.items.empty(), ErrorCode::invalid_argument,
          "clip_by_global_norm: there is no gradient to clip");
  std::vector<Value> in;
  for (const auto& item : gradients.items) in.push_back(item.gradient);
  Graph graph = in[0].graph();
  const Value norm = graph.add("global_norm", in)[0];
  const auto out = graph.add("clip_scale", {norm, gradients.scale}, {{"max_norm", max_norm}});
  gradients.scale = out[0];
  gradients.norm = out[1];
  return gradients;
}

}  // namespace fornax
