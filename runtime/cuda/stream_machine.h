// Streams, events, capture and graphs without a card: what the simt and fake fillings share. Work
// is kept in queues and runs when somebody waits, in any order that streams and events allow.
#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "runtime/cuda/driver_table.h"

namespace fornax::cuda {

/// One entry of a stream or one node of a graph.
struct Operation {
  enum class Kind : std::uint8_t { launch, copy, fill, record, wait, graph };
  Kind kind = Kind::launch;
  std::string name;
  device::KernelLaunch launch{};     ///< its arguments point into `arguments`
  std::vector<std::byte> arguments;  ///< aligned as operator new aligns
  std::vector<Access> accesses;      ///< launch, copy, fill
  void* to = nullptr;
  const void* from = nullptr;
  std::int64_t bytes = 0;
  int byte = 0;
  struct EventState* event = nullptr;
  std::uint64_t generation = 0;  ///< record, wait: which recording of the event
  std::shared_ptr<struct GraphState> graph;
  std::uint64_t number = 0;  ///< in order of enqueueing
};

struct GraphNode {
  Operation operation;
  std::vector<int> after;  ///< nodes that come before it
  int lane = 0;            ///< the captured stream, from 0
};
struct GraphState {
  std::vector<GraphNode> nodes;
  int lanes = 0;
  bool invalid = false;  ///< a forbidden call was made while capturing
};

struct StreamState {
  int id = 0;
  std::deque<Operation> queue;
  std::shared_ptr<GraphState> capture;  ///< null: not capturing
  bool origin = false;                  ///< begin_capture was called on it
  int lane = 0;
  std::vector<int> tail;  ///< capturing: nodes that its next node comes after
  std::vector<Access> annotation;
};
struct EventState {
  int id = 0;
  std::uint64_t recorded = 0, done = 0;
  std::shared_ptr<GraphState> capture;  ///< recorded while capturing
  std::vector<int> tail;
};

/// Looks on while work is enqueued (not while it runs).
struct Observer {
  virtual ~Observer() = default;
  virtual void enqueued(const StreamState&, const Operation&) = 0;  ///< record and wait included
  virtual void synchronized(const StreamState&) = 0;
  virtual void synchronized(const EventState&) = 0;
};

class StreamMachine {
 public:
  using Execute = std::function<Status(const Operation&)>;  ///< launch, copy or fill

  StreamMachine(Execute execute, Observer* observer)
      : execute_(std::move(execute)), observer_(observer) {}

  /// 0: in the order of enqueueing; else a random legal order.
  void set_seed(std::uint32_t seed) { random_ = seed_ = seed; }
  /// A call that CUDA forbids while a stream captures: invalidates the captures under way.
  Status forbidden_while_capturing();
  bool capturing() const;

  Status create(Stream* stream);
  Status destroy_stream(Stream stream);
  Status create_event(Event* event);
  Status destroy_event(Event event);

  Status enqueue(Stream stream, Operation operation);
  Status annotate(Stream stream, std::span<const Access> accesses);
  Status record(Event event, Stream stream);
  Status wait(Stream stream, Event event);
  Status synchronize(Stream stream);
  Status synchronize_event(Event event);
  Status synchronize_all();
  Status query(Stream stream);
  Status query_event(Event event);

  Status begin_capture(Stream stream);
  Status end_capture(Stream stream, Graph* graph);
  Status is_capturing(Stream stream, bool* capturing);
  Status node_count(Graph graph, std::int64_t* nodes);
  Status instantiate(GraphExec* executable, Graph graph);
  Status launch_graph(GraphExec executable, Stream stream);
  Status destroy_graph(Graph graph);

 private:
  StreamState* find(Stream stream);
  EventState* find_event(Event event);
  std::shared_ptr<GraphState> find_graph(Graph graph);
  Status add_node(StreamState& stream, Operation operation);
  template <class Done>
  Status run_until(const Done& done);
  StreamState* next_stream();
  Status run_head(StreamState& stream);
  Status run_graph(const GraphState& graph);
  std::uint32_t random_below(std::size_t limit);

  Execute execute_;
  Observer* observer_;
  std::uint32_t seed_ = 0, random_ = 0;
  std::uint64_t numbers_ = 0;
  int streams_made_ = 0, events_made_ = 0;
  Status failure_ = Status::success;  ///< of work that ran; kept
  std::vector<std::unique_ptr<StreamState>> streams_;
  std::vector<std::unique_ptr<EventState>> events_;
  std::vector<std::shared_ptr<GraphState>> graphs_;
};

}  // namespace fornax::cuda
