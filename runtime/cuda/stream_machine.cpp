// Queues of work, and what runs next.
#include "runtime/cuda/stream_machine.h"

#include <algorithm>

namespace fornax::cuda {

namespace {

template <class T>
T* find_in(const std::vector<std::unique_ptr<T>>& list, const void* handle) {
  for (const auto& entry : list)
    if (entry.get() == handle) return entry.get();
  return nullptr;
}

}  // namespace

StreamState* StreamMachine::find(Stream stream) { return find_in(streams_, stream); }
EventState* StreamMachine::find_event(Event event) { return find_in(events_, event); }

std::uint32_t StreamMachine::random_below(std::size_t limit) {
  random_ ^= random_ << 13, random_ ^= random_ >> 17, random_ ^= random_ << 5;  // xorshift32
  return random_ % static_cast<std::uint32_t>(limit);
}

Status StreamMachine::create(Stream* stream) {
  streams_.push_back(std::make_unique<StreamState>());
  streams_.back()->id = streams_made_++;
  *stream = streams_.back().get();
  return failure_;
}

Status StreamMachine::destroy_stream(Stream handle) {
  StreamState* stream = find(handle);
  if (!stream) return Status::invalid_handle;
  const Status status = run_until([&] { return stream->queue.empty(); });
  std::erase_if(streams_, [&](const auto& entry) { return entry.get() == stream; });
  return status;
}

Status StreamMachine::create_event(Event* event) {
  events_.push_back(std::make_unique<EventState>());
  events_.back()->id = events_made_++;
  *event = events_.back().get();
  return failure_;
}

Status StreamMachine::destroy_event(Event handle) {
  EventState* event = find_event(handle);
  if (!event) return Status::invalid_handle;
  const Status status = run_until([] { return false; });  // queues may still name it
  std::erase_if(events_, [&](const auto& entry) { return entry.get() == event; });
  return status;
}

Status StreamMachine::enqueue(Stream handle, Operation operation) {
  StreamState* stream = find(handle);
  if (!stream) return Status::invalid_handle;
  if (failure_ != Status::success) return failure_;
  if (operation.kind == Operation::Kind::launch) {
    operation.accesses = stream->annotation;
    const auto* bytes = static_cast<const std::byte*>(operation.launch.arguments);
    operation.arguments.assign(bytes, bytes + operation.launch.argument_bytes);
    operation.launch.arguments = operation.arguments.data();  // moves keep the address
    operation.launch.argument_pointers = nullptr;
  }
  if (stream->capture) return add_node(*stream, std::move(operation));
  operation.number = numbers_++;
  if (observer_) observer_->enqueued(*stream, operation);
  stream->queue.push_back(std::move(operation));
  return Status::success;
}

Status StreamMachine::annotate(Stream handle, std::span<const Access> accesses) {
  StreamState* stream = find(handle);
  if (!stream) return Status::invalid_handle;
  stream->annotation.assign(accesses.begin(), accesses.end());
  return Status::success;
}

Status StreamMachine::record(Event event_handle, Stream stream_handle) {
  StreamState* stream = find(stream_handle);
  EventState* event = find_event(event_handle);
  if (!stream || !event) return Status::invalid_handle;
  event->capture = stream->capture;
  event->tail = stream->tail;
  if (stream->capture) return stream->capture->invalid ? Status::capture_invalidated : failure_;
  Operation operation;
  operation.kind = Operation::Kind::record;
  operation.event = event, operation.generation = ++event->recorded;
  return enqueue(stream, std::move(operation));
}

Status StreamMachine::wait(Stream stream_handle, Event event_handle) {
  StreamState* stream = find(stream_handle);
  EventState* event = find_event(event_handle);
  if (!stream || !event) return Status::invalid_handle;
  if (event->capture) {
    if (stream->capture && stream->capture != event->capture) return Status::capture_isolation;
    if (!stream->capture) {
      stream->capture = event->capture, stream->tail.clear();
      stream->lane = stream->capture->lanes++;
    }
    for (const int node : event->tail)
      if (std::find(stream->tail.begin(), stream->tail.end(), node) == stream->tail.end())
        stream->tail.push_back(node);
    return stream->capture->invalid ? Status::capture_invalidated : failure_;
  }
  if (stream->capture) return Status::capture_isolation;
  if (event->recorded == 0) return failure_;  // as CUDA: nothing to wait for
  Operation operation;
  operation.kind = Operation::Kind::wait;
  operation.event = event, operation.generation = event->recorded;
  return enqueue(stream, std::move(operation));
}

/// The stream whose first entry runs next: the oldest, or a random one whose entry may run.
StreamState* StreamMachine::next_stream() {
  std::vector<StreamState*> ready;
  for (const auto& stream : streams_) {
    if (stream->queue.empty()) continue;
    const Operation& head = stream->queue.front();
    if (head.kind == Operation::Kind::wait && head.event->done < head.generation) continue;
    ready.push_back(stream.get());
  }
  if (ready.empty()) return nullptr;
  if (seed_) return ready[random_below(ready.size())];
  return *std::min_element(ready.begin(), ready.end(), [](const auto* a, const auto* b) {
    return a->queue.front().number < b->queue.front().number;
  });
}

Status StreamMachine::run_head(StreamState& stream) {
  const Operation operation = std::move(stream.queue.front());
  stream.queue.pop_front();
  switch (operation.kind) {
    case Operation::Kind::wait: return Status::success;
    case Operation::Kind::record:
      operation.event->done = std::max(operation.event->done, operation.generation);
      return Status::success;
    case Operation::Kind::graph: return run_graph(*operation.graph);
    default: return execute_(operation);
  }
}

/// Runs entries until `done` holds or nothing is left.
template <class Done>
Status StreamMachine::run_until(const Done& done) {
  while (failure_ == Status::success && !done()) {
    StreamState* stream = next_stream();
    if (!stream) break;
    failure_ = run_head(*stream);
  }
  return failure_;
}

Status StreamMachine::run_graph(const GraphState& graph) {
  std::vector<char> finished(graph.nodes.size(), 0);
  std::vector<std::size_t> ready;
  for (std::size_t left = graph.nodes.size(); left > 0; --left) {
    ready.clear();
    for (std::size_t i = 0; i < graph.nodes.size() && (seed_ || ready.empty()); ++i) {
      const auto& after = graph.nodes[i].after;
      if (!finished[i] && std::all_of(after.begin(), after.end(), [&](int node) {
            return finished[static_cast<std::size_t>(node)];
          }))
        ready.push_back(i);
    }
    const std::size_t next = seed_ ? ready[random_below(ready.size())] : ready.front();
    const Status status = execute_(graph.nodes[next].operation);
    if (status != Status::success) return status;
    finished[next] = 1;
  }
  return Status::success;
}

Status StreamMachine::synchronize(Stream handle) {
  StreamState* stream = find(handle);
  if (!stream) return Status::invalid_handle;
  if (const Status status = forbidden_while_capturing(); status != Status::success) return status;
  const Status status = run_until([&] { return stream->queue.empty(); });
  if (observer_) observer_->synchronized(*stream);
  return status;
}

Status StreamMachine::synchronize_event(Event handle) {
  EventState* event = find_event(handle);
  if (!event) return Status::invalid_handle;
  if (const Status status = forbidden_while_capturing(); status != Status::success) return status;
  const Status status = run_until([&] { return event->done == event->recorded; });
  if (observer_) observer_->synchronized(*event);
  return status;
}

Status StreamMachine::synchronize_all() {
  if (const Status status = forbidden_while_capturing(); status != Status::success) return status;
  const Status status = run_until([] { return false; });
  if (observer_)
    for (const auto& stream : streams_) observer_->synchronized(*stream);
  return status;
}

// A query lets one entry run, so that a loop of queries ends.
Status StreamMachine::query(Stream handle) {
  StreamState* stream = find(handle);
  if (!stream) return Status::invalid_handle;
  if (const Status status = forbidden_while_capturing(); status != Status::success) return status;
  int entries = 0;
  const Status status = run_until([&] { return stream->queue.empty() || entries++ > 0; });
  if (status != Status::success) return status;
  return stream->queue.empty() ? Status::success : Status::not_ready;
}

Status StreamMachine::query_event(Event handle) {
  EventState* event = find_event(handle);
  if (!event) return Status::invalid_handle;
  if (const Status status = forbidden_while_capturing(); status != Status::success) return status;
  int entries = 0;
  const Status status = run_until([&] { return event->done == event->recorded || entries++ > 0; });
  if (status != Status::success) return status;
  return event->done == event->recorded ? Status::success : Status::not_ready;
}

}  // namespace fornax::cuda
