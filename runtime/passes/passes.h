// Passes over a graph alone: which nodes are needed, which merge, and in which order they may run.
#pragma once
#include <span>
#include <vector>

#include "runtime/graph/graph_data.h"

namespace fornax {

/// Puts a row-major copy, which a new node at the end makes, in the place of each output that is a
/// strided view.
void copy_views(GraphData& graph, std::vector<int>& outputs);

/// Removes every node that neither an output nor an update of state depends on.
void dead_nodes(GraphData& graph, const std::vector<int>& outputs);

/// Merges producers into consumers by the patterns of OpDefinition::fusions until none matches, in
/// order of the nodes. A merged node keeps the ids of the values that it makes and stands where the
/// consumer stood, or where the producer stood when a node between the two reads what the producer
/// makes; a merge for which neither place will do, so every merge that would close a cycle, is not
/// made, nor one for which `model` has no kernel. Nodes are left in an order in which they may run.
/// `outputs` count as uses. Throws Error{internal} when a merged op infers other types than its
/// values have.
void fuse(GraphData& graph, const std::vector<int>& outputs, const kernels::DeviceModel& model);

/// Adds the backward pass that begins with the gradients `d_out` of the values `out` and gives the
/// gradients of `wanted`; absent where `out` does not depend on a value. gradients() is this with
/// one scalar and the gradient 1. Throws as gradients() does.
std::vector<Value> vector_jacobian(Graph graph, std::span<const Value> out,
                                   std::span<const Value> d_out, std::span<const Value> wanted);

/// What must run before what.
struct Dependencies {
  std::vector<int> base;     ///< by value: the value whose bytes a view shows; itself when no view
  std::vector<int> updater;  ///< by value: the node that replaces its content; kAbsent
  std::vector<char> view;    ///< by node: makes views only, so nothing is launched
  std::vector<char> update;  ///< by node: makes nothing but new contents of states
  /// By node: nodes that come earlier. An update of state comes after every read of the old
  /// content.
  std::vector<std::vector<int>> before;
};
/// Throws Error{invalid_argument} when two nodes update one content of a state, or when what is
/// updated is no parameter or state.
Dependencies dependencies_of(const GraphData& graph);

/// Nodes in an order that respects `before`; among those that may run, an update, for what it reads
/// is then free, else the one made first.
/// Source: Kahn 1962. Throws Error{invalid_argument} naming op and state when reads of old and new
/// content of a state depend on each other.
std::vector<int> schedule(const GraphData& graph, const Dependencies& dependencies);

/// Keeps the listed nodes, in this order.
void keep_nodes(GraphData& graph, const std::vector<int>& order);

}  // namespace fornax
