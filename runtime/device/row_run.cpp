// Execution of a run by bands of rows. Threads take tasks in order; sums over tasks are added in
// that order by whoever finds the next one ready, so that no thread waits for another but when all
// slots for sums are taken.
#include "runtime/device/row_run.h"

#include <algorithm>
#include <new>
#include <string>
#include <thread>

#include "kernels/host/parallel.h"

namespace fornax {

namespace {

constexpr std::int64_t kLine = 64;
constexpr std::int64_t kSlotsOfThread = 4;  // tasks whose sums may wait, for each thread

std::int64_t tasks_of(std::int64_t rows) { return (rows + host::kTaskRows - 1) / host::kTaskRows; }
std::int64_t whole_lines(std::int64_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

/// `type` with the axes before its rows' elements replaced by `rows`.
kernels::TensorType of_rows(const kernels::TensorType& type, std::int64_t whole,
                            std::int64_t rows) {
  const Shape& shape = type.shape;
  std::array<std::int64_t, Shape::kMaxRank> extents{};
  int axis = 0, rank = 1;
  for (std::int64_t product = 1; axis < shape.rank() && product != whole; ++axis)
    product *= shape.begin()[axis];
  extents[0] = rows;
  for (; axis < shape.rank(); ++axis, ++rank)
    extents[static_cast<std::size_t>(rank)] = shape.begin()[axis];
  return {type.dtype, Shape(std::span(extents.data(), static_cast<std::size_t>(rank)))};
}

}  // namespace

std::int64_t row_run_slots(std::int64_t rows, int threads) {
  return std::min(tasks_of(rows), kSlotsOfThread * threads);
}

void RowRun::FreeMemory::operator()(std::byte* memory) const noexcept {
  ::operator delete (memory, std::align_val_t{kLine});
}

RowRun::RowRun(RowRunPlan plan, int threads)
    : plan_(std::move(plan)),
      threads_(threads),
      tasks_(tasks_of(plan_.rows)),
      slots_(row_run_slots(plan_.rows, threads)),
      lanes_(static_cast<std::size_t>(threads)),
      ready_(static_cast<std::size_t>(slots_)) {
  place();
  find_inputs();
}

/// Members get inputs of their own, since those of the command are the plan's.
void RowRun::find_inputs() {
  whole_in_.reserve(plan_.members.size());
  for (RowMember& member : plan_.members) {
    const auto given = member.command.args.in;
    member.command.args.in = whole_in_.emplace_back(given.begin(), given.end());
  }
  for (const RowInput& input : plan_.inputs) {
    for (auto& whole : whole_in_)
      for (auto& view : whole)
        if (view.data == input.begin) input_places_.push_back({input.slot, nullptr, &view.data});
    for (Lane& lane : lanes_)
      for (Launch& launch : lane.launches) find_input(input, launch);
  }
}

void RowRun::find_input(const RowInput& input, Launch& launch) {
  for (Operand& operand : launch.operands)
    if (operand.base == input.begin) input_places_.push_back({input.slot, &operand.base, nullptr});
}

void RowRun::place() {
  std::int64_t lane_bytes = whole_lines(plan_.room_bytes * plan_.band_rows), kept_bytes = 0;
  for (const RowMember& member : plan_.members) {
    lane_bytes += whole_lines(member.plan.lane_bytes);
    kept_bytes += whole_lines(member.plan.kept_bytes);
    partial_offset_.push_back(slot_bytes_);
    slot_bytes_ += whole_lines(member.plan.partial_bytes);
  }
  const std::int64_t bytes = threads_ * lane_bytes + slots_ * slot_bytes_ + kept_bytes;
  auto* next = static_cast<std::byte*>(
      ::operator new(static_cast<std::size_t>(bytes), std::align_val_t{kLine}, std::nothrow));
  kernels::require(next, ErrorCode::out_of_memory,
                   "a run by bands of rows: the system has no " + std::to_string(bytes) +
                       " bytes for its threads; fewer threads need less");
  memory_.reset(next);
  for (Lane& lane : lanes_) {
    bind(lane, next);
    next += lane_bytes;
  }
  partials_ = next;
  next += slots_ * slot_bytes_;
  for (const RowMember& member : plan_.members) {
    kept_.push_back(next);
    next += whole_lines(member.plan.kept_bytes);
  }
}

void RowRun::bind(Lane& lane, std::byte* room) {
  std::byte* own = room + whole_lines(plan_.room_bytes * plan_.band_rows);
  for (const RowMember& member : plan_.members) {
    Launch& launch = lane.launches.emplace_back();
    const auto add = [&](const void* data, const kernels::TensorType* type, bool by_rows) {
      Operand operand{static_cast<std::byte*>(const_cast<void*>(data)), 0, by_rows && data};
      launch.types.push_back(type ? *type : kernels::TensorType());
      if (operand.by_rows) operand.row_bytes = launch.types.back().bytes() / plan_.rows;
      for (const BandValue& value : plan_.values)
        if (operand.by_rows && value.begin == data && value.row_bytes == operand.row_bytes)
          operand.base = room + value.offset_bytes * plan_.band_rows, operand.row_bytes = 0;
      launch.operands.push_back(operand);
    };
    const kernels::KernelArgs& args = member.command.args;
    for (std::size_t i = 0; i < args.in.size(); ++i)
      add(args.in[i].data, args.in[i].type, member.plan.in[i] != host::RowAccess::whole);
    for (std::size_t i = 0; i < args.out.size(); ++i)
      add(args.out[i].data, args.out[i].type, member.plan.out[i] == host::RowAccess::rows);
    for (std::size_t i = 0; i < launch.operands.size(); ++i) {
      std::byte* base = launch.operands[i].base;
      if (i < args.in.size())
        launch.in.push_back({base, &launch.types[i]});
      else
        launch.out.push_back({base, &launch.types[i]});
    }
    launch.own = own;
    for (const auto& view : args.out)
      launch.leaves = launch.leaves && !is_read_later(view.data, lane.launches.size());
    own += whole_lines(member.plan.lane_bytes);
  }
}

bool RowRun::is_read_later(const void* data, std::size_t member) const {
  for (; member < plan_.members.size(); ++member)
    for (const auto& view : plan_.members[member].command.args.in)
      if (view.data == data) return true;
  return false;
}

void RowRun::run(kernels::StepState& step, std::span<const void* const> inputs) {
  for (const InputPlace& at : input_places_) {
    const void* data = inputs[static_cast<std::size_t>(at.slot)];
    if (at.whole_data) *at.whole_data = data;
    if (at.lane_base) *at.lane_base = static_cast<std::byte*>(const_cast<void*>(data));
  }
  next_ = added_ = 0;
  failed_ = false;
  for (auto& ready : ready_) ready = 0;
  for (Lane& lane : lanes_) lane.begins = true;
  for (RowMember& member : plan_.members) {
    member.command.args.step = member.command.uses_step ? &step : nullptr;
    if (member.command.by_rows->begin) member.command.by_rows->begin(member.command.args);
  }
  host::parallel_for(threads_, 1, threads_, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) work(lanes_[static_cast<std::size_t>(i)]);
  });
  for (std::size_t i = 0; i < plan_.members.size(); ++i) {
    const Command& command = plan_.members[i].command;
    if (command.by_rows->finish) command.by_rows->finish(command.args, kept_[i]);
  }
}

void RowRun::work(Lane& lane) {
  try {
    for (std::int64_t task = next_++; task < tasks_; task = next_++) {
      while (task - added_ >= slots_ && !failed_) {
        add_ready();
        std::this_thread::yield();
      }
      if (failed_) return;
      run_task(lane, task);
      ready_[static_cast<std::size_t>(task % slots_)] = task + 1;
      add_ready();
    }
  } catch (...) {
    failed_ = true;  // or others would wait for this task's sums
    throw;
  }
}

/// Who leaves has seen the next task not ready after it let go, or another is at it.
void RowRun::add_ready() {
  const auto is_ready = [this] {
    return added_ < tasks_ && ready_[static_cast<std::size_t>(added_ % slots_)] == added_ + 1;
  };
  while (is_ready()) {
    const std::unique_lock lock(adding_, std::try_to_lock);
    if (!lock) return;
    for (; is_ready(); ++added_) {
      const std::byte* slot = partials_ + added_ % slots_ * slot_bytes_;
      for (std::size_t i = 0; i < plan_.members.size(); ++i) {
        const Command& command = plan_.members[i].command;
        if (command.by_rows->add)
          command.by_rows->add(command.args, slot + partial_offset_[i], added_ == 0, kept_[i]);
      }
    }
  }
}

void RowRun::run_task(Lane& lane, std::int64_t task) {
  std::byte* slot = partials_ + task % slots_ * slot_bytes_;
  const std::int64_t end = std::min(plan_.rows, (task + 1) * host::kTaskRows);
  for (std::int64_t row = task * host::kTaskRows; row < end; row += plan_.band_rows)
    run_band(lane, row, std::min(plan_.band_rows, end - row), slot);
}

void RowRun::run_band(Lane& lane, std::int64_t first, std::int64_t count, std::byte* partials) {
  const bool resized = std::exchange(lane.rows, count) != count;
  for (std::size_t m = 0; m < plan_.members.size(); ++m) {
    Launch& launch = lane.launches[m];
    const Command& command = plan_.members[m].command;
    for (std::size_t i = 0; i < launch.operands.size(); ++i) {
      const Operand& operand = launch.operands[i];
      std::byte* data = operand.base + first * operand.row_bytes;
      if (i < launch.in.size())
        launch.in[i].data = data;
      else
        launch.out[i - launch.in.size()].data = data;
      if (!resized || !operand.by_rows) continue;
      const auto& whole = i < launch.in.size() ? *command.args.in[i].type
                                               : *command.args.out[i - launch.in.size()].type;
      launch.types[i] = of_rows(whole, plan_.rows, count);
    }
    kernels::KernelArgs args = command.args;
    args.in = launch.in, args.out = launch.out;
    args.workspace = args.thread_space = {}, args.threads = 1;
    args.bands = launch.leaves ? plan_.rows / count : 1;
    command.by_rows->band(args, {first, count, plan_.rows, lane.begins, launch.own,
                                 partials + partial_offset_[m], kept_[m]});
  }
  lane.begins = false;
}

}  // namespace fornax
