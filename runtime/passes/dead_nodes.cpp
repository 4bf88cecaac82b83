// Dead nodes: what no output and no state depends on.
#include <algorithm>

#include "runtime/passes/passes.h"

namespace fornax {

namespace {

std::size_t at(int id) { return static_cast<std::size_t>(id); }

bool updates_state(const GraphData& graph, const NodeData& node) {
  if (!node.op->aliases) return false;
  const kernels::AliasList aliases = aliases_of(graph, node);
  return std::any_of(aliases.begin(), aliases.end(), [](const kernels::Alias& alias) {
    return alias.kind == kernels::Alias::Kind::updates_state;
  });
}

}  // namespace

void keep_nodes(GraphData& graph, const std::vector<int>& order) {
  for (ValueData& value : graph.values) value.producer = kAbsent;
  std::vector<NodeData> nodes;
  nodes.reserve(order.size());
  for (const int n : order) {
    nodes.push_back(std::move(graph.nodes[at(n)]));
    const NodeData& node = nodes.back();
    for (std::size_t i = 0; i < node.out.size(); ++i) {
      if (node.out[i] == kAbsent) continue;
      graph.values[at(node.out[i])].producer = static_cast<int>(nodes.size()) - 1;
      graph.values[at(node.out[i])].output = static_cast<int>(i);
    }
  }
  graph.nodes = std::move(nodes);
}

void dead_nodes(GraphData& graph, const std::vector<int>& outputs) {
  std::vector<char> live(graph.values.size(), 0);
  for (const int id : outputs) live[at(id)] = 1;
  std::vector<int> kept;
  // Nodes stand in topological order, so one walk backward sees every reader before its producer.
  for (int n = static_cast<int>(graph.nodes.size()) - 1; n >= 0; --n) {
    const NodeData& node = graph.nodes[at(n)];
    const bool needed = std::any_of(node.out.begin(), node.out.end(),
                                    [&](int id) { return id != kAbsent && live[at(id)]; });
    if (!needed && !updates_state(graph, node)) continue;
    kept.push_back(n);
    for (const int id : node.in)
      if (id != kAbsent) live[at(id)] = 1;
  }
  std::reverse(kept.begin(), kept.end());
  keep_nodes(graph, kept);
}

}  // namespace fornax
