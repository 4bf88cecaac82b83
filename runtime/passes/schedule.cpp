// The order of nodes: data dependencies, and reads of a state's old content before its update.
#include <algorithm>
#include <functional>
#include <queue>

#include "runtime/passes/passes.h"

namespace fornax {

namespace {

using Kind = kernels::Alias::Kind;

std::size_t at(int id) { return static_cast<std::size_t>(id); }

/// Base of every value and the views among the nodes; nodes stand in topological order.
void find_views(const GraphData& graph, Dependencies& found) {
  found.base.resize(graph.values.size());
  for (std::size_t id = 0; id < found.base.size(); ++id) found.base[id] = static_cast<int>(id);
  found.view.assign(graph.nodes.size(), 0);
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const NodeData& node = graph.nodes[n];
    if (!node.op->aliases) continue;
    std::size_t views = 0;
    for (const kernels::Alias& alias : aliases_of(graph, node)) {
      if (alias.kind != Kind::view || node.out[at(alias.out)] == kAbsent) continue;
      found.base[at(node.out[at(alias.out)])] = found.base[at(node.in[at(alias.in)])];
      ++views;
    }
    const auto made =
        std::count_if(node.out.begin(), node.out.end(), [](int id) { return id != kAbsent; });
    found.view[n] = made > 0 && views == static_cast<std::size_t>(made);
  }
}

[[noreturn]] void refuse_update(const GraphData& graph, int node, int operand, int other) {
  const std::string what = "schedule: " + describe(graph, node);
  if (other == kAbsent)
    throw Error(ErrorCode::invalid_argument, what + " updates its operand " +
                                                 std::to_string(operand) +
                                                 ", which is no parameter and no state");
  throw Error(
      ErrorCode::invalid_argument,
      what + " and " + describe(graph, other) +
          " update the same content of a state; let the second take what the first returns");
}

void find_updates(const GraphData& graph, Dependencies& found) {
  found.updater.assign(graph.values.size(), kAbsent);
  found.update.assign(graph.nodes.size(), 0);
  std::vector<char> state(graph.values.size(), 0);
  for (std::size_t id = 0; id < state.size(); ++id)
    state[id] = graph.values[id].role == Role::parameter || graph.values[id].role == Role::state;
  for (int n = 0; n < static_cast<int>(graph.nodes.size()); ++n) {
    const NodeData& node = graph.nodes[at(n)];
    if (!node.op->aliases) continue;
    std::size_t updates = 0;
    for (const kernels::Alias& alias : aliases_of(graph, node)) {
      if (alias.kind != Kind::updates_state || node.in[at(alias.in)] == kAbsent) continue;
      ++updates;
      const int old = found.base[at(node.in[at(alias.in)])];
      if (!state[at(old)] || found.updater[at(old)] != kAbsent)
        refuse_update(graph, n, alias.in, found.updater[at(old)]);
      found.updater[at(old)] = n;
      if (node.out[at(alias.out)] != kAbsent) state[at(node.out[at(alias.out)])] = 1;
    }
    found.update[at(n)] = updates > 0 && updates == node.out.size();
  }
}

}  // namespace

Dependencies dependencies_of(const GraphData& graph) {
  Dependencies found;
  find_views(graph, found);
  find_updates(graph, found);
  found.before.resize(graph.nodes.size());
  for (int n = 0; n < static_cast<int>(graph.nodes.size()); ++n)
    for (const int id : graph.nodes[at(n)].in) {
      if (id == kAbsent) continue;
      const int producer = graph.values[at(id)].producer;
      if (producer != kAbsent) found.before[at(n)].push_back(producer);
      const int updater = found.updater[at(found.base[at(id)])];
      if (updater != kAbsent && updater != n) found.before[at(updater)].push_back(n);
    }
  for (auto& list : found.before) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
  }
  return found;
}

namespace {

/// Names an update among the nodes that could not be ordered. Every cycle holds one, because data
/// dependencies alone have none.
[[noreturn]] void refuse_cycle(const GraphData& graph, const Dependencies& dependencies,
                               const std::vector<int>& missing) {
  for (std::size_t id = 0; id < graph.values.size(); ++id) {
    const int updater = dependencies.updater[id];
    if (updater == kAbsent || missing[at(updater)] == 0) continue;
    const std::string& name = graph.values[id].name;
    throw Error(ErrorCode::invalid_argument,
                "schedule: " + describe(graph, updater) + " updates '" +
                    (name.empty() ? "%" + std::to_string(id) : name) +
                    "', whose old content is read by a node that depends on the new content; "
                    "read the state either before or after its update");
  }
  throw Error(ErrorCode::internal, "schedule: the graph has a cycle without an update of state");
}

}  // namespace

std::vector<int> schedule(const GraphData& graph, const Dependencies& dependencies) {
  const std::size_t count = graph.nodes.size();
  std::vector<int> missing(count, 0);
  std::vector<std::vector<int>> after(count);
  for (std::size_t n = 0; n < count; ++n) {
    missing[n] = static_cast<int>(dependencies.before[n].size());
    for (const int earlier : dependencies.before[n])
      after[at(earlier)].push_back(static_cast<int>(n));
  }
  // Updates count as made before all others.
  const auto key = [&](int n) {
    return dependencies.update[at(n)] ? n - static_cast<int>(count) : n;
  };
  std::priority_queue<int, std::vector<int>, std::greater<>> ready;
  for (std::size_t n = 0; n < count; ++n)
    if (missing[n] == 0) ready.push(key(static_cast<int>(n)));
  std::vector<int> order;
  order.reserve(count);
  while (!ready.empty()) {
    const int n = ready.top() < 0 ? ready.top() + static_cast<int>(count) : ready.top();
    ready.pop();
    order.push_back(n);
    for (const int later : after[at(n)])
      if (--missing[at(later)] == 0) ready.push(key(later));
  }
  if (order.size() < count) refuse_cycle(graph, dependencies, missing);
  return order;
}

}  // namespace fornax
