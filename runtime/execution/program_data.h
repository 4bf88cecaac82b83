// A plan bound to addresses: what a Program holds.
#pragma once
#include <fornax/program.h>

#include <array>

#include "runtime/execution/arena.h"
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

/// One of the steps that may be under way, and its results until the slot's next step.
struct StepSlot {
  kernels::StepState step{};
  std::vector<Tensor> outputs;  ///< in order of plan.outputs
  std::vector<void*> output_addresses;
  Outputs view;
  std::uint64_t number = 0;  ///< of the submit that it is of, from 1
  bool under_way = false;    ///< submitted, not waited for
  bool unreported = false;   ///< a bad index that nobody was told of
};

struct ProgramData {
  explicit ProgramData(Graph built) : graph(std::move(built)) {}
  /// Waits for the steps under way; leaves a bad index that nobody was told of to the State.
  ~ProgramData();
  ProgramData(const ProgramData&) = delete;
  ProgramData& operator=(const ProgramData&) = delete;

  StepSlot& slot_of(std::uint64_t number) { return slots[number % slots.size()]; }
  int index_of(const StepSlot& slot) const { return static_cast<int>(&slot - slots.data()); }

  std::shared_ptr<StateData> state;
  Graph graph;  ///< as the caller built it
  Plan plan;
  std::shared_ptr<ArenaData> arena = std::make_shared<ArenaData>();
  std::uint64_t bound_at = 0;  ///< ArenaData::moves when `sequence` was recorded
  bool capture = true;
  std::vector<std::unique_ptr<BoundStep>> bound;
  std::unique_ptr<Sequence> sequence;
  std::array<StepSlot, Sequence::kSlots> slots;
  std::uint64_t submitted = 0;
  std::vector<std::string> scalar_names;     ///< by slot
  std::vector<std::string> input_names;      ///< in order of plan.inputs
  std::vector<const void*> input_addresses;  ///< of the run under way
  std::vector<int> output_ids;               ///< values of `graph` that were asked for
  std::vector<Tensor> converted;             ///< inputs that the backend stores as another dtype
};

/// Records the Program's commands at the addresses that its arena has now; no step is under way.
void bind(ProgramData& program);

/// The commands of a plan at the addresses of `program`; fills program.bound.
std::vector<Command> make_commands(ProgramData& program);

}  // namespace fornax
