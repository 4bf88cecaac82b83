// The compiled step as plain data: what is launched, in which order, on which stream, and where
// every value lies. It holds no address and can be made for a device that is not present.
#pragma once
#include <fornax/program.h>

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/passes/passes.h"

namespace fornax {

/// Where bytes lie. `state`: in the State's own allocation of the value named by `value`.
struct Location {
  enum class Space : std::uint8_t { none, arena, state };
  Space space = Space::none;
  int value = kAbsent;            ///< state: id of the parameter or state value that owns the bytes
  std::int64_t offset_bytes = 0;  ///< arena: from its start; state: from the value's start
};

/// Every value that has bytes. Views and in-place results share their root's bytes.
struct PlanValue {
  kernels::TensorType type;
  int root = kAbsent;  ///< the value whose allocation this one lives in; itself when it owns one
  Location location;
  std::int64_t bytes = 0;               ///< of the root's allocation, padded to 256; 0 unless root
  int first = kAbsent, last = kAbsent;  ///< first and last step that touches it (root only)
};

/// One entry of the step. Steps with the same stream run in the order of the list.
struct PlanStep {
  enum class Kind : std::uint8_t { upload, launch, download };
  Kind kind = Kind::launch;
  int node = kAbsent;                       ///< launch: index into Plan::graph.nodes
  const kernels::Kernel* kernel = nullptr;  ///< launch: null for the reference
  kernels::Offer offer;
  bool pinned = false;       ///< the kernel was named, not chosen
  bool widen = false;        ///< bf16 and f16 operands pass through f32 copies
  std::vector<int> in, out;  ///< value ids, kAbsent where absent
  int stream = 0;
  std::vector<int> waits;  ///< events that must have happened
  int signal = kAbsent;    ///< event recorded after it
  Location workspace;      ///< arena; none when 0 bytes
  std::int64_t workspace_bytes = 0;
};

/// PinnedKernel by ids.
struct KernelPin {
  std::string op, kernel;
  int value = kAbsent;
};

struct Plan {
  kernels::DeviceModel model;
  KernelChoice kernel_choice = KernelChoice::own;
  std::vector<KernelPin> pins;
  GraphData graph;                ///< after all passes
  std::vector<PlanValue> values;  ///< by value id
  std::vector<PlanStep> steps;
  std::vector<int> inputs;   ///< value ids in order of upload steps
  /// Value ids that downloads return, in order of CompileOptions: of strided views, their copies'.
  std::vector<int> outputs;
  int events = 0, streams = 1;
  std::int64_t arena_bytes = 0, lower_bound_bytes = 0;
  std::int64_t thread_bytes = 0;  ///< of each of the model's threads, at the end of the arena
  std::int64_t thread_space_bytes() const { return thread_bytes * model.threads; }
  bool advances_step = false;  ///< updates a parameter
  bool writes_state = false;   ///< updates a parameter or a state
};

/// What `graph` becomes on a device: passes, kernel choice, schedule, memory; checked.
struct PlanOptions {
  std::vector<int> outputs = {};
  bool fuse = true, second_stream = true;
  int join_distance = 1;  ///< how many layers the second stream may lag behind
  KernelChoice kernel_choice = KernelChoice::own;
  std::vector<KernelPin> pins = {};
};
Plan make_plan(GraphData graph, const kernels::DeviceModel& model, const PlanOptions& options);

/// The parts of make_plan, in the order in which it calls them; dead_nodes() and fuse() come first.
/// Fills steps with kernels chosen; order of the nodes, one stream. A state's update comes after
/// every read of its old value. Throws as compile() does where no kernel serves.
void choose_kernels(Plan& plan);
/// Kernels of an op in the order in which this plan asks them, pins aside.
std::vector<const kernels::Kernel*> candidates(const Plan& plan, std::string_view op);
/// Streams, waits and signals.
void assign_streams(Plan& plan, const PlanOptions& options);
/// Roots, live ranges by happens-before, offsets.
void plan_memory(Plan& plan);
/// Independent of all the above: refuses a plan in which some legal order of its streams lets a
/// read see anything but the right write. Throws Error{internal} naming the fault.
void check_plan(const Plan& plan);

PlanSummary summarize(const Plan& plan);
/// Steps with kernels, streams and events, then values with places: the same text for equal plans.
std::string print(const Plan& plan);
/// One line for every kernel that was asked before the chosen one and refused: node and reason.
std::string print_refusals(const Plan& plan);
/// Which kernels are asked first, then the same and after a node's refusals the kernel that serves
/// it: what FORNAX_LOG=plan shows.
std::string print_choices(const Plan& plan);

}  // namespace fornax
