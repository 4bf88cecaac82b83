// sgd(), adamw() and clip_by_global_norm(): from options and gradients to nodes.
#include <fornax/ops/optimizer_step.h>

#include "kernels/op.h"

namespace fornax {

namespace {

using kernels::require;

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

void add_update(Graph graph, std::string_view op, const Gradients& gradients, int moments,
                Attributes attributes) {
  require(!gradients.items.empty(), ErrorCode::invalid_argument,
          std::string(op) + ": there is no gradient to apply");
  std::vector<Value> in;
  for (const auto& item : gradients.items) in.push_back(item.parameter);
  for (const auto& item : gradients.items) in.push_back(item.gradient);
  for (int m = 1; m <= moments; ++m)
    for (const auto& item : gradients.items)
      in.push_back(graph.state(item.parameter.name() + ".moment" + std::to_string(m),
                               item.parameter.shape(), zeros(), item.parameter.dtype()));
  in.push_back(gradients.scale);
  attributes.set("tensors", static_cast<std::int64_t>(gradients.items.size()));
  attributes.set("moments", static_cast<std::int64_t>(moments));
  graph.add(op, in, std::move(attributes));
}

}  // namespace

void sgd(Graph graph, const Gradients& gradients, const SgdOptions& options) {
  require_rate("learning_rate", options.learning_rate);
  require_rate("weight_decay", options.weight_decay);
  require_range("momentum", options.momentum, 0, 1);
  require(!options.nesterov || options.momentum > 0, ErrorCode::invalid_argument,
          "sgd: nesterov needs momentum > 0");
  auto settings = settings_of(gradients, options.weight_decay, options.groups);
  const std::int64_t slot = graph.step_scalar("learning_rate", options.learning_rate);
  add_update(graph, "sgd", gradients, options.momentum > 0 ? 1 : 0,
             {{"learning_rate_slot", slot},
              {"momentum", options.momentum},
              {"nesterov", static_cast<std::int64_t>(options.nesterov)},
              {"weight_decay", std::move(settings.weight_decay)},
              {"learning_rate_scale", std::move(settings.learning_rate_scale)}});
}

void adamw(Graph graph, const Gradients& gradients, const AdamWOptions& options) {
  require_rate("learning_rate", options.learning_rate);
  require_rate("weight_decay", options.weight_decay);
  require_range("beta1", options.beta1, 0, 1);
  require_range("beta2", options.beta2, 0, 1);
  require(options.epsilon > 0, ErrorCode::invalid_argument,
          "adamw: epsilon must be positive; got " + std::to_string(options.epsilon));
  auto settings = settings_of(gradients, options.weight_decay, options.groups);
  const std::int64_t slot = graph.step_scalar("learning_rate", options.learning_rate);
  add_update(graph, "adamw", gradients, 2,
             {{"learning_rate_slot", slot},
              {"beta1", options.beta1},
              {"beta2", options.beta2},
              {"epsilon", options.epsilon},
              {"weight_decay", std::move(settings.weight_decay)},
              {"learning_rate_scale", std::move(settings.learning_rate_scale)}});
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
