// Recording and replaying a step.
#include "runtime/cuda/cuda_sequence.h"

#include <fornax/error.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "kernels/host/parallel.h"

namespace fornax::cuda {

namespace {

using kernels::StepState;
constexpr std::int64_t kStepBytes = sizeof(StepState);
// Kernels set these two with atomics; everything else of StepState they only read.
constexpr std::int64_t kFlagsAt = offsetof(StepState, bad_index);
constexpr std::int64_t kScalarsAt = offsetof(StepState, scalars);
constexpr std::size_t kStepAccesses = 3;  // what is before the flags, the flags, what is after
static_assert(offsetof(StepState, bad_value) == kFlagsAt + 8 &&
              kScalarsAt == kFlagsAt + kFlagsBytes);
static_assert(kFlagsAt % device::kTransferAlignment == 0);

// Of a large upload: long beside a call that enqueues it, so that only the first piece's staging is
// not hidden behind the bus. Other sizes were not tried.
constexpr std::int64_t kPiece = 1 << 20;
// A few threads should fill the memory's bandwidth; more would have to be woken for each piece.
constexpr int kMostThreads = 8;

}  // namespace

const device::LaunchTable& CudaSequence::launch_table() {
  static constexpr device::LaunchTable kTable{launch, fill_zero, copy};
  return kTable;
}

void CudaSequence::launch(const device::Queue& queue, const device::KernelLaunch& launch) {
  auto& context = *static_cast<Context*>(queue.context);
  if (context.loading)
    context.driver->call(launch.name, &DriverTable::load_kernel, launch);
  else
    context.driver->call(launch.name, &DriverTable::launch, queue.stream, launch);
}

void CudaSequence::fill_zero(const device::Queue& queue, void* to, std::size_t bytes) {
  auto& context = *static_cast<Context*>(queue.context);
  if (context.loading || bytes == 0) return;
  context.driver->call("filling memory", &DriverTable::fill, to, 0,
                       static_cast<std::int64_t>(bytes), queue.stream);
}

void CudaSequence::copy(const device::Queue& queue, void* to, const void* from, std::size_t bytes) {
  auto& context = *static_cast<Context*>(queue.context);
  if (context.loading || bytes == 0) return;
  context.driver->call("copying memory", &DriverTable::copy_on_device, to, from,
                       static_cast<std::int64_t>(bytes), queue.stream);
}

CudaSequence::CudaSequence(std::shared_ptr<Driver> driver, memory::Pool& pool,
                           const BackendStreams& streams, std::vector<Command> commands,
                           const RecordOptions& options)
    : driver_(std::move(driver)),
      pool_(pool),
      backend_(streams),
      context_{driver_.get(), false},
      transfers_(place_transfers(commands, streams.transfer_bytes)),
      threads_(std::min(host::default_threads(), kMostThreads)) {
  for (std::size_t i = 0; i < commands.size(); ++i) {
    uses_step_ |= commands[i].kind == Command::Kind::launch && commands[i].uses_step;
    entries_.push_back({std::move(commands[i]), transfers_.places[i], {}});
  }
  make_streams(options);
  staged_ = pool_.allocate(kSlots * device_bytes(), backend_.compute);
  try {
    pool_.order(backend_.compute, backend_.copy);  // a former owner may still use the block
    make_slots();
    prepare_launches();
    load_kernels();
    for (Slot& slot : slots_)
      if (options.capture) capture(slot);
  } catch (...) {
    pool_.deallocate(staged_, kSlots * device_bytes(), backend_.compute);
    throw;
  }
}

CudaSequence::~CudaSequence() {
  for (const Slot& slot : slots_)
    if (slot.step) driver_->release(&DriverTable::event_synchronize, slot.done.get());
  pool_.deallocate(staged_, kSlots * device_bytes(), backend_.compute);
}

/// The graph is captured on a stream that nothing else uses; what is enqueued goes to the
/// backend's.
void CudaSequence::make_streams(const RecordOptions& options) {
  if (options.capture) owned_streams_.push_back(make_stream(driver_));
  streams_.push_back(options.capture ? owned_streams_[0].get() : backend_.compute);
  for (int i = 1; i < options.streams; ++i) {
    owned_streams_.push_back(make_stream(driver_));
    streams_.push_back(owned_streams_.back().get());
    joins_.push_back(make_event(driver_));
  }
  for (int i = 0; i < options.events; ++i) events_.push_back(make_event(driver_));
  forked_ = make_event(driver_);
}

void CudaSequence::make_slots() {
  auto* next = static_cast<std::byte*>(staged_);
  for (Slot& slot : slots_) {
    slot.device = std::exchange(next, next + device_bytes());
    slot.pinned = make_pinned(driver_, transfers_.bytes);
    slot.uploaded = make_event(driver_), slot.done = make_event(driver_);
    prepare_transfers(slot);
  }
}

void CudaSequence::Transfers::add(void* to, const void* from, std::int64_t bytes) {
  list.push_back({static_cast<std::byte*>(to), static_cast<const std::byte*>(from), bytes});
  accesses.push_back({from, bytes, Access::Kind::read});
  accesses.push_back({to, bytes, Access::Kind::write});
}

void CudaSequence::prepare_transfers(Slot& slot) {
  if (uses_step_) {
    slot.taken.add(slot.device, pinned(slot), kStepBytes);
    slot.given.add(pinned(slot) + transfers_.results_at, slot.device + kFlagsAt, kFlagsBytes);
  }
  for (const Entry& entry : entries_) {
    if (entry.staged.way != StepTransfers::Way::kernel) continue;
    const Command& command = entry.command;
    std::byte* host = pinned(slot) + entry.staged.at;
    if (command.kind == Command::Kind::upload)
      slot.taken.add(command.device, host, command.bytes);
    else
      slot.given.add(host, command.device, command.bytes);
  }
}

void CudaSequence::prepare_launches() {
  for (Entry& entry : entries_) {
    if (entry.command.kind != Command::Kind::launch) continue;
    kernels::KernelArgs& args = entry.command.args;
    args.queue = {stream(entry.command.stream), &launch_table(), &context_};
    entry.accesses = accesses_of(entry.command);
    if (entry.command.uses_step) entry.accesses.insert(entry.accesses.end(), kStepAccesses, {});
  }
}

/// A lazily loaded kernel would stall its first step, or break a capture.
void CudaSequence::load_kernels() {
  context_.loading = true;
  for (Entry& entry : entries_)
    if (entry.command.kind == Command::Kind::launch) enqueue_launch(entry, slots_[0]);
  const Slot& slot = slots_[0];
  enqueue_transfers("transfer", slot.taken.list.empty() ? slot.given : slot.taken);
  context_.loading = false;
}

void CudaSequence::capture(Slot& slot) {
  driver_->call("beginning a capture", &DriverTable::begin_capture, stream(0));
  Graph captured = nullptr;
  try {
    enqueue(slot);
  } catch (...) {
    // The stream must not stay in capture; the error that matters is the one under way.
    driver_->release(&DriverTable::end_capture, stream(0), &captured);
    const OwnedGraph discarded(driver_, captured);
    throw;
  }
  driver_->call("ending a capture", &DriverTable::end_capture, stream(0), &captured);
  const OwnedGraph graph(driver_, captured);
  GraphExec executable = nullptr;
  driver_->call("instantiating a graph", &DriverTable::graph_instantiate, &executable, graph.get());
  slot.graph = OwnedGraphExec(driver_, executable);
  driver_->call("uploading a graph", &DriverTable::graph_upload, slot.graph.get(), stream(0));
  driver_->call("uploading a graph", &DriverTable::stream_synchronize, stream(0));
}

void CudaSequence::fork() {
  driver_->call("forking streams", &DriverTable::event_record, forked_.get(), stream(0));
  for (std::size_t i = 1; i < streams_.size(); ++i)
    driver_->call("forking streams", &DriverTable::stream_wait_event, streams_[i], forked_.get());
}

void CudaSequence::join() {
  for (std::size_t i = 1; i < streams_.size(); ++i) {
    const Event event = joins_[i - 1].get();
    driver_->call("joining streams", &DriverTable::event_record, event, streams_[i]);
    driver_->call("joining streams", &DriverTable::stream_wait_event, stream(0), event);
  }
}

/// From the slot's pinned memory, and its large inputs on the device, to its flags and outputs in
/// pinned memory. A step that takes or gives nothing has no kernel that does.
void CudaSequence::enqueue(Slot& slot) {
  enqueue_transfers("take", slot.taken);
  fork();
  for (Entry& entry : entries_) enqueue(entry, slot);
  join();
  enqueue_transfers("give", slot.given);
}

void CudaSequence::enqueue_transfers(const char* name, const Transfers& transfers) {
  if (transfers.list.empty()) return;
  if (driver_->table().annotate && !context_.loading)
    driver_->call("annotating", &DriverTable::annotate, stream(0), transfers.accesses);
  device::transfer({stream(0), &launch_table(), &context_}, name, transfers.list);
}

void CudaSequence::enqueue(Entry& entry, Slot& slot) {
  const Command& command = entry.command;
  const Stream on = stream(command.stream);
  switch (command.kind) {
    case Command::Kind::upload:
      if (entry.staged.way == StepTransfers::Way::copy)
        driver_->call("taking an input", &DriverTable::copy_on_device, command.device,
                      on_device(slot, entry.staged.at), command.bytes, on);
      break;
    case Command::Kind::download:
      if (entry.staged.way == StepTransfers::Way::copy)
        driver_->call("downloading an output", &DriverTable::copy_to_host,
                      pinned(slot) + entry.staged.at, command.device, command.bytes, on);
      break;
    case Command::Kind::wait:
      driver_->call("waiting for an event", &DriverTable::stream_wait_event, on,
                    events_.at(static_cast<std::size_t>(command.event)).get());
      break;
    case Command::Kind::signal:
      driver_->call("recording an event", &DriverTable::event_record,
                    events_.at(static_cast<std::size_t>(command.event)).get(), on);
      break;
    case Command::Kind::launch:
      driver_->push_range(command.name.c_str());
      enqueue_launch(entry, slot);
      driver_->pop_range();
      break;
  }
}

void CudaSequence::enqueue_launch(Entry& entry, Slot& slot) {
  kernels::KernelArgs& args = entry.command.args;
  const bool uses_step = entry.command.uses_step;
  args.step = uses_step ? reinterpret_cast<StepState*>(slot.device) : nullptr;
  if (driver_->table().annotate && !context_.loading) {
    if (uses_step) {
      const auto step = std::span(entry.accesses).last(kStepAccesses);
      step[0] = {slot.device, kFlagsAt, Access::Kind::read};
      step[1] = {slot.device + kFlagsAt, kFlagsBytes, Access::Kind::update};
      step[2] = {slot.device + kScalarsAt, kStepBytes - kScalarsAt, Access::Kind::read};
    }
    driver_->call("annotating", &DriverTable::annotate, args.queue.stream, entry.accesses);
  }
  entry.command.launch(args);
}

void CudaSequence::touch(const void* address, std::int64_t bytes, Access::Kind kind) {
  if (driver_->table().host_access)
    driver_->call("staging", &DriverTable::host_access, Access{address, bytes, kind});
}

void CudaSequence::copy_on_host(void* to, const void* from, std::int64_t bytes) const {
  constexpr std::int64_t grain = kPiece / kMostThreads;
  host::parallel_for(bytes, grain, threads_, [=](std::int64_t begin, std::int64_t end) {
    std::memcpy(static_cast<std::byte*>(to) + begin, static_cast<const std::byte*>(from) + begin,
                static_cast<std::size_t>(end - begin));
  });
}

/// Enqueues the upload of a part of the pinned memory; returns its end.
std::int64_t CudaSequence::send(Slot& slot, std::int64_t from, std::int64_t end) {
  driver_->call("uploading the inputs", &DriverTable::copy_to_device, on_device(slot, from),
                pinned(slot) + from, end - from, backend_.copy);
  return end;
}

/// The large inputs, piece by piece: one goes over the bus while the next is staged. An upload
/// waits for nothing on the device: the slot's last step was waited for, and the one before this,
/// in the other slot, computes meanwhile.
void CudaSequence::upload(Slot& slot, std::span<const void* const> inputs) {
  std::int64_t sent = transfers_.copied_at;
  for (const Entry& entry : entries_) {
    const Command& command = entry.command;
    if (command.kind != Command::Kind::upload || entry.staged.way != StepTransfers::Way::copy)
      continue;
    const auto* from =
        static_cast<const std::byte*>(inputs[static_cast<std::size_t>(command.slot)]);
    for (std::int64_t done = 0; done < command.bytes;) {
      const std::int64_t at = entry.staged.at + done;
      const std::int64_t part = std::min(command.bytes - done, sent + kPiece - at);
      touch(pinned(slot) + at, part, Access::Kind::write);
      copy_on_host(pinned(slot) + at, from + done, part);
      done += part;
      if (padded(at + part) == sent + kPiece) sent = send(slot, sent, sent + kPiece);
    }
  }
  if (sent < transfers_.copied_end) send(slot, sent, transfers_.copied_end);
  driver_->call("uploading the inputs", &DriverTable::event_record, slot.uploaded.get(),
                backend_.copy);
  driver_->call("uploading the inputs", &DriverTable::stream_wait_event, backend_.compute,
                slot.uploaded.get());
}

void CudaSequence::submit(int index, StepState& step, std::span<const void* const> inputs,
                          std::span<void* const> outputs) {
  Slot& slot = slots_[static_cast<std::size_t>(index)];
  slot.step = &step, slot.outputs = outputs;
  driver_->push_range(kStepRange);
  if (transfers_.copied_at < transfers_.copied_end) upload(slot, inputs);
  touch(pinned(slot), transfers_.copied_at, Access::Kind::write);
  if (uses_step_) std::memcpy(pinned(slot), &step, sizeof step);
  for (const Entry& entry : entries_)
    if (entry.command.kind == Command::Kind::upload &&
        entry.staged.way == StepTransfers::Way::kernel)
      std::memcpy(pinned(slot) + entry.staged.at,
                  inputs[static_cast<std::size_t>(entry.command.slot)],
                  static_cast<std::size_t>(entry.command.bytes));
  if (slot.graph.get())
    driver_->call("launching the step", &DriverTable::graph_launch, slot.graph.get(),
                  backend_.compute);
  else
    enqueue(slot);
  driver_->call("ending the step", &DriverTable::event_record, slot.done.get(), backend_.compute);
  driver_->pop_range();
}

void CudaSequence::wait(int index) {
  Slot& slot = slots_[static_cast<std::size_t>(index)];
  driver_->call("waiting for the step", &DriverTable::event_synchronize, slot.done.get());
  touch(pinned(slot) + transfers_.results_at, transfers_.bytes - transfers_.results_at,
        Access::Kind::read);
  for (const Entry& entry : entries_)
    if (entry.command.kind == Command::Kind::download)
      copy_on_host(slot.outputs[static_cast<std::size_t>(entry.command.slot)],
                   pinned(slot) + entry.staged.at, entry.command.bytes);
  if (uses_step_)
    std::memcpy(&slot.step->bad_index, pinned(slot) + transfers_.results_at, kFlagsBytes);
  slot.step = nullptr;
}

}  // namespace fornax::cuda
