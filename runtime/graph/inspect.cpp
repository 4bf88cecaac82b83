// Looking at graphs: types, aliases, readers, print.
#include <map>

#include "runtime/graph/graph_data.h"

namespace fornax {

NodeTypes types_of(const GraphData& graph, const NodeData& node) {
  NodeTypes types;
  for (const int id : node.in) types.in.push_back(graph.type_of(id));
  for (const int id : node.out) types.out.push_back(graph.type_of(id));
  return types;
}

kernels::AliasList aliases_of(const GraphData& graph, const NodeData& node) {
  kernels::AliasList aliases;
  if (!node.op->aliases) return aliases;
  const NodeTypes types = types_of(graph, node);
  node.op->aliases({types.in, types.out, node.attributes}, aliases);
  return aliases;
}

std::string describe(const GraphData& graph, int node) {
  const NodeData& data = graph.nodes[static_cast<std::size_t>(node)];
  std::string text = std::string(data.op->name) + " (node " + std::to_string(node);
  if (!data.scope.empty()) text += ", scope " + data.scope;
  return text += ')';
}

std::vector<std::vector<int>> readers_of(const GraphData& graph) {
  std::vector<std::vector<int>> readers(graph.values.size());
  for (int n = 0; n < static_cast<int>(graph.nodes.size()); ++n)
    for (const int id : graph.nodes[static_cast<std::size_t>(n)].in) {
      if (id == kAbsent) continue;
      auto& list = readers[static_cast<std::size_t>(id)];
      if (list.empty() || list.back() != n) list.push_back(n);
    }
  return readers;
}

std::string Graph::print() const {
  // Values are numbered in order of appearance, so that equal graphs print alike.
  std::map<int, int> number;
  const auto label = [&](int id) {
    if (id == kAbsent) return std::string("-");
    const ValueData& value = data_->values[static_cast<std::size_t>(id)];
    if (!value.name.empty()) return value.name;
    return '%' + std::to_string(number.emplace(id, static_cast<int>(number.size())).first->second);
  };
  std::string text = data_->mode == Mode::train ? "graph train\n" : "graph evaluate\n";
  for (const auto& [name, id] : data_->named) {
    static constexpr const char* kRoles[] = {"intermediate", "input", "parameter", "state"};
    const ValueData& value = data_->values[static_cast<std::size_t>(id)];
    text += std::string(kRoles[static_cast<int>(value.role)]) + ' ' + name + ' ' +
            to_string(value.type) + '\n';
  }
  for (const NodeData& node : data_->nodes) {
    std::string in, out;
    for (const int id : node.in) in += (in.empty() ? "" : ", ") + label(id);
    for (const int id : node.out)
      out += (out.empty() ? "" : ", ") + label(id) + ' ' + to_string(data_->type_of(id));
    text +=
        out + " = " + std::string(node.op->name) + to_string(node.attributes) + '(' + in + ")\n";
  }
  return text;
}

}  // namespace fornax
