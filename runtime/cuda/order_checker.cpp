// Vector clocks over streams, events and graphs; a map of who touched which bytes.
#include "runtime/cuda/order_checker.h"

#include <algorithm>
#include <cstdio>

namespace fornax::cuda {

namespace {

using Clock = std::vector<std::uint32_t>;
constexpr int kHost = -1;  // in the place of a stream's number

void join(Clock& clock, const Clock& other) {
  if (clock.size() < other.size()) clock.resize(other.size(), 0);
  for (std::size_t i = 0; i < other.size(); ++i) clock[i] = std::max(clock[i], other[i]);
}

std::uint32_t tick(Clock& clock, std::size_t line) {
  if (clock.size() <= line) clock.resize(line + 1, 0);
  return ++clock[line];
}

const char* verb(Access::Kind kind) {
  return kind == Access::Kind::read ? "reads" : kind == Access::Kind::write ? "writes" : "updates";
}

bool conflict(Access::Kind a, Access::Kind b) { return a != b || a == Access::Kind::write; }

}  // namespace

std::size_t OrderChecker::line_of(const void* owner, int lane) {
  return lines_.try_emplace({owner, lane}, lines_.size()).first->second;
}

// The host enqueues: what it has waited for comes before all that follows.
OrderChecker::Clock& OrderChecker::clock_of(const StreamState& stream) {
  Clock& clock = streams_[stream.id];
  join(clock, host_);
  return clock;
}

void OrderChecker::enqueued(const StreamState& stream, const Operation& operation) {
  Clock& clock = clock_of(stream);
  switch (operation.kind) {
    case Operation::Kind::record: {
      const int event = operation.event->id;
      events_.erase({event, latest_[event]});
      latest_[event] = operation.generation;
      events_[{event, operation.generation}] = clock;
      return;
    }
    case Operation::Kind::wait: {
      const auto recorded = events_.find({operation.event->id, operation.generation});
      if (recorded != events_.end()) join(clock, recorded->second);
      return;
    }
    case Operation::Kind::graph: return run_graph(*operation.graph, clock);
    case Operation::Kind::launch:
    case Operation::Kind::copy:
    case Operation::Kind::fill: break;
  }
  const std::size_t line = line_of(nullptr, stream.id);
  Epoch now{line, tick(clock, line), Access::Kind::read, operation.name};
  for (const Access& one : operation.accesses) access(one, now, clock);
}

void OrderChecker::touched_by_host(const Access& one) {
  const std::size_t line = line_of(nullptr, kHost);
  access(one, {line, tick(host_, line), one.kind, "host"}, host_);
}

/// A launch of a graph comes after what is on the stream and after the graph's launch before.
void OrderChecker::run_graph(const GraphState& graph, Clock& clock) {
  join(clock, graphs_[&graph]);
  std::vector<Clock> clocks(graph.nodes.size());
  Clock end = clock;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const GraphNode& node = graph.nodes[i];
    clocks[i] = clock;
    for (const int before : node.after) join(clocks[i], clocks[static_cast<std::size_t>(before)]);
    const std::size_t line = line_of(&graph, node.lane);
    const Epoch now{line, tick(clocks[i], line), Access::Kind::read, node.operation.name};
    for (const Access& one : node.operation.accesses) access(one, now, clocks[i]);
    join(end, clocks[i]);
  }
  clock = end;
  graphs_[&graph] = std::move(end);
}

void OrderChecker::synchronized(const StreamState& stream) { join(host_, streams_[stream.id]); }

void OrderChecker::synchronized(const EventState& event) {
  const auto recorded = events_.find({event.id, event.recorded});
  if (recorded != events_.end()) join(host_, recorded->second);
}

/// Makes `at` the start of a segment where one covers it.
void OrderChecker::split(std::uintptr_t at) {
  auto after = segments_.upper_bound(at);
  if (after == segments_.begin()) return;
  const auto covering = std::prev(after);
  if (covering->first == at || covering->second.end <= at) return;
  segments_.emplace(at, covering->second);
  covering->second.end = at;
}

void OrderChecker::access(const Access& access, const Epoch& now, const Clock& clock) {
  if (access.bytes <= 0) return;
  const auto first = reinterpret_cast<std::uintptr_t>(access.address);
  const std::uintptr_t end = first + static_cast<std::uintptr_t>(access.bytes);
  split(first), split(end);
  Epoch epoch = now;
  epoch.kind = access.kind;
  std::uintptr_t at = first;
  for (auto segment = segments_.lower_bound(first); at < end; ++segment) {
    if (segment == segments_.end() || segment->first > at) {
      const std::uintptr_t stop = segment == segments_.end() ? end : std::min(end, segment->first);
      segment = segments_.emplace(at, Segment{stop, {}}).first;
    }
    touch(segment->second, access, epoch, clock);
    at = segment->second.end;
  }
}

void OrderChecker::touch(Segment& segment, const Access& access, const Epoch& now,
                         const Clock& clock) {
  for (const Epoch& before : segment.epochs) {
    const bool ordered = before.line < clock.size() && before.count <= clock[before.line];
    if (conflict(before.kind, now.kind) && !ordered) report(before, now, access);
  }
  // What is ordered before a write cannot conflict with anything ordered after it.
  std::erase_if(segment.epochs, [&](const Epoch& before) {
    return now.kind == Access::Kind::write || (before.line == now.line && before.kind == now.kind);
  });
  segment.epochs.push_back(now);
}

void OrderChecker::report(const Epoch& before, const Epoch& now, const Access& access) {
  const std::string pair =
      before.name + ' ' + verb(before.kind) + ", " + now.name + ' ' + verb(now.kind);
  if (reported_[pair]++) return;
  char range[64];
  std::snprintf(range, sizeof range, " %p (%lld bytes)", access.address,
                static_cast<long long>(access.bytes));
  faults_.push_back("unordered: " + pair + range);
}

void OrderChecker::forget(const void* address, std::int64_t bytes) {
  const auto first = reinterpret_cast<std::uintptr_t>(address);
  const std::uintptr_t end = first + static_cast<std::uintptr_t>(bytes);
  split(first), split(end);
  segments_.erase(segments_.lower_bound(first), segments_.lower_bound(end));
}

}  // namespace fornax::cuda
