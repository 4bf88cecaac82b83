// The models that fornax and PyTorch both train; torch_trace.py holds PyTorch's side of each.
#pragma once
#include <fornax/fornax.h>

#include <span>
#include <string>

namespace fornax::parity {

inline constexpr int kSteps = 100, kBatches = 4;
inline constexpr std::uint64_t kSeed = 20;

struct Model {
  std::string name;
  /// Adds inputs, parameters and the loss to a graph of either mode.
  Value (*loss)(Graph graph);
  void (*update)(Graph graph, const Gradients& gradients);
  /// One tensor an input, stacked along a leading axis: step i takes i modulo its extent. Names
  /// that the graph does not know are for PyTorch alone.
  TensorMap (*data)();
  double (*rate)(int step);  ///< learning rate of a step, counted from 0
  double clip_norm = 0;      ///< largest global norm of the gradients; 0: no limit
};

std::span<const Model> models();
/// Throws Error{not_found}.
const Model& model(const std::string& name);

}  // namespace fornax::parity
