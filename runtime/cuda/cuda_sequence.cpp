// Recording and replaying a step.
#include "runtime/cuda/cuda_sequence.h"

#include <fornax/error.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace fornax::cuda {

namespace {

using kernels::StepState;
constexpr std::int64_t kStepBytes = sizeof(StepState);
// Kernels set these two with atomics; everything else of StepState they only read.
constexpr std::int64_t kFlagsAt = offsetof(StepState, bad_index);
constexpr std::int64_t kScalarsAt = offsetof(StepState, scalars);
constexpr std::int64_t kFlagsBytes = kScalarsAt - kFlagsAt;
constexpr std::size_t kStepAccesses = 3;  // what is before the flags, the flags, what is after
static_assert(offsetof(StepState, bad_value) == kFlagsAt + 8 && kScalarsAt == kFlagsAt + 16);

std::int64_t padded(std::int64_t bytes) { return (bytes + 255) / 256 * 256; }

/// Bytes from an operand's first element to its last.
std::int64_t span_bytes(const kernels::TensorType& type) {
  if (type.shape.elements() == 0) return 0;
  std::int64_t last = 0;
  for (int axis = 0; axis < type.shape.rank(); ++axis)
    last += (type.shape[axis] - 1) * type.strides[static_cast<std::size_t>(axis)];
  return (last + 1) * size_bytes(type.dtype);
}

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
    : driver_(std::move(driver)), pool_(pool), backend_(streams), context_{driver_.get(), false} {
  for (Command& command : commands) entries_.push_back({std::move(command), 0, {}});
  make_streams(options);
  place_staging();
  staged_ = pool_.allocate(kSlots * upload_bytes_, backend_.compute);
  try {
    pool_.order(backend_.compute, backend_.copy);  // a former owner may still use the block
    make_slots();
    prepare_launches();
    load_kernels();
    for (Slot& slot : slots_)
      if (options.capture) capture(slot);
  } catch (...) {
    pool_.deallocate(staged_, kSlots * upload_bytes_, backend_.compute);
    throw;
  }
}

CudaSequence::~CudaSequence() {
  for (const Slot& slot : slots_)
    if (slot.step) driver_->release(&DriverTable::event_synchronize, slot.done.get());
  pool_.deallocate(staged_, kSlots * upload_bytes_, backend_.compute);
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

/// A StepState and the inputs, then flags and the outputs.
void CudaSequence::place_staging() {
  const auto place = [this](Command::Kind kind) {
    for (Entry& entry : entries_) {
      if (entry.command.kind != kind) continue;
      entry.staged_at = staging_bytes_;
      staging_bytes_ += padded(entry.command.bytes);
    }
  };
  staging_bytes_ = padded(kStepBytes);
  place(Command::Kind::upload);
  upload_bytes_ = staging_bytes_;
  staging_bytes_ += padded(kFlagsBytes);
  place(Command::Kind::download);
}

void CudaSequence::make_slots() {
  auto* next = static_cast<std::byte*>(staged_);
  for (Slot& slot : slots_) {
    slot.device = std::exchange(next, next + upload_bytes_);
    slot.pinned = make_pinned(driver_, staging_bytes_);
    slot.uploaded = make_event(driver_), slot.done = make_event(driver_);
  }
}

void CudaSequence::prepare_launches() {
  for (Entry& entry : entries_) {
    if (entry.command.kind != Command::Kind::launch) continue;
    kernels::KernelArgs& args = entry.command.args;
    args.queue = {stream(entry.command.stream), &launch_table(), &context_};
    for (const auto& view : args.in)
      if (view.present())
        entry.accesses.push_back({view.data, span_bytes(*view.type), Access::Kind::read});
    for (const auto& view : args.out)
      if (view.present())
        entry.accesses.push_back({view.data, span_bytes(*view.type), Access::Kind::write});
    if (!args.workspace.empty())
      entry.accesses.push_back({args.workspace.data(),
                                static_cast<std::int64_t>(args.workspace.size()),
                                Access::Kind::write});
    entry.accesses.insert(entry.accesses.end(), kStepAccesses, {});
  }
}

/// A lazily loaded kernel would stall its first step, or break a capture.
void CudaSequence::load_kernels() {
  context_.loading = true;
  for (Entry& entry : entries_)
    if (entry.command.kind == Command::Kind::launch) enqueue_launch(entry, slots_[0]);
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

/// From the slot's staging in device memory to its flags and outputs in pinned memory.
void CudaSequence::enqueue(Slot& slot) {
  fork();
  for (Entry& entry : entries_) enqueue(entry, slot);
  join();
  driver_->call("downloading the step's state", &DriverTable::copy_to_host,
                pinned(slot) + upload_bytes_, slot.device + kFlagsAt, kFlagsBytes, stream(0));
}

void CudaSequence::enqueue(Entry& entry, Slot& slot) {
  const Command& command = entry.command;
  const Stream on = stream(command.stream);
  switch (command.kind) {
    case Command::Kind::upload:
      if (command.bytes)
        driver_->call("taking an input", &DriverTable::copy_on_device, command.device,
                      slot.device + entry.staged_at, command.bytes, on);
      break;
    case Command::Kind::download:
      if (command.bytes)
        driver_->call("downloading an output", &DriverTable::copy_to_host,
                      pinned(slot) + entry.staged_at, command.device, command.bytes, on);
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
  args.step = reinterpret_cast<StepState*>(slot.device);
  if (driver_->table().annotate && !context_.loading) {
    const auto step = std::span(entry.accesses).last(kStepAccesses);
    step[0] = {slot.device, kFlagsAt, Access::Kind::read};
    step[1] = {slot.device + kFlagsAt, kFlagsBytes, Access::Kind::update};
    step[2] = {slot.device + kScalarsAt, kStepBytes - kScalarsAt, Access::Kind::read};
    driver_->call("annotating", &DriverTable::annotate, args.queue.stream, entry.accesses);
  }
  entry.command.launch(args);
}

void CudaSequence::touch(const void* address, std::int64_t bytes, Access::Kind kind) {
  if (driver_->table().host_access)
    driver_->call("staging", &DriverTable::host_access, Access{address, bytes, kind});
}

// The upload waits for nothing on the device: the slot's last step was waited for, and the one
// before this, in the other slot, computes meanwhile.
void CudaSequence::submit(int index, StepState& step, std::span<const void* const> inputs,
                          std::span<void* const> outputs) {
  Slot& slot = slots_[static_cast<std::size_t>(index)];
  touch(pinned(slot), upload_bytes_, Access::Kind::write);
  std::memcpy(pinned(slot), &step, sizeof step);
  for (const Entry& entry : entries_)
    if (entry.command.kind == Command::Kind::upload && entry.command.bytes)
      std::memcpy(pinned(slot) + entry.staged_at,
                  inputs[static_cast<std::size_t>(entry.command.slot)],
                  static_cast<std::size_t>(entry.command.bytes));
  slot.step = &step, slot.outputs = outputs;
  driver_->push_range(kStepRange);
  driver_->call("uploading the inputs", &DriverTable::copy_to_device, slot.device, pinned(slot),
                upload_bytes_, backend_.copy);
  driver_->call("uploading the inputs", &DriverTable::event_record, slot.uploaded.get(),
                backend_.copy);
  driver_->call("uploading the inputs", &DriverTable::stream_wait_event, backend_.compute,
                slot.uploaded.get());
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
  touch(pinned(slot) + upload_bytes_, staging_bytes_ - upload_bytes_, Access::Kind::read);
  for (const Entry& entry : entries_)
    if (entry.command.kind == Command::Kind::download && entry.command.bytes)
      std::memcpy(slot.outputs[static_cast<std::size_t>(entry.command.slot)],
                  pinned(slot) + entry.staged_at, static_cast<std::size_t>(entry.command.bytes));
  std::memcpy(&slot.step->bad_index, pinned(slot) + upload_bytes_, kFlagsBytes);
  slot.step = nullptr;
}

}  // namespace fornax::cuda
