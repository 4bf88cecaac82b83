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

CudaSequence::CudaSequence(std::shared_ptr<Driver> driver, memory::Pool& pool, Stream pool_stream,
                           std::vector<Command> commands, const RecordOptions& options)
    : driver_(std::move(driver)),
      pool_(pool),
      pool_stream_(pool_stream),
      context_{driver_.get(), false} {
  for (int i = 0; i < std::max(options.streams, 1); ++i) streams_.push_back(make_stream(driver_));
  for (int i = 0; i < options.events; ++i) events_.push_back(make_event(driver_));
  for (std::size_t i = 1; i < streams_.size(); ++i) joins_.push_back(make_event(driver_));
  forked_ = make_event(driver_), done_ = make_event(driver_);
  for (Command& command : commands) entries_.push_back({std::move(command), nullptr, {}});
  step_ = static_cast<StepState*>(pool_.allocate(kStepBytes, pool_stream_));
  try {
    plan_staging();
    for (Entry& entry : entries_) {
      if (entry.command.kind != Command::Kind::launch) continue;
      entry.command.args.step = step_;
      entry.command.args.queue = {stream(entry.command.stream), &launch_table(), &context_};
      list_accesses(entry);
    }
    load_kernels();
    if (options.capture) capture();
  } catch (...) {
    pool_.deallocate(step_, kStepBytes, pool_stream_);
    throw;
  }
}

CudaSequence::~CudaSequence() { pool_.deallocate(step_, kStepBytes, pool_stream_); }

/// One pinned block: the StepState that goes up, the one that comes down, then every slot.
void CudaSequence::plan_staging() {
  std::int64_t bytes = 2 * padded(kStepBytes);
  std::vector<std::int64_t> offsets;
  for (const Entry& entry : entries_) {
    offsets.push_back(bytes);
    const bool copies = entry.command.kind == Command::Kind::upload ||
                        entry.command.kind == Command::Kind::download;
    if (copies) bytes += padded(entry.command.bytes);
  }
  pinned_ = make_pinned(driver_, bytes);
  for (std::size_t i = 0; i < entries_.size(); ++i) entries_[i].staging = pinned() + offsets[i];
}

void CudaSequence::list_accesses(Entry& entry) const {
  const kernels::KernelArgs& args = entry.command.args;
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
  const auto* step = reinterpret_cast<const std::byte*>(step_);
  entry.accesses.push_back({step, kFlagsAt, Access::Kind::read});
  entry.accesses.push_back({step + kFlagsAt, kScalarsAt - kFlagsAt, Access::Kind::update});
  entry.accesses.push_back({step + kScalarsAt, kStepBytes - kScalarsAt, Access::Kind::read});
}

/// A lazily loaded kernel would stall its first step, or break a capture.
void CudaSequence::load_kernels() {
  context_.loading = true;
  for (Entry& entry : entries_)
    if (entry.command.kind == Command::Kind::launch) entry.command.launch(entry.command.args);
  context_.loading = false;
}

void CudaSequence::capture() {
  driver_->call("beginning a capture", &DriverTable::begin_capture, stream(0));
  Graph captured = nullptr;
  try {
    enqueue();
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
  graph_ = OwnedGraphExec(driver_, executable);
  driver_->call("uploading a graph", &DriverTable::graph_upload, graph_.get(), stream(0));
  driver_->call("uploading a graph", &DriverTable::stream_synchronize, stream(0));
}

void CudaSequence::fork() {
  driver_->call("forking streams", &DriverTable::event_record, forked_.get(), stream(0));
  for (std::size_t i = 1; i < streams_.size(); ++i)
    driver_->call("forking streams", &DriverTable::stream_wait_event, streams_[i].get(),
                  forked_.get());
}

void CudaSequence::join() {
  for (std::size_t i = 1; i < streams_.size(); ++i) {
    const Event event = joins_[i - 1].get();
    driver_->call("joining streams", &DriverTable::event_record, event, streams_[i].get());
    driver_->call("joining streams", &DriverTable::stream_wait_event, stream(0), event);
  }
}

void CudaSequence::enqueue() {
  driver_->call("uploading the step's state", &DriverTable::copy_to_device, step_, pinned(),
                kStepBytes, stream(0));
  fork();
  for (Entry& entry : entries_) enqueue(entry);
  join();
  const auto* flags = reinterpret_cast<const std::byte*>(step_) + kFlagsAt;
  driver_->call("downloading the step's state", &DriverTable::copy_to_host,
                pinned() + padded(kStepBytes), flags, kScalarsAt - kFlagsAt, stream(0));
}

void CudaSequence::enqueue(Entry& entry) {
  const Command& command = entry.command;
  const Stream on = stream(command.stream);
  switch (command.kind) {
    case Command::Kind::upload:
      if (command.bytes)
        driver_->call("uploading an input", &DriverTable::copy_to_device, command.device,
                      entry.staging, command.bytes, on);
      break;
    case Command::Kind::download:
      if (command.bytes)
        driver_->call("downloading an output", &DriverTable::copy_to_host, entry.staging,
                      command.device, command.bytes, on);
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
      if (driver_->table().annotate)
        driver_->call("annotating", &DriverTable::annotate, on, entry.accesses);
      driver_->push_range(command.name.c_str());
      command.launch(command.args);
      driver_->pop_range();
      break;
  }
}

void CudaSequence::run(StepState& step, std::span<const void* const> inputs,
                       std::span<void* const> outputs) {
  std::memcpy(pinned(), &step, sizeof step);
  for (const Entry& entry : entries_)
    if (entry.command.kind == Command::Kind::upload && entry.command.bytes)
      std::memcpy(entry.staging, inputs[static_cast<std::size_t>(entry.command.slot)],
                  static_cast<std::size_t>(entry.command.bytes));
  driver_->push_range(kStepRange);
  if (graph_.get())
    driver_->call("launching the step", &DriverTable::graph_launch, graph_.get(), stream(0));
  else
    enqueue();
  driver_->call("ending the step", &DriverTable::event_record, done_.get(), stream(0));
  driver_->pop_range();
  driver_->call("waiting for the step", &DriverTable::event_synchronize, done_.get());
  for (const Entry& entry : entries_)
    if (entry.command.kind == Command::Kind::download && entry.command.bytes)
      std::memcpy(outputs[static_cast<std::size_t>(entry.command.slot)], entry.staging,
                  static_cast<std::size_t>(entry.command.bytes));
  std::memcpy(&step.bad_index, pinned() + padded(kStepBytes), kScalarsAt - kFlagsAt);
}

}  // namespace fornax::cuda
