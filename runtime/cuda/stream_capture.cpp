// Capture of streams into graphs, with CUDA's rules of what is legal.
#include <algorithm>

#include "runtime/cuda/stream_machine.h"

namespace fornax::cuda {

namespace {

/// Nodes that come before any of `tail`, itself included.
std::vector<char> reached_by(const GraphState& graph, std::vector<int> tail) {
  std::vector<char> reached(graph.nodes.size(), 0);
  while (!tail.empty()) {
    const auto node = static_cast<std::size_t>(tail.back());
    tail.pop_back();
    if (reached[node]) continue;
    reached[node] = 1;
    tail.insert(tail.end(), graph.nodes[node].after.begin(), graph.nodes[node].after.end());
  }
  return reached;
}

}  // namespace

std::shared_ptr<GraphState> StreamMachine::find_graph(Graph graph) {
  for (const auto& entry : graphs_)
    if (entry.get() == graph) return entry;
  return nullptr;
}

bool StreamMachine::capturing() const {
  return std::any_of(streams_.begin(), streams_.end(),
                     [](const auto& stream) { return stream->capture != nullptr; });
}

Status StreamMachine::forbidden_while_capturing() {
  if (failure_ != Status::success) return failure_;
  if (!capturing()) return Status::success;
  for (const auto& stream : streams_)
    if (stream->capture) stream->capture->invalid = true;
  return Status::capture_unsupported;
}

Status StreamMachine::add_node(StreamState& stream, Operation operation) {
  GraphState& graph = *stream.capture;
  if (graph.invalid) return Status::capture_invalidated;
  if (operation.kind == Operation::Kind::graph) return Status::not_supported;
  const int node = static_cast<int>(graph.nodes.size());
  graph.nodes.push_back({std::move(operation), stream.tail, stream.lane});
  stream.tail.assign(1, node);
  return Status::success;
}

Status StreamMachine::begin_capture(Stream handle) {
  StreamState* stream = find(handle);
  if (!stream) return Status::invalid_handle;
  if (failure_ != Status::success) return failure_;
  if (stream->capture) return Status::invalid_value;
  stream->capture = std::make_shared<GraphState>();
  stream->capture->lanes = 1;
  stream->origin = true, stream->lane = 0, stream->tail.clear();
  return Status::success;
}

Status StreamMachine::end_capture(Stream handle, Graph* graph) {
  *graph = nullptr;
  StreamState* origin = find(handle);
  if (!origin) return Status::invalid_handle;
  if (!origin->capture || !origin->origin) return Status::capture_unmatched;
  const std::shared_ptr<GraphState> captured = origin->capture;
  const std::vector<char> reached = reached_by(*captured, origin->tail);
  bool joined = true;
  for (const auto& stream : streams_) {
    if (stream->capture != captured) continue;
    for (const int node : stream->tail) joined &= reached[static_cast<std::size_t>(node)] != 0;
    stream->capture = nullptr, stream->origin = false, stream->tail.clear();
  }
  for (const auto& event : events_)
    if (event->capture == captured) event->capture = nullptr, event->tail.clear();
  if (captured->invalid) return Status::capture_invalidated;
  if (!joined) return Status::capture_unjoined;
  graphs_.push_back(captured);
  *graph = captured.get();
  return failure_;
}

Status StreamMachine::is_capturing(Stream handle, bool* capturing) {
  const StreamState* stream = find(handle);
  if (!stream) return Status::invalid_handle;
  *capturing = stream->capture != nullptr;
  return failure_;
}

Status StreamMachine::node_count(Graph handle, std::int64_t* nodes) {
  const auto graph = find_graph(handle);
  if (!graph) return Status::invalid_value;
  *nodes = static_cast<std::int64_t>(graph->nodes.size());
  return failure_;
}

// An executable is a copy: the graph that it was made from may go.
Status StreamMachine::instantiate(GraphExec* executable, Graph handle) {
  const auto graph = find_graph(handle);
  if (!graph) return Status::invalid_value;
  if (const Status status = forbidden_while_capturing(); status != Status::success) return status;
  graphs_.push_back(std::make_shared<GraphState>(*graph));
  for (GraphNode& node : graphs_.back()->nodes)
    node.operation.launch.arguments = node.operation.arguments.data();
  *executable = graphs_.back().get();
  return Status::success;
}

Status StreamMachine::launch_graph(GraphExec handle, Stream stream) {
  Operation operation;
  operation.kind = Operation::Kind::graph;
  operation.graph = find_graph(handle);
  if (!operation.graph) return Status::invalid_value;
  return enqueue(stream, std::move(operation));
}

Status StreamMachine::destroy_graph(Graph handle) {
  const auto graph = find_graph(handle);
  if (!graph) return Status::invalid_value;
  std::erase(graphs_, graph);  // launches under way hold it
  return failure_;
}

}  // namespace fornax::cuda
