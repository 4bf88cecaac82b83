// Layers and models: functions from a value to a value that bring their parameters with them.
#pragma once
#include <fornax/graph.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

namespace fornax {

/// A layer adds its nodes to a graph and makes its parameters there under the current scope; the
/// same layer built into two graphs with equal scopes names the same parameters.
class FORNAX_API Layer {
 public:
  using Build = std::function<Value(Graph graph, Value x)>;

  Layer(std::string kind, Build build) : kind_(std::move(kind)), build_(std::move(build)) {}
  /// The output of the layer for `x`. Throws Error{shape} when x does not fit.
  Value operator()(Graph graph, Value x) const { return build_(graph, x); }
  /// "Linear(4, 16)": for summaries.
  const std::string& kind() const noexcept { return kind_; }

 private:
  std::string kind_;
  Build build_;
};

struct LinearOptions {
  bool bias = true;
  Initializer weight = he_normal();
  Initializer bias_initializer = zeros();
};
/// y = x weight^T + bias; x [..., in], weight [out, in], bias [out].
struct FORNAX_API Linear : Layer {
  Linear(std::int64_t in, std::int64_t out, LinearOptions options = {});
};
struct FORNAX_API Relu : Layer {
  Relu();
};
struct FORNAX_API Gelu : Layer {
  Gelu();
};
struct FORNAX_API Silu : Layer {
  Silu();
};
struct FORNAX_API Sigmoid : Layer {
  Sigmoid();
};
struct FORNAX_API Tanh : Layer {
  Tanh();
};
/// Zeroes elements with probability `drop_p` while training and scales the rest by 1 / (1 -
/// drop_p).
struct FORNAX_API Dropout : Layer {
  explicit Dropout(double drop_p);
};
/// Batch normalization over all axes but the last; x [..., features]. It takes the mean away, and
/// so every constant: a Linear right before it is better made without bias, whose gradient would be
/// rounding noise (docs/numerics.md).
struct FORNAX_API BatchNorm : Layer {
  explicit BatchNorm(std::int64_t features);
};
/// Rows of weight [count, width] by index; x i32 [...] -> [..., width].
struct FORNAX_API Embedding : Layer {
  Embedding(std::int64_t count, std::int64_t width);
};
/// [B, ...] -> [B, product of the rest].
struct FORNAX_API Flatten : Layer {
  Flatten();
};

/// Layers one after another; layer i names its parameters "i.weight", "i.bias", ...
class FORNAX_API Sequential {
 public:
  Sequential() = default;
  Sequential(std::initializer_list<Layer> layers) : layers_(layers) {}

  Sequential& add(Layer layer);
  Value operator()(Graph graph, Value x) const;
  const std::vector<Layer>& layers() const noexcept { return layers_; }

 private:
  std::vector<Layer> layers_;
};

/// The layers of `model` as text, one a line.
FORNAX_API std::string to_string(const Sequential& model);

}  // namespace fornax
