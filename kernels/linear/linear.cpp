// The fully connected layer y = x w^T + b and its gradients. Formula and numerics:
// fornax/ops/linear.h. Fused forms apply the activation, its gradient and the column sums of the
// same values, so they give the bits of the separate ops in f32.
#include <fornax/ops/linear.h>

#include <algorithm>

#include "kernels/activation/activation_functions.h"
#include "kernels/linear/linear_shape.h"
#include "kernels/reduction/column_sum.h"

namespace fornax {

Value linear(Value x, Value w, Value b) {
  kernels::require(static_cast<bool>(x), ErrorCode::invalid_argument, "linear: x is absent");
  return x.graph().add("linear", {x, w, b})[0];
}

}  // namespace fornax

namespace fornax::kernels {
namespace {

void require_matrix(const TensorType& w) {
  require(w.shape.rank() == 2, ErrorCode::shape, "w must be [N, K], got " + to_string(w.shape));
}

/// (x, w, b?) -> y and, with save=1, the value before the activation.
void infer_linear(std::span<const TensorType> in, const Attributes& attributes,
                  std::vector<TensorType>& out) {
  require_operands(in, 2, 3);
  require_floating(in);
  require_matrix(in[1]);
  const Shape &x = in[0].shape, &w = in[1].shape;
  require(x.rank() >= 1 && x[-1] == w[1], ErrorCode::shape,
          "x " + to_string(x) + " must end with K of w [N, K] = " + to_string(w));
  if (present(in, 2))
    require(in[2].shape == Shape{w[0]}, ErrorCode::shape,
            "b " + to_string(in[2].shape) + " must be [N] = [" + std::to_string(w[0]) + "]");
  linear_activation(attributes);
  out.emplace_back(in[0].dtype, with_last(x, w[0]));
  if (integer_or(attributes, "save", 0)) out.push_back(out[0]);
}

/// (dy, w, saved?) -> dx and, with column_sum=1, its sums over rows.
void infer_dgrad(std::span<const TensorType> in, const Attributes& attributes,
                 std::vector<TensorType>& out) {
  require_operands(in, 2, 3);
  require_floating(in);
  require_matrix(in[1]);
  const Shape &dy = in[0].shape, &w = in[1].shape;
  require(dy.rank() >= 1 && dy[-1] == w[0], ErrorCode::shape,
          "dy " + to_string(dy) + " must end with N of w [N, K] = " + to_string(w));
  const Shape dx = with_last(dy, w[1]);
  const bool saved = present(in, 2);
  require(saved == (linear_activation(attributes) != Activation::none), ErrorCode::invalid_argument,
          "an activation and its saved value come together");
  require(!saved || in[2].shape == dx, ErrorCode::shape,
          "the saved value must be " + to_string(dx));
  out.emplace_back(in[0].dtype, dx);
  if (integer_or(attributes, "column_sum", 0)) out.emplace_back(in[0].dtype, Shape{w[1]});
}

/// (dy, x) -> dw.
void infer_wgrad(std::span<const TensorType> in, const Attributes&, std::vector<TensorType>& out) {
  require_operands(in, 2, 2);
  require_floating(in);
  const Shape &dy = in[0].shape, &x = in[1].shape;
  require(dy.rank() >= 1 && x.rank() >= 1 && with_last(dy, 1) == with_last(x, 1), ErrorCode::shape,
          "dy " + to_string(dy) + " and x " + to_string(x) + " must differ in the last axis only");
  out.emplace_back(in[0].dtype, Shape{dy[-1], x[-1]});
}

template <class T>
void reference_linear(const KernelArgs& args) {
  const auto [M, N, K] = linear_shape(args.in[0].shape(), args.in[1].shape());
  const Activation kind = linear_activation(*args.attributes);
  const T *x = args.in[0].as<T>(), *w = args.in[1].as<T>();
  const T* b = args.in.size() > 2 ? args.in[2].as<T>() : nullptr;
  T* y = args.out[0].as<T>();
  T* z = args.out.size() > 1 ? args.out[1].as<T>() : nullptr;
  for (std::int64_t m = 0; m < M; ++m)
    for (std::int64_t n = 0; n < N; ++n) {
      T sum = 0;
      for (std::int64_t k = 0; k < K; ++k) sum = std::fma(x[m * K + k], w[n * K + k], sum);
      if (b) sum = sum + b[n];
      if (z) z[m * N + n] = sum;
      y[m * N + n] = numeric::activate(kind, sum);
    }
}

template <class T>
void reference_dgrad(const KernelArgs& args) {
  const auto [M, N, K] = linear_shape(args.in[0].shape(), args.in[1].shape());
  const Activation kind = linear_activation(*args.attributes);
  const T *dy = args.in[0].as<T>(), *w = args.in[1].as<T>();
  const T* saved = kind == Activation::none ? nullptr : args.in[2].as<T>();
  T* dx = args.out[0].as<T>();
  for (std::int64_t m = 0; m < M; ++m)
    for (std::int64_t k = 0; k < K; ++k) {
      T sum = 0;
      for (std::int64_t n = 0; n < N; ++n) sum = std::fma(dy[m * N + n], w[n * K + k], sum);
      const std::int64_t at = m * K + k;
      dx[at] = saved ? numeric::activation_gradient(kind, sum, saved[at]) : sum;
    }
  if (args.out.size() > 1 && args.out[1].present())
    for (std::int64_t k = 0; k < K; ++k) args.out[1].as<T>()[k] = column_sum_of(dx + k, M, K);
}

template <class T>
void reference_wgrad(const KernelArgs& args) {
  const auto [M, N, K] = linear_wgrad_shape(args.in[0].shape(), args.in[1].shape());
  const T *dy = args.in[0].as<T>(), *x = args.in[1].as<T>();
  T* dw = args.out[0].as<T>();
  for (std::int64_t n = 0; n < N; ++n)
    for (std::int64_t k = 0; k < K; ++k) {
      T total = 0;
      for (std::int64_t first = 0; first < M; first += kWeightGradientChunk) {
        T sum = 0;
        for (std::int64_t m = first; m < std::min(M, first + kWeightGradientChunk); ++m)
          sum = std::fma(dy[m * N + n], x[m * K + k], sum);
        total = first == 0 ? sum : total + sum;
      }
      dw[n * K + k] = total;
    }
}

void gradient_of_linear(GradientRule& rule) {
  require(linear_activation(rule.attributes) == Activation::none, ErrorCode::unsupported,
          "linear: gradients are taken before activations are fused");
  const Value dy = rule.d_out[0];
  if (rule.needed[0]) rule.d_in[0] = rule.graph.add("linear_dgrad", {dy, rule.in[1]})[0];
  if (rule.needed[1]) rule.d_in[1] = rule.graph.add("linear_wgrad", {dy, rule.in[0]})[0];
  if (rule.needed.size() > 2 && rule.needed[2])
    rule.d_in[2] = rule.graph.add("column_sum", {dy}, {{"kept", std::int64_t{1}}})[0];
}

Cost linear_cost(const Signature& signature) {
  const auto [M, N, K] = linear_shape(signature.in[0].shape, signature.in[1].shape);
  Cost cost = streaming_cost(signature, 0);
  cost.flops = 2.0 * static_cast<double>(M) * static_cast<double>(N) * static_cast<double>(K);
  return cost;
}
Cost wgrad_cost(const Signature& signature) {
  const auto [M, N, K] = linear_wgrad_shape(signature.in[0].shape, signature.in[1].shape);
  Cost cost = streaming_cost(signature, 0);
  cost.flops = 2.0 * static_cast<double>(M) * static_cast<double>(N) * static_cast<double>(K);
  return cost;
}

/// dx of a layer and the activation gradient of the layer below.
bool merge_dgrad_activation(const Match& match, Merged& merged) {
  const NodeView &dgrad = match.producer, &gradient = match.consumer;
  if (match.consumer_input != 0 || match.other_uses > 0) return false;
  if (linear_activation(dgrad.attributes) != Activation::none || dgrad.out.size() > 1) return false;
  merged.op = "linear_dgrad";
  merged.in = {dgrad.in[0], dgrad.in[1], gradient.in[1]};
  merged.out = {gradient.out[0]};
  merged.attributes = dgrad.attributes;
  merged.attributes.set("activation", gradient.attributes.text("kind"));
  return true;
}

/// dx and its sums over rows: the bias gradient of the layer below.
bool merge_dgrad_column_sum(const Match& match, Merged& merged) {
  const NodeView &dgrad = match.producer, &sums = match.consumer;
  if (match.producer_output != 0 || dgrad.out.size() > 1) return false;
  if (sums.attributes.integer("kept") != 1) return false;
  merged.op = "linear_dgrad";
  merged.in.assign(dgrad.in.begin(), dgrad.in.end());
  merged.out = {dgrad.out[0], sums.out[0]};
  merged.attributes = dgrad.attributes;
  merged.attributes.set("column_sum", std::int64_t{1});
  return true;
}

/// The value before the activation stays an output while somebody else reads it.
bool merge_linear_activation(const Match& match, Merged& merged) {
  const NodeView &layer = match.producer, &function = match.consumer;
  if (linear_activation(layer.attributes) != Activation::none || layer.out.size() > 1) return false;
  merged.op = "linear";
  merged.in.assign(layer.in.begin(), layer.in.end());
  merged.out = {function.out[0]};
  merged.attributes = layer.attributes;
  merged.attributes.set("activation", function.attributes.text("kind"));
  if (match.other_uses == 0) return true;
  merged.out.push_back(layer.out[0]);
  merged.attributes.set("save", std::int64_t{1});
  return true;
}

const OpDefinition kOps[] = {
    {.name = "linear",
     .infer = infer_linear,
     .gradient = gradient_of_linear,
     .reference_f32 = reference_linear<float>,
     .reference_f64 = reference_linear<double>,
     .cost = linear_cost},
    {.name = "linear_dgrad",
     .infer = infer_dgrad,
     .reference_f32 = reference_dgrad<float>,
     .reference_f64 = reference_dgrad<double>,
     .cost = linear_cost},
    {.name = "linear_wgrad",
     .infer = infer_wgrad,
     .reference_f32 = reference_wgrad<float>,
     .reference_f64 = reference_wgrad<double>,
     .cost = wgrad_cost,
     .weight_gradient = true},
};

}  // namespace

std::span<const OpDefinition> linear_ops() { return kOps; }
std::span<const Fusion> linear_activation_fusions() {
  static constexpr Fusion kFusions[] = {{"linear", "activation", merge_linear_activation}};
  return kFusions;
}
std::span<const Fusion> dgrad_activation_fusions() {
  static constexpr Fusion kFusions[] = {
      {"linear_dgrad", "activation_grad", merge_dgrad_activation}};
  return kFusions;
}
std::span<const Fusion> dgrad_column_sum_fusions() {
  static constexpr Fusion kFusions[] = {{"linear_dgrad", "column_sum", merge_dgrad_column_sum}};
  return kFusions;
}

}  // namespace fornax::kernels
