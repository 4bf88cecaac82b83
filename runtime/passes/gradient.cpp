// Reverse-mode differentiation: walks the nodes backward and lets each op's rule add nodes.
// Source: Griewank and Walther 2008, ch. 3.
#include <fornax/error.h>

#include <algorithm>
#include <utility>

#include "runtime/passes/passes.h"

namespace fornax {

namespace {

struct Contribution {
  int node;  ///< the reader that it comes from
  Value gradient;
};

class Backward {
 public:
  Backward(GraphData& graph, int node_count)
      : graph_(graph), node_count_(node_count), contributions_(graph.values.size()) {}

  /// Gradients of the wanted values; absent where nothing arrived.
  std::vector<Value> run(std::span<const Value> out, std::span<const Value> d_out,
                         std::span<const Value> wanted) {
    mark(wanted);
    for (std::size_t i = 0; i < out.size(); ++i) contribute(out[i].id(), kAbsent, d_out[i]);
    for (int n = node_count_ - 1; n >= 0; --n) visit(n);
    std::vector<Value> gradients;
    for (const Value& value : wanted) gradients.push_back(total(value.id()));
    return gradients;
  }

 private:
  /// Which of the first nodes lie between the wanted values and the loss.
  void mark(std::span<const Value> wanted) {
    needed_.assign(graph_.values.size(), 0);
    for (const Value& value : wanted) needed_[static_cast<std::size_t>(value.id())] = 1;
    for (int n = 0; n < node_count_; ++n) {
      const NodeData& node = graph_.nodes[static_cast<std::size_t>(n)];
      const bool any = std::any_of(node.in.begin(), node.in.end(), [&](int id) {
        return id != kAbsent && needed_[static_cast<std::size_t>(id)];
      });
      for (const int id : node.out)
        if (any && id != kAbsent) needed_[static_cast<std::size_t>(id)] = 1;
    }
  }

  void contribute(int id, int node, Value gradient) {
    contributions_[static_cast<std::size_t>(id)].push_back({node, gradient});
  }

  /// The sum of what arrived for a value, in order of its readers.
  Value total(int id) {
    auto& list = contributions_[static_cast<std::size_t>(id)];
    if (list.empty()) return {};
    std::stable_sort(list.begin(), list.end(),
                     [](const auto& a, const auto& b) { return a.node < b.node; });
    Value sum = list[0].gradient;
    for (std::size_t i = 1; i < list.size(); ++i)
      sum = sum.graph().add("add", {sum, list[i].gradient})[0];
    list.assign(1, {kAbsent, sum});
    return sum;
  }

  void visit(int n) {
    // Copies: rules add nodes, which moves the vectors.
    const std::vector<int> in = graph_.nodes[static_cast<std::size_t>(n)].in;
    const std::vector<int> out = graph_.nodes[static_cast<std::size_t>(n)].out;
    std::vector<Value> in_values, out_values, d_out, d_in(in.size());
    std::vector<char> needed;
    bool reached = false, wanted = false;
    for (const int id : in) {
      in_values.push_back(graph_.handle(id));
      const bool need = id != kAbsent && needed_[static_cast<std::size_t>(id)] &&
                        is_floating(graph_.type_of(id).dtype);
      needed.push_back(need);
      wanted |= need;
    }
    if (!wanted) return;
    for (const int id : out) {
      out_values.push_back(graph_.handle(id));
      d_out.push_back(id == kAbsent ? Value() : total(id));
      reached |= static_cast<bool>(d_out.back());
    }
    if (!reached) return;
    const NodeData& node = graph_.nodes[static_cast<std::size_t>(n)];
    kernels::require(node.op->gradient != nullptr, ErrorCode::unsupported,
                     "gradients: " + describe(graph_, n) + " has no gradient");
    const Attributes attributes = node.attributes;
    const std::string scope = std::exchange(graph_.scope, node.scope);
    kernels::GradientRule rule{graph_.handle(in_or_out(in, out)).graph(),
                               in_values,
                               out_values,
                               d_out,
                               attributes,
                               needed,
                               d_in};
    node.op->gradient(rule);
    graph_.scope = scope;
    for (std::size_t i = 0; i < in.size(); ++i)
      if (needed[i] && d_in[i]) contribute(in[i], n, d_in[i]);
  }

  static int in_or_out(const std::vector<int>& in, const std::vector<int>& out) {
    for (const int id : in)
      if (id != kAbsent) return id;
    return out[0];
  }

  GraphData& graph_;
  int node_count_;
  std::vector<std::vector<Contribution>> contributions_;
  std::vector<char> needed_;
};

}  // namespace

std::vector<Value> vector_jacobian(Graph graph, std::span<const Value> out,
                                   std::span<const Value> d_out, std::span<const Value> wanted) {
  GraphData& data = graph.data();
  return Backward(data, static_cast<int>(data.nodes.size())).run(out, d_out, wanted);
}

Gradients gradients(Value loss, std::span<const Value> with_respect_to) {
  kernels::require(loss && loss.shape().elements() == 1 && is_floating(loss.dtype()),
                   ErrorCode::shape,
                   "gradients: the loss must be one floating-point element; got " +
                       (loss ? to_string(loss.shape()) : std::string("an absent value")));
  Graph graph = loss.graph();
  GraphData& data = graph.data();
  for (const Value& value : with_respect_to)
    kernels::require(value && &value.graph().data() == &data, ErrorCode::invalid_argument,
                     "gradients: with respect to a value of another graph");
  const int node_count = static_cast<int>(data.nodes.size());
  Backward backward(data, node_count);
  const Value one = graph.constant(1, loss.shape(), loss.dtype());
  const std::vector<Value> found = backward.run({&loss, 1}, {&one, 1}, with_respect_to);
  Gradients result;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const Value& value = with_respect_to[i];
    result.items.push_back(
        {value, found[i] ? found[i] : graph.constant(0, value.shape(), value.dtype())});
  }
  return result;
}

}  // namespace fornax
