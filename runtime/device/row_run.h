// Runs of launches that go depth-first over bands of rows (kernels/host/row_kernel.h): what one
// launch leaves for the next is read from cache, and what lives in a run alone never sees memory.
#pragma once
#include <atomic>
#include <mutex>
#include <variant>

#include "kernels/host/row_kernel.h"
#include "runtime/device/backend.h"

namespace fornax {

/// Values by rows from this size on, all of a run together, are worth it. Tests lower it.
inline std::atomic<std::int64_t> banded_bytes{4 << 20};

struct RowMember {
  Command command;
  host::RowPlan plan;
};

/// A value that lives in the run alone: each thread has room for a band of it.
struct BandValue {
  const void* begin;  ///< where the plan put it
  std::int64_t row_bytes;
  int first, last;                ///< members that touch it
  std::int64_t offset_bytes = 0;  ///< in a thread's room, of one row; times the rows of a band
};

/// An input of the step that the run alone reads: from where the caller has it, not uploaded.
struct RowInput {
  const void* begin;  ///< where the plan put it
  int slot;
};

struct RowRunPlan {
  std::vector<RowMember> members;
  std::vector<BandValue> values;
  std::vector<RowInput> inputs;
  std::int64_t rows = 0, band_rows = 0;
  std::int64_t room_bytes = 0;  ///< of one row
};

using Stage = std::variant<Command, RowRunPlan>;

/// The commands in an order with the same effect, where members of a run stand together: launches
/// by rows of the same number of rows that touch each other's memory at the same rows only.
/// Deterministic. A command that a run does not need to wait for may come before it.
std::vector<Stage> find_row_runs(std::vector<Command> commands, std::span<const std::byte> arena,
                                 int threads);

/// Tasks whose sums a run keeps at once: those under way, and some that wait for an earlier one.
std::int64_t row_run_slots(std::int64_t rows, int threads);

/// Executes a run. Everything is allocated here, nothing in run().
class RowRun {
 public:
  RowRun(RowRunPlan plan, int threads);
  /// `inputs`: host addresses by Command::slot.
  void run(kernels::StepState& step, std::span<const void* const> inputs);

 private:
  struct Operand {
    std::byte* base;
    std::int64_t row_bytes;  ///< 0: it does not move with the band
    bool by_rows;
  };
  /// One member as one thread sees it.
  struct Launch {
    std::vector<Operand> operands;  ///< inputs, then outputs
    std::vector<kernels::TensorType> types;
    std::vector<kernels::ConstTensorView> in;
    std::vector<kernels::TensorView> out;
    std::byte* own = nullptr;
    bool leaves = true;  ///< no later member reads what it writes
  };
  struct Lane {
    std::vector<Launch> launches;
    std::int64_t rows = 0;  ///< of the band that the types say
    bool begins = true;
  };
  struct FreeMemory {
    void operator()(std::byte* memory) const noexcept;
  };

  /// A pointer that every step sets to one of its inputs.
  struct InputPlace {
    int slot;
    std::byte** lane_base;    ///< of an Operand
    const void** whole_data;  ///< or of a member's operand
  };

  void place();
  void find_inputs();
  void find_input(const RowInput& input, Launch& launch);
  void bind(Lane& lane, std::byte* room);
  bool is_read_later(const void* data, std::size_t member) const;
  void work(Lane& lane);
  void run_task(Lane& lane, std::int64_t task);
  void run_band(Lane& lane, std::int64_t first, std::int64_t count, std::byte* partials);
  void add_ready();

  RowRunPlan plan_;
  int threads_;
  std::int64_t tasks_, slots_;
  std::unique_ptr<std::byte, FreeMemory> memory_;
  std::vector<Lane> lanes_;
  std::vector<std::vector<kernels::ConstTensorView>> whole_in_;  ///< by member
  std::vector<InputPlace> input_places_;
  std::vector<std::byte*> kept_;              ///< by member
  std::vector<std::int64_t> partial_offset_;  ///< by member, in a slot
  std::byte* partials_ = nullptr;
  std::int64_t slot_bytes_ = 0;
  std::vector<std::atomic<std::int64_t>> ready_;  ///< by slot: 1 + the task whose sums it holds
  std::atomic<std::int64_t> next_{0}, added_{0};
  std::atomic<bool> failed_{false};
  std::mutex adding_;
};

}  // namespace fornax
