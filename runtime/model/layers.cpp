// The layers of model.h.
#include <fornax/error.h>
#include <fornax/model.h>
#include <fornax/ops/activation.h>
#include <fornax/ops/dropout.h>
#include <fornax/ops/embedding.h>
#include <fornax/ops/layout.h>
#include <fornax/ops/linear.h>
#include <fornax/ops/normalization.h>

namespace fornax {

namespace {

std::string with_extents(const char* name, std::int64_t a, std::int64_t b) {
  return std::string(name) + '(' + std::to_string(a) + ", " + std::to_string(b) + ')';
}

void check_positive(const char* what, std::int64_t value) {
  if (value <= 0)
    throw Error(ErrorCode::invalid_argument,
                std::string(what) + " must be positive; got " + std::to_string(value));
}

}  // namespace

Linear::Linear(std::int64_t in, std::int64_t out, LinearOptions options)
    : Layer(with_extents("Linear", in, out), [=](Graph graph, Value x) {
        const Value w = graph.parameter("weight", {out, in}, options.weight);
        Value b;
        if (options.bias) b = graph.parameter("bias", {out}, options.bias_initializer);
        return linear(x, w, b);
      }) {
  check_positive("Linear: the number of inputs", in);
  check_positive("Linear: the number of outputs", out);
}

Relu::Relu() : Layer("Relu()", [](Graph, Value x) { return relu(x); }) {}
Gelu::Gelu() : Layer("Gelu()", [](Graph, Value x) { return gelu(x); }) {}
Silu::Silu() : Layer("Silu()", [](Graph, Value x) { return silu(x); }) {}
Sigmoid::Sigmoid() : Layer("Sigmoid()", [](Graph, Value x) { return sigmoid(x); }) {}
Tanh::Tanh() : Layer("Tanh()", [](Graph, Value x) { return tanh(x); }) {}

Dropout::Dropout(double drop_p)
    : Layer("Dropout(" + std::to_string(drop_p) + ')',
            [=](Graph, Value x) { return dropout(x, drop_p); }) {
  if (!(drop_p >= 0 && drop_p < 1))
    throw Error(ErrorCode::invalid_argument,
                "Dropout: drop_p is " + std::to_string(drop_p) + "; it lies in [0, 1)");
}

BatchNorm::BatchNorm(std::int64_t features)
    : Layer("BatchNorm(" + std::to_string(features) + ')', [=](Graph, Value x) {
        if (x.shape().rank() < 1 || x.shape()[-1] != features)
          throw Error(ErrorCode::shape, "BatchNorm(" + std::to_string(features) +
                                            "): the input has shape " + to_string(x.shape()));
        return batch_norm(x, "norm");
      }) {
  check_positive("BatchNorm: the number of features", features);
}

Embedding::Embedding(std::int64_t count, std::int64_t width)
    : Layer(with_extents("Embedding", count, width), [=](Graph graph, Value x) {
        return embedding(graph.parameter("weight", {count, width}, normal()), x);
      }) {
  check_positive("Embedding: the number of rows", count);
  check_positive("Embedding: the width", width);
}

Flatten::Flatten()
    : Layer("Flatten()", [](Graph, Value x) {
        const Shape& shape = x.shape();
        const std::int64_t rows = shape[0];
        return reshape(x, {rows, rows ? shape.elements() / rows : 0});
      }) {}

Sequential& Sequential::add(Layer layer) {
  layers_.push_back(std::move(layer));
  return *this;
}

Value Sequential::operator()(Graph graph, Value x) const {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Graph::Scope scope(graph, std::to_string(i));
    try {
      x = layers_[i](graph, x);
    } catch (const Error& error) {
      throw Error(error.code(),
                  "layer " + std::to_string(i) + ' ' + layers_[i].kind() + ": " + error.what());
    }
  }
  return x;
}

std::string to_string(const Sequential& model) {
  std::string text;
  for (std::size_t i = 0; i < model.layers().size(); ++i)
    text += std::to_string(i) + "  " + model.layers()[i].kind() + '\n';
  return text;
}

}  // namespace fornax
