// A plan bound to addresses: what a Program holds.
#pragma once
#include <fornax/program.h>

#include "runtime/execution/plan.h"
#include "runtime/execution/state_data.h"

namespace fornax {

/// Operands of one launch; commands point into it, so it never moves.
struct BoundStep {
  std::vector<kernels::TensorType> in_types, out_types;
  std::vector<kernels::ConstTensorView> in;
  std::vector<kernels::TensorView> out;
  std::shared_ptr<const void> bound;
};

struct ProgramData {
  explicit ProgramData(Graph built) : graph(std::move(built)) {}

  std::shared_ptr<StateData> state;
  Graph graph;  ///< as the caller built it
  Plan plan;
  DeviceMemory arena;
  std::vector<std::unique_ptr<BoundStep>> bound;
  std::unique_ptr<Sequence> sequence;
  kernels::StepState step{};
  std::vector<std::string> scalar_names;     ///< by slot
  std::vector<std::string> input_names;      ///< in order of plan.inputs
  std::vector<const void*> input_addresses;  ///< of the run under way
  std::vector<Tensor> outputs;               ///< in order of plan.outputs
  std::vector<int> output_ids;               ///< values of `graph` that were asked for
  std::vector<Tensor> converted;             ///< inputs that the backend stores as another dtype
  std::vector<void*> output_addresses;
  Outputs view;
};

/// The commands of a plan at the addresses of `program`; fills program.bound.
std::vector<Command> make_commands(ProgramData& program);

}  // namespace fornax
