// Outputs are row-major: of a strided view a copy is returned.
#include <algorithm>

#include "runtime/passes/passes.h"

namespace fornax {

namespace {

int add_copy(GraphData& graph, int view) {
  const ValueData& shown = graph.values[static_cast<std::size_t>(view)];
  ValueData copy;
  copy.type = {shown.type.dtype, shown.type.shape};
  copy.producer = static_cast<int>(graph.nodes.size());
  NodeData node;
  node.op = &kernels::find_op("contiguous");
  if (shown.producer != kAbsent)
    node.scope = graph.nodes[static_cast<std::size_t>(shown.producer)].scope;
  node.in = {view}, node.out = {graph.add_value(std::move(copy))};
  graph.nodes.push_back(std::move(node));
  return graph.nodes.back().out[0];
}

}  // namespace

void copy_views(GraphData& graph, std::vector<int>& outputs) {
  const std::vector<int> given = outputs;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (graph.type_of(given[i]).contiguous()) continue;
    const auto first =
        static_cast<std::size_t>(std::find(given.begin(), given.end(), given[i]) - given.begin());
    outputs[i] = first < i ? outputs[first] : add_copy(graph, given[i]);
  }
}

}  // namespace fornax
