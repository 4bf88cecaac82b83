// Graphs of test-only ops, built below the public interface, for tests of passes and plans.
#pragma once
#include <string>
#include <vector>

#include "runtime/execution/plan.h"

namespace fornax::testing {

using kernels::Alias;
using kernels::OpDefinition;

inline void infer_nothing(std::span<const kernels::TensorType>, const Attributes&,
                          std::vector<kernels::TensorType>&) {}
inline void overwrites(const kernels::Signature&, kernels::AliasList& list) {
  list.push_back({0, 0, Alias::Kind::may_overwrite, 0});
}
inline void views(const kernels::Signature&, kernels::AliasList& list) {
  list.push_back({0, 0, Alias::Kind::view, 0});
}
inline void updates(const kernels::Signature&, kernels::AliasList& list) {
  list.push_back({0, 0, Alias::Kind::updates_state, 0});
}
inline void launch_nothing(const kernels::KernelArgs&) {}

inline const OpDefinition kCompute{
    .name = "test_compute", .infer = infer_nothing, .reference_f32 = launch_nothing};
inline const OpDefinition kInPlace{.name = "test_in_place",
                                   .infer = infer_nothing,
                                   .reference_f32 = launch_nothing,
                                   .aliases = overwrites};
inline const OpDefinition kView{
    .name = "test_view", .infer = infer_nothing, .reference_f32 = launch_nothing, .aliases = views};
inline const OpDefinition kUpdate{.name = "test_update",
                                  .infer = infer_nothing,
                                  .reference_f32 = launch_nothing,
                                  .aliases = updates};
inline const OpDefinition kWeightGradient{.name = "test_weight_gradient",
                                          .infer = infer_nothing,
                                          .reference_f32 = launch_nothing,
                                          .weight_gradient = true};

/// Adds values and nodes to a GraphData; every value is f32 [elements].
class GraphMaker {
 public:
  int input(const std::string& name, std::int64_t elements) {
    return named(name, elements, Role::input);
  }
  int parameter(const std::string& name, std::int64_t elements) {
    return named(name, elements, Role::parameter);
  }
  int add(const OpDefinition& op, std::vector<int> in, std::int64_t elements) {
    ValueData value;
    value.type = {DType::f32, Shape{elements}};
    value.producer = static_cast<int>(graph.nodes.size());
    NodeData node;
    node.op = &op;
    node.in = std::move(in);
    node.out = {graph.add_value(std::move(value))};
    graph.nodes.push_back(node);
    return node.out[0];
  }
  GraphData graph;

 private:
  int named(const std::string& name, std::int64_t elements, Role role) {
    ValueData value;
    value.type = {DType::f32, Shape{elements}};
    value.role = role;
    value.name = name;
    const int id = graph.add_value(std::move(value));
    graph.named.emplace(name, id);
    return id;
  }
};

/// A machine without kernels: every op runs its reference.
inline kernels::DeviceModel reference_model(int streams = 1) {
  kernels::DeviceModel model;
  model.backend = kernels::Backend::reference;
  model.name = "reference";
  model.streams = streams;
  return model;
}

/// A chain of `layers` products trained by an update of each weight, as a training step has it.
inline int training_chain(GraphMaker& maker, int layers, std::int64_t elements) {
  std::vector<int> weights, activations{maker.input("x", elements)};
  for (int k = 0; k < layers; ++k) {
    weights.push_back(maker.parameter("w" + std::to_string(k), elements));
    activations.push_back(maker.add(kCompute, {activations.back(), weights.back()}, elements));
  }
  const int loss = maker.add(kCompute, {activations.back()}, 1);
  int gradient = maker.add(kCompute, {activations.back(), loss}, elements);
  for (int k = layers - 1; k >= 0; --k) {
    const int below =
        maker.add(kCompute, {gradient, weights[static_cast<std::size_t>(k)]}, elements);
    const int d_weight =
        maker.add(kWeightGradient, {gradient, activations[static_cast<std::size_t>(k)]}, elements);
    maker.add(kUpdate, {weights[static_cast<std::size_t>(k)], d_weight}, elements);
    gradient = below;
  }
  return loss;
}

}  // namespace fornax::testing
