// Fusion: patterns of producer and consumer, stated by the ops, applied until none matches.
#include <algorithm>

#include "runtime/passes/passes.h"

namespace fornax {

namespace {

using kernels::Fusion;
using kernels::Match;
using kernels::Merged;

std::size_t at(int id) { return static_cast<std::size_t>(id); }

class Fuser {
 public:
  Fuser(GraphData& graph, const std::vector<int>& outputs) : graph_(graph) {
    returned_.assign(graph.values.size(), 0);
    for (const int id : outputs) returned_[at(id)] = 1;
  }

  /// One walk over the nodes in an order in which they may run; true when anything merged.
  bool walk() {
    keep_nodes(graph_, schedule(graph_, dependencies_of(graph_)));
    updater_ = dependencies_of(graph_).updater;
    base_ = dependencies_of(graph_).base;
    readers_ = readers_of(graph_);
    const int count = static_cast<int>(graph_.nodes.size());
    order_.resize(at(count));
    for (int n = 0; n < count; ++n) order_[at(n)] = n;
    position_ = order_;
    merged_ = false;
    for (int p = 0; p < count; ++p)
      while (order_[at(p)] != kAbsent && merge_into(order_[at(p)])) merged_ = true;
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

  int other_uses(int value, int consumer) const {
    const auto& readers = readers_[at(value)];
    const auto others = std::count_if(readers.begin(), readers.end(),
                                      [&](int reader) { return reader != consumer; });
    return static_cast<int>(others) + returned_[at(value)];
  }

  bool merge_into(int consumer) {
    const NodeData& node = graph_.nodes[at(consumer)];
    for (const Fusion& fusion : node.op->fusions)
      for (std::size_t i = 0; i < node.in.size(); ++i) {
        if (node.in[i] == kAbsent) continue;
        const int producer = graph_.values[at(node.in[i])].producer;
        if (producer == kAbsent || graph_.nodes[at(producer)].op->name != fusion.producer) continue;
        if (try_merge(fusion, producer, consumer, static_cast<int>(i))) return true;
      }
    return false;
  }

  bool try_merge(const Fusion& fusion, int producer, int consumer, int input) {
    const NodeData &from = graph_.nodes[at(producer)], &to = graph_.nodes[at(consumer)];
    std::vector<Value> lists[4];
    const std::vector<int>* ids[4] = {&from.in, &from.out, &to.in, &to.out};
    for (int k = 0; k < 4; ++k)
      for (const int id : *ids[k]) lists[k].push_back(graph_.handle(id));
    const int value = to.in[at(input)];
    const Match match{{from.op->name, lists[0], lists[1], from.attributes},
                      {to.op->name, lists[2], lists[3], to.attributes},
                      graph_.values[at(value)].output,
                      input,
                      other_uses(value, consumer)};
    Merged merged;
    if (!fusion.merge(match, merged) || !takes_layouts(merged)) return false;
    check(merged, producer, consumer);
    std::vector<int> moved;
    if (!between(producer, consumer, moved)) return false;
    replace(merged, producer, consumer);
    move_behind(consumer, position_[at(producer)], moved);
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

  /// Nodes between producer and consumer that must come after the producer; false when one of them
  /// must come before the consumer.
  bool between(int producer, int consumer, std::vector<int>& found) const {
    std::vector<int> open{producer};
    std::vector<char> seen(at(position_[at(consumer)] - position_[at(producer)] + 1), 0);
    bool direct = true;
    while (!open.empty()) {
      const int n = open.back();
      open.pop_back();
      for_each_later(n, [&](int later) {
        const int distance = position_[at(later)] - position_[at(producer)];
        if (later == consumer) direct &= n == producer;
        if (distance <= 0 || distance + 1 >= static_cast<int>(seen.size()) || seen[at(distance)])
          return;
        seen[at(distance)] = 1;
        found.push_back(later);
        open.push_back(later);
      });
    }
    return direct;
  }

  void replace(const Merged& merged, int producer, int consumer) {
    for (const int n : {producer, consumer})
      for (const int id : graph_.nodes[at(n)].in)
        if (id != kAbsent) std::erase(readers_[at(id)], n);
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
    std::replace(updater_.begin(), updater_.end(), producer, consumer);
    graph_.nodes[at(consumer)] = std::move(node);
  }

  /// Frees the producer's place and puts `moved` right behind the consumer, in their order.
  void move_behind(int consumer, int first, const std::vector<int>& moved) {
    order_[at(first)] = kAbsent;
    if (moved.empty()) return;
    const int last = position_[at(consumer)];
    std::vector<int> staying, following;
    for (int p = first; p <= last; ++p) {
      const int n = order_[at(p)];
      const bool moves = std::find(moved.begin(), moved.end(), n) != moved.end();
      (moves ? following : staying).push_back(n);
    }
    staying.insert(staying.end(), following.begin(), following.end());
    for (int p = first; p <= last; ++p) {
      order_[at(p)] = staying[at(p - first)];
      if (order_[at(p)] != kAbsent) position_[at(order_[at(p)])] = p;
    }
  }

  GraphData& graph_;
  std::vector<char> returned_;
  std::vector<std::vector<int>> readers_;
  std::vector<int> updater_, base_, order_, position_;
  bool merged_ = false;
};

}  // namespace

void fuse(GraphData& graph, const std::vector<int>& outputs) {
  Fuser fuser(graph, outputs);
  while (fuser.walk()) {
  }
}

}  // namespace fornax
