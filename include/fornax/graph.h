// Graphs: what a step computes, before any memory or device is chosen.
#pragma once
#include <fornax/attributes.h>
#include <fornax/dtype.h>
#include <fornax/initializer.h>
#include <fornax/shape.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fornax {

class Graph;
struct GraphData;

/// A value of a graph: a shape and a dtype, no memory. A cheap handle; valid while its Graph lives.
/// A default Value is absent and stands for an operand that an op may lack.
class FORNAX_API Value {
 public:
  Value() noexcept = default;
  explicit operator bool() const noexcept { return data_ != nullptr; }
  const Shape& shape() const;
  DType dtype() const;
  /// The name of an input, a parameter or state; else "node.output".
  std::string name() const;
  int id() const noexcept { return id_; }
  Graph graph() const;
  bool operator==(const Value&) const noexcept = default;

 private:
  friend class Graph;
  friend struct GraphData;
  Value(GraphData* data, int id) noexcept : data_(data), id_(id) {}
  GraphData* data_ = nullptr;
  int id_ = -1;
};

/// Train and evaluate graphs differ in dropout and batch norm.
enum class Mode { train, evaluate };

struct ParameterOptions {
  bool trainable = true;  ///< false: a frozen parameter, which parameters() leaves out
};

/// A directed acyclic graph of ops with static shapes, topologically ordered by construction.
/// A Graph is a handle: copies share one graph. Not safe to change from two threads at once.
class FORNAX_API Graph {
 public:
  explicit Graph(Mode mode = Mode::train);

  Mode mode() const noexcept;

  /// What a run is fed with. Throws Error{invalid_argument} when the name is taken or empty.
  Value input(std::string_view name, const Shape& shape, DType dtype = DType::f32);
  /// A learned tensor, kept by State under its scoped name.
  Value parameter(std::string_view name, const Shape& shape, Initializer initializer,
                  ParameterOptions options = {});
  /// What outlives a step without being learned by gradient: moments, running statistics.
  Value state(std::string_view name, const Shape& shape, Initializer initializer,
              DType dtype = DType::f32);
  /// A value filled with one number.
  Value constant(double number, const Shape& shape = {}, DType dtype = DType::f32);

  /// Trainable parameters in order of creation.
  std::vector<Value> parameters() const;
  /// An input, parameter or state by its full name; an absent Value when there is none.
  Value find(std::string_view name) const;

  /// Names made while a Scope lives begin with "name.".
  class FORNAX_API Scope {
   public:
    Scope(Graph graph, std::string_view name);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    std::shared_ptr<GraphData> data_;
    std::size_t length_before_;
  };

  /// Adds a node of a registered op; used by the functions of ops/*.h. Returns its outputs.
  /// Throws Error naming op, node, shapes and the rule that they break.
  std::vector<Value> add(std::string_view op, std::span<const Value> inputs,
                         Attributes attributes = {});
  std::vector<Value> add(std::string_view op, std::initializer_list<Value> inputs,
                         Attributes attributes = {}) {
    return add(op, std::span<const Value>(inputs.begin(), inputs.size()), std::move(attributes));
  }
  /// A number that the host may change between steps without compiling again (a learning rate).
  /// Returns its slot; the same name gives the same slot. At most 32.
  int step_scalar(std::string_view name, double initial);
  /// `prefix` made unique within the current scope and given that scope: "block.dropout_1".
  std::string unique_name(std::string_view prefix);

  /// The graph as text: one line a node. Two graphs that print alike compute alike.
  std::string print() const;
  std::int64_t node_count() const noexcept;

  GraphData& data() const noexcept { return *data_; }

 private:
  friend class Value;
  explicit Graph(std::shared_ptr<GraphData> data) noexcept : data_(std::move(data)) {}
  std::shared_ptr<GraphData> data_;
};

/// A parameter and the gradient of the loss with respect to it.
struct ParameterGradient {
  Value parameter, gradient;
};

/// Gradients on their way to an optimizer.
struct Gradients {
  std::vector<ParameterGradient> items;
  Value scale;  ///< [] f32 that the optimizer multiplies every gradient with; absent: 1
  Value norm;   ///< [] f32 global norm before clipping; absent unless clipped
};

/// Adds the backward pass of `loss` to its graph. A parameter that the loss does not depend on gets
/// zeros. The gradient of a value with several uses is summed in order of their nodes.
/// Throws Error{shape} unless loss is a scalar; Error{unsupported} when an op on the way has no
/// gradient (naming op and node).
FORNAX_API Gradients gradients(Value loss, std::span<const Value> with_respect_to);
inline Gradients gradients(Value loss, const std::vector<Value>& with_respect_to) {
  return gradients(loss, std::span<const Value>(with_respect_to));
}

}  // namespace fornax
