// Programs: a graph compiled for the device of a State.
#pragma once
#include <fornax/graph.h>
#include <fornax/state.h>
#include <fornax/tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace fornax {

struct ArenaData;
struct ProgramData;

/// A block of device memory for what lives within a step, shared by Programs of one State: as large
/// as the largest of them needs, instead of a block for each. Programs that share one are used by
/// one thread at a time, also those that write no State. A handle: copies share one block.
class FORNAX_API Arena {
 public:
  Arena();
  /// 0 before a Program was compiled with it.
  std::int64_t bytes() const;
  const std::shared_ptr<ArenaData>& shared() const noexcept { return data_; }

 private:
  std::shared_ptr<ArenaData> data_;
};

/// Which kernels of an op are asked first. The first that takes the operands serves.
enum class KernelChoice {
  own,      ///< fornax's own; bf16 and f16 give the same bits on a card and on the simt machine
  library,  ///< those of vendor libraries (cublasLt: bf16 and f16), where the device has them
};

/// Names the kernel that serves an op, for tests and benchmarks.
struct PinnedKernel {
  std::string op;      ///< "linear"
  std::string kernel;  ///< "linear_mma"; CPU and reference: "linear_reference" too
  Value output = {};   ///< only the node that makes this value; absent: every node of the op
};

struct CompileOptions {
  std::vector<Value> outputs;  ///< values whose elements every run returns, row-major
  bool fuse = true;            ///< false: run the graph node by node as it was built
  bool capture = true;         ///< CUDA and simt: replay one captured graph a step
  bool second_stream = true;  ///< weight gradients on a stream of their own where the device has it
  KernelChoice kernel_choice = KernelChoice::own;
  std::vector<PinnedKernel> pinned_kernels = {};  ///< of several that fit a node the first holds
  /// Shared with other Programs; not set: one of its own. Where a later Program makes it grow, the
  /// next step of each earlier one first binds that Program to the block again.
  std::optional<Arena> arena = {};
};

struct Input {
  std::string_view name;
  const Tensor& tensor;
};

class Program;
struct CompileOptions;
FORNAX_API Program compile(const Graph& graph, const State& state, const CompileOptions& options);

/// What a step returned; valid until the Program's second run() or submit() after it.
class FORNAX_API Outputs {
 public:
  /// Throw Error{not_found} when `value` was not asked for in CompileOptions::outputs.
  const Tensor& tensor(Value value) const;
  double scalar(Value value) const;

 private:
  friend FORNAX_API Program compile(const Graph&, const State&, const CompileOptions&);
  ProgramData* data_ = nullptr;
  int slot_ = 0;
};

/// A step that was submitted. Belongs to the thread of its Program, whose memory it keeps; its
/// results are there until the second run() or submit() after it.
/// All throw Error{invalid_argument} when a label or index was out of range in that step, and when
/// the results are gone.
class FORNAX_API Ticket {
 public:
  Ticket() noexcept = default;
  explicit operator bool() const noexcept { return data_ != nullptr; }

  /// Waits for the step.
  const Outputs& wait() const;
  /// The same, then Outputs::tensor and Outputs::scalar.
  const Tensor& tensor(Value value) const { return wait().tensor(value); }
  double scalar(Value value) const { return wait().scalar(value); }

 private:
  friend class Program;
  std::shared_ptr<ProgramData> data_;
  std::uint64_t number_ = 0;
};

struct PlanSummary {
  std::int64_t nodes = 0, launches = 0, streams = 1, events = 0;
  std::int64_t arena_bytes = 0, lower_bound_bytes = 0, state_bytes = 0, workspace_bytes = 0;
  double flops = 0;
  double operations = 0;  ///< of vectors' lanes: a fma is one, and so are others of any kind
  double quotients = 0;   ///< and square roots, among the operations
  std::int64_t read_bytes = 0, write_bytes = 0;
  double floor_ms = 0;  ///< the larger of FLOPs and bytes over the device's ceilings
};

/// A compiled step bound to a State. Used by one thread at a time; different Programs may run at
/// once unless they write one State.
class FORNAX_API Program {
 public:
  Program() noexcept = default;
  explicit operator bool() const noexcept { return data_ != nullptr; }

  /// Runs one step and waits for its results: submit() and Ticket::wait(). Every input of the graph
  /// must be given once. A Program that updates a parameter advances State::step by one.
  /// Throws Error{not_found}, Error{shape}, Error{dtype} for wrong inputs (the State is untouched),
  /// and Error{invalid_argument} when a label or index was out of range on the device; one of an
  /// earlier step that nobody has read is thrown before this step begins.
  const Outputs& run(std::span<const Input> inputs);
  const Outputs& run(std::initializer_list<Input> inputs) {
    return run(std::span<const Input>(inputs.begin(), inputs.size()));
  }

  /// Begins a step. Inputs are read before it returns, so the caller may change them at once.
  /// Steps follow each other in the order of submit() and run(), also those of other Programs of
  /// the State, and whatever reads the State sees all of them; State::step counts a step when it is
  /// submitted. On CUDA and simt the step may still be under way on return, and inputs go up while
  /// the step before computes; two steps may be under way, and submit() first waits for the one
  /// before the previous. On the CPU and the reference the step has ended on return.
  /// Throws as run(), but for a label or index out of range in this step: that is thrown by
  /// its Ticket or, when the Ticket is not read, by what comes first of the second submit() after
  /// it, a run() of a Program of the State, and a reading of the State's values. (A Program that
  /// writes no State: by its own submit() and run(), and after its end by the State's.)
  Ticket submit(std::span<const Input> inputs);
  Ticket submit(std::initializer_list<Input> inputs) {
    return submit(std::span<const Input>(inputs.begin(), inputs.size()));
  }

  PlanSummary summary() const;
  /// The plan as text: steps with kernels, streams and events; values with offsets.
  std::string print_plan() const;

  ProgramData& data() const noexcept { return *data_; }

 private:
  friend FORNAX_API Program compile(const Graph&, const State&, const CompileOptions&);
  std::shared_ptr<ProgramData> data_;
};

/// Fuses, schedules, plans memory, checks the plan and binds it to `state`, which is extended by
/// entries that it lacks. Everything that can fail or allocate happens here.
/// Throws Error{unsupported} naming every refusal when no kernel takes a node, or when a pinned one
/// does not, and Error{not_found} when a pin names no kernel of its op or fits no node.
FORNAX_API Program compile(const Graph& graph, const State& state, const CompileOptions& options);

}  // namespace fornax
