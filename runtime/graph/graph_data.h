// What a Graph holds: nodes and values in vectors, topologically ordered; no pointers between them.
#pragma once
#include <fornax/graph.h>

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "kernels/op.h"

namespace fornax {

enum class Role : std::uint8_t { intermediate, input, parameter, state };

constexpr int kAbsent = -1;

struct ValueData {
  kernels::TensorType type;
  Role role = Role::intermediate;
  bool trainable = false;
  int producer = kAbsent;  ///< node that makes it; absent for inputs, parameters and state
  int output = 0;          ///< which of the producer's outputs
  std::string name;        ///< of inputs, parameters and state
  Initializer initializer;
};

struct NodeData {
  const kernels::OpDefinition* op = nullptr;
  Attributes attributes;
  std::vector<int> in;   ///< value ids; kAbsent for an operand that is not there
  std::vector<int> out;  ///< value ids; kAbsent for an output that nobody needs
  std::string scope;
};

struct StepScalar {
  std::string name;
  double initial;
};

struct GraphData {
  Mode mode = Mode::train;
  std::vector<NodeData> nodes;
  std::deque<ValueData> values;  ///< a deque, so that the reference of Value::shape() stays good
  std::map<std::string, int, std::less<>> named;  ///< inputs, parameters and state
  std::map<std::string, int> used_names;          ///< how often unique_name gave each
  std::vector<StepScalar> scalars;
  std::string scope;  ///< "" or "a.b."

  int add_value(ValueData value);
  Value handle(int id) { return id == kAbsent ? Value() : Value(this, id); }
  kernels::TensorType type_of(int id) const {
    return id == kAbsent ? kernels::TensorType() : values[static_cast<std::size_t>(id)].type;
  }
  std::weak_ptr<GraphData> weak;  ///< for Value::graph()
};

/// Types of a node's operands; absent ones have dtype none.
struct NodeTypes {
  std::vector<kernels::TensorType> in, out;
};
NodeTypes types_of(const GraphData& graph, const NodeData& node);

/// The aliases a node's op states for it.
kernels::AliasList aliases_of(const GraphData& graph, const NodeData& node);

/// "linear (node 3, scope fc1)".
std::string describe(const GraphData& graph, int node);

/// For every value, the nodes that read it, in order.
std::vector<std::vector<int>> readers_of(const GraphData& graph);

}  // namespace fornax
