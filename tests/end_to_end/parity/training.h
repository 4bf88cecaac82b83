// Our side of a parity run: a model trained on one device, and what it leaves to be compared.
#pragma once
#include <string>
#include <vector>

#include "tests/end_to_end/parity/models.h"

namespace fornax::parity {

/// What a training of kSteps steps showed. Tensors are f32 or f64.
struct Trace {
  std::vector<double> losses, norms;  ///< of every step; norms only where gradients are clipped
  TensorMap gradients;                ///< of the first step, before clipping
  TensorMap values;                   ///< parameters and running statistics after the last step
};

/// Faults to plant; without them, 1.
struct Faults {
  double rate_factor = 1;      ///< of the learning rate
  double gradient_factor = 1;  ///< of the first parameter's gradient
};

class Training {
 public:
  Training(const Model& model, const Device& device, const Faults& faults = {});

  /// Trains to the end, from the step at which the State is.
  Trace run();
  /// The loss of the first batch in evaluate mode.
  double evaluate();
  /// Initial values and all inputs in one file for PyTorch; inputs are called "input.NAME".
  void save_initial(const std::string& path) const;

  State& state() noexcept { return state_; }
  /// Parameters and running statistics: the State without the optimizer's moments.
  TensorMap values() const;

 private:
  void step(Program& program, int number, Trace& trace);
  const Outputs& feed(Program& program, const Graph& graph, int number);

  const Model& model_;
  Faults faults_;
  TensorMap data_;
  Graph graph_{Mode::train}, evaluate_graph_{Mode::evaluate};
  Value loss_, evaluate_loss_;
  Gradients gradients_;
  State state_;
};

}  // namespace fornax::parity
