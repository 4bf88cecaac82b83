// Fusion: patterns of producer and consumer, stated by the ops, applied until none matches.
#include <algorithm>
#include <optional>

#include "runtime/passes/passes.h"

namespace fornax {

namespace {

using kernels::Fusion;
using kernels::Match;
using kernels::Merged;

std::size_t at(int id) { return static_cast<std::size_t>(id); }

class Fuser {
 public:
  Fuser(GraphData& graph, const std::vector<int>& outputs, const kernels::DeviceModel& model)
      : graph_(graph), model_(model) {
    returned_.assign(graph.values.size(), 0);
    for (const int id : outputs) returned_[at(id)] = 1;
  }

  /// One walk over the nodes in an order in which they may run; true when anything merged.
  bool walk() {
    keep_nodes(graph_, schedule(graph_, dependencies_of(graph_)));
    Dependencies dependencies = dependencies_of(graph_);
    updater_ = std::move(dependencies.updater), base_ = std::move(dependencies.base);
    readers_ = readers_of(graph_);
    const int count = static_cast<int>(graph_.nodes.size());
    order_.resize(at(count));
    for (int n = 0; n < count; ++n) order_[at(n)] = n;
    position_ = order_;
    merged_ = false;
    for (int n = 0; n < count; ++n)
      while (position_[at(n)] != kAbsent && merge_into(n)) merged_ = true;
    std::erase(order_, kAbsent);
    if (merged_) keep_nodes(graph_, order_);
    return merged_;
  }

 private:
  std::vector<kernels::TensorType> inferred(const Merged& merged) const {
    std::vector<kernels::TensorType> in, out;
    for (const Value& value : merged.in) in.push_back(graph_.type_of(value ? value.id() : kAbsent));
    kernels::find_op(merged.op).infer(in, merged.attributes, out);
    return out;
  }

  /// Whether the merged op takes its operands as they lie.
  bool takes_layouts(const Merged& merged) const {
    return kernels::find_op(merged.op).accepts_strides ||
           std::all_of(merged.in.begin(), merged.in.end(), [&](const Value& value) {
             return !value || graph_.type_of(value.id()).contiguous();
           });
  }

  /// Whether the device has a way to compute it.
  bool is_computed(const Merged& merged) const {
    return model_.backend == kernels::Backend::reference ||
           !kernels::find_kernels(merged.op, model_).empty();
  }

  int other_uses(int value, int consumer) const {
    const auto& readers = readers_[at(value)];
    const auto others = std::count_if(readers.begin(), readers.end(),
                                      [&](int reader) { return reader != consumer; });
    return static_cast<int>(others) + returned_[at(value)];
  }

  /// Handles of a node's operands.
  struct Operands {
    std::vector<Value> in, out;
  };
  Operands operands_of(const NodeData& node) const {
    Operands operands;
    for (const int id : node.in) operands.in.push_back(graph_.handle(id));
    for (const int id : node.out) operands.out.push_back(graph_.handle(id));
    return operands;
  }

  bool merge_into(int consumer) {
    const NodeData& node = graph_.nodes[at(consumer)];
    std::optional<Operands> operands;  // once: an update may read hundreds of gradients
    for (const Fusion& fusion : node.op->fusions)
      for (std::size_t i = 0; i < node.in.size(); ++i) {
        if (node.in[i] == kAbsent) continue;
        const int producer = graph_.values[at(node.in[i])].producer;
        if (producer == kAbsent || graph_.nodes[at(producer)].op->name != fusion.producer) continue;
        if (!operands) operands = operands_of(node);
        if (try_merge(fusion, {producer, consumer, static_cast<int>(i)}, *operands)) return true;
      }
    return false;
  }

  struct Pair {
    int producer, consumer, input;  ///< of the consumer
  };

  bool try_merge(const Fusion& fusion, const Pair& pair, const Operands& read) {
    const auto [producer, consumer, input] = pair;
    const NodeData &from = graph_.nodes[at(producer)], &to = graph_.nodes[at(consumer)];
    const Operands made = operands_of(from);
    const int value = to.in[at(input)];
    const Match match{{from.op->name, made.in, made.out, from.attributes},
                      {to.op->name, read.in, read.out, to.attributes},
                      graph_.values[at(value)].output,
                      input,
                      other_uses(value, consumer)};
    Merged merged;
    if (!fusion.merge(match, merged) || !is_computed(merged) || !takes_layouts(merged))
      return false;
    check(merged, producer, consumer);
    const int place = place_of_both(producer, consumer);
    if (place == kAbsent) return false;
    replace(merged, producer, consumer);
    for (const int n : {producer, consumer}) order_[at(position_[at(n)])] = kAbsent;
    position_[at(producer)] = kAbsent, position_[at(consumer)] = place;
    order_[at(place)] = consumer;
    return true;
  }

  /// The merged op must make values of the types that they have, and every value that is still
  /// needed.
  void check(const Merged& merged, int producer, int consumer) const {
    const auto fail = [&](const std::string& what) {
      throw Error(ErrorCode::internal, "fuse: " + describe(graph_, producer) + " and " +
                                           describe(graph_, consumer) + " as " +
                                           std::string(merged.op) + ": " + what);
    };
    const auto types = inferred(merged);
    if (types.size() != merged.out.size())
      fail("it infers " + std::to_string(types.size()) + " outputs, the pattern lists " +
           std::to_string(merged.out.size()));
    for (std::size_t i = 0; i < types.size(); ++i)
      if (merged.out[i] && types[i] != graph_.type_of(merged.out[i].id()))
        fail("output " + std::to_string(i) + " would be " + to_string(types[i]) + ", was " +
             to_string(graph_.type_of(merged.out[i].id())));
    for (const int n : {producer, consumer})
      for (const int id : graph_.nodes[at(n)].out) {
        if (id == kAbsent || (n == producer && other_uses(id, consumer) == 0)) continue;
        if (n == consumer && readers_[at(id)].empty() && !returned_[at(id)]) continue;
        const bool made =
            std::any_of(merged.out.begin(), merged.out.end(),
                        [&](const Value& value) { return value && value.id() == id; });
        if (!made) fail("value %" + std::to_string(id) + " is still read but no longer made");
      }
  }

  /// Nodes that must come after `n`.
  template <class Visit>
  void for_each_later(int n, const Visit& visit) const {
    for (const int id : graph_.nodes[at(n)].out)
      if (id != kAbsent)
        for (const int reader : readers_[at(id)]) visit(reader);
    for (const int id : graph_.nodes[at(n)].in) {
      const int updater = id == kAbsent ? kAbsent : updater_[at(base_[at(id)])];
      if (updater != kAbsent && updater != n) visit(updater);
    }
  }

  /// A place where the merged node has all that it reads before it and all that needs it behind it:
  /// the consumer's, or else the producer's; kAbsent when neither will do. No other node moves, so
  /// that a merge costs as much as the two nodes have neighbours.
  int place_of_both(int producer, int consumer) const {
    const int first = position_[at(producer)], last = position_[at(consumer)];
    bool late = true, early = true;
    for_each_later(producer, [&](int later) {
      late = late && (later == consumer || position_[at(later)] > last);
    });
    if (late) return last;
    for (const int id : graph_.nodes[at(consumer)].in) {
      if (id == kAbsent) continue;
      const int maker = graph_.values[at(id)].producer;
      const bool before = maker == kAbsent || maker == producer || position_[at(maker)] < first;
      early = early && before && updater_[at(base_[at(id)])] != consumer;
    }
    return early ? first : kAbsent;
  }

  void replace(const Merged& merged, int producer, int consumer) {
    for (const int n : {producer, consumer})
      for (const int id : graph_.nodes[at(n)].in) {
        if (id == kAbsent) continue;
        std::erase(readers_[at(id)], n);
        if (int& updater = updater_[at(base_[at(id)])]; updater == producer) updater = consumer;
      }
    NodeData node;
    node.op = &kernels::find_op(merged.op);
    node.attributes = merged.attributes;
    node.scope = graph_.nodes[at(producer)].scope;
    for (const Value& value : merged.in) node.in.push_back(value ? value.id() : kAbsent);
    for (const Value& value : merged.out) node.out.push_back(value ? value.id() : kAbsent);
    for (std::size_t i = 0; i < node.out.size(); ++i) {
      if (node.out[i] == kAbsent) continue;
      graph_.values[at(node.out[i])].producer = consumer;
      graph_.values[at(node.out[i])].output = static_cast<int>(i);
    }
    for (const int id : node.in)
      if (id != kAbsent && std::find(readers_[at(id)].begin(), readers_[at(id)].end(), consumer) ==
                               readers_[at(id)].end())
        readers_[at(id)].push_back(consumer);
    graph_.nodes[at(consumer)] = std::move(node);
  }

  GraphData& graph_;
  const kernels::DeviceModel& model_;
  std::vector<char> returned_;
  std::vector<std::vector<int>> readers_;
  std::vector<int> updater_, base_, order_, position_;
  bool merged_ = false;
};

}  // namespace

void fuse(GraphData& graph, const std::vector<int>& outputs, const kernels::DeviceModel& model) {
  Fuser fuser(graph, outputs, model);
  while (fuser.walk()) {
  }
}

}  // namespace fornax
