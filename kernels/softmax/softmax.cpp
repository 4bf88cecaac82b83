// softmax and log_softmax over the last axis, after subtracting the row's maximum (Blanchard,
// Higham and Higham 2021), and their gradients from the saved result.
#include <fornax/ops/softmax.h>

#include "kernels/numeric/counted.h"
#include "kernels/numeric/reference_sum.h"
#include "kernels/rules.h"
#include "kernels/softmax/softmax_row.h"

namespace fornax {

namespace {

Value add_softmax(std::string_view op, Value x, int axis) {
  kernels::require(axis == -1 || axis == x.shape().rank() - 1, ErrorCode::unsupported,
                   std::string(op) + ": works along the last axis; got axis " +
                       std::to_string(axis) + " of " + to_string(x.shape()) +
                       "; transpose() it to the end");
  return x.graph().add(op, {x})[0];
}

}  // namespace

Value softmax(Value x, int axis) { return add_softmax("softmax", x, axis); }
Value log_softmax(Value x, int axis) { return add_softmax("log_softmax", x, axis); }

namespace kernels {
namespace {

void infer_softmax(std::span<const TensorType> in, const Attributes&,
                   std::vector<TensorType>& out) {
  require_operands(in, 1, 1);
  require_floating(in);
  require(in[0].shape.rank() >= 1 && in[0].shape[-1] >= 1, ErrorCode::shape,
          "needs a last axis of at least one element; got " + to_string(in[0]));
  out.push_back(in[0]);
}

void infer_gradient(std::span<const TensorType> in, const Attributes&,
                    std::vector<TensorType>& out) {
  require_operands(in, 2, 2);
  require_floating(in);
  require(in[0].shape == in[1].shape, ErrorCode::shape,
          "dy and y must have one shape; got " + to_string(in[0]) + " and " + to_string(in[1]));
  out.push_back(in[1]);
}

/// Calls body(row number of classes, first element) for every row.
template <class Body>
void for_rows(const ConstTensorView& x, const Body& body) {
  const std::int64_t width = x.shape()[-1];
  for (std::int64_t first = 0; first < x.elements(); first += width) body(first, width);
}

template <class T>
T row_maximum(const T* x, std::int64_t width) {
  T largest = x[0];
  for (std::int64_t i = 1; i < width; ++i) largest = numeric::max(largest, x[i]);
  return largest;
}

template <class T>
void reference_softmax(const KernelArgs& args) {
  for_rows(args.in[0], [&](std::int64_t first, std::int64_t width) {
    const T* x = args.in[0].as<T>() + first;
    T* y = args.out[0].as<T>() + first;
    const T largest = row_maximum(x, width);
    const T sum = numeric::reference_sum<T>(
        width, [&](std::int64_t i) { return y[i] = numeric::exp(x[i] - largest); });
    const T inverse = T(1) / sum;
    for (std::int64_t i = 0; i < width; ++i) y[i] = y[i] * inverse;
  });
}

template <class T>
void reference_log_softmax(const KernelArgs& args) {
  for_rows(args.in[0], [&](std::int64_t first, std::int64_t width) {
    const T* x = args.in[0].as<T>() + first;
    T* y = args.out[0].as<T>() + first;
    const T largest = row_maximum(x, width);
    const T log_sum = numeric::log(numeric::reference_sum<T>(width, [&](std::int64_t i) {
      y[i] = x[i] - largest;
      return numeric::exp(y[i]);
    }));
    for (std::int64_t i = 0; i < width; ++i) y[i] = y[i] - log_sum;
  });
}

/// in: dy, y; out: dx.
template <class T>
void reference_softmax_gradient(const KernelArgs& args) {
  for_rows(args.in[0], [&](std::int64_t first, std::int64_t width) {
    const T *dy = args.in[0].as<T>() + first, *y = args.in[1].as<T>() + first;
    const T dot = numeric::reference_sum<T>(width, [&](std::int64_t i) { return dy[i] * y[i]; });
    for (std::int64_t i = 0; i < width; ++i)
      args.out[0].as<T>()[first + i] = numeric::softmax_gradient(dy[i], y[i], dot);
  });
}

template <class T>
void reference_log_softmax_gradient(const KernelArgs& args) {
  for_rows(args.in[0], [&](std::int64_t first, std::int64_t width) {
    const T *dy = args.in[0].as<T>() + first, *y = args.in[1].as<T>() + first;
    const T sum = numeric::reference_sum<T>(width, [&](std::int64_t i) { return dy[i]; });
    for (std::int64_t i = 0; i < width; ++i)
      args.out[0].as<T>()[first + i] = numeric::log_softmax_gradient(dy[i], y[i], sum);
  });
}

void gradient_of_softmax(GradientRule& rule) {
  rule.d_in[0] = rule.graph.add("softmax_gradient", {rule.d_out[0], rule.out[0]})[0];
}
void gradient_of_log_softmax(GradientRule& rule) {
  rule.d_in[0] = rule.graph.add("log_softmax_gradient", {rule.d_out[0], rule.out[0]})[0];
}

using numeric::Counted;
/// Besides e^(x - largest): the maximum, the sum, and the scale or the logarithm of the sum.
Cost cost_of_softmax(const Signature& signature) {
  return streaming_cost(signature,
                        numeric::arithmetic_of([](Counted x, Counted largest, Counted sum) {
                          return (sum + numeric::exp_below(x - max(largest, x))) * x;
                        }));
}
Cost cost_of_gradient(const Signature& signature) {
  return streaming_cost(signature, numeric::arithmetic_of([](Counted dy, Counted y, Counted dot) {
                          return numeric::softmax_gradient(dy, y, dot + dy * y);
                        }));
}
Cost cost_of_log_gradient(const Signature& signature) {
  return streaming_cost(signature, numeric::arithmetic_of([](Counted dy, Counted y, Counted sum) {
                          return numeric::log_softmax_gradient(dy, y, sum + dy);
                        }));
}

void aliases_of_softmax(const Signature&, AliasList& aliases) {
  aliases.push_back({.out = 0, .in = 0, .kind = Alias::Kind::may_overwrite});
}
void aliases_of_gradient(const Signature&, AliasList& aliases) {
  aliases.push_back({.out = 0, .in = 0, .kind = Alias::Kind::may_overwrite});
  aliases.push_back({.out = 0, .in = 1, .kind = Alias::Kind::may_overwrite});
}

const OpDefinition kOps[] = {
    {.name = "softmax",
     .infer = infer_softmax,
     .gradient = gradient_of_softmax,
     .reference_f32 = reference_softmax<float>,
     .reference_f64 = reference_softmax<double>,
     .cost = cost_of_softmax,
     .aliases = aliases_of_softmax,
     .recompute = Recompute::cheap},
    {.name = "log_softmax",
     .infer = infer_softmax,
     .gradient = gradient_of_log_softmax,
     .reference_f32 = reference_log_softmax<float>,
     .reference_f64 = reference_log_softmax<double>,
     .cost = cost_of_softmax,
     .aliases = aliases_of_softmax,
     .recompute = Recompute::cheap},
    {.name = "softmax_gradient",
     .infer = infer_gradient,
     .reference_f32 = reference_softmax_gradient<float>,
     .reference_f64 = reference_softmax_gradient<double>,
     .cost = cost_of_gradient,
     .aliases = aliases_of_gradient,
     .recompute = Recompute::cheap},
    {.name = "log_softmax_gradient",
     .infer = infer_gradient,
     .reference_f32 = reference_log_softmax_gradient<float>,
     .reference_f64 = reference_log_softmax_gradient<double>,
     .cost = cost_of_log_gradient,
     .aliases = aliases_of_gradient,
     .recompute = Recompute::cheap},
};

}  // namespace

std::span<const OpDefinition> softmax_ops() { return kOps; }

}  // namespace kernels
}  // namespace fornax
