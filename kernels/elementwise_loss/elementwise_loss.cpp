// mean_squared_error and binary_cross_entropy: an ordered sum of one loss per element, divided by
// their number; and the gradients.
#include <fornax/ops/elementwise_loss.h>

#include "kernels/elementwise_loss/loss_element.h"
#include "kernels/numeric/counted.h"
#include "kernels/numeric/reference_sum.h"
#include "kernels/rules.h"

namespace fornax {

Value mean_squared_error(Value prediction, Value target) {
  return prediction.graph().add("mean_squared_error", {prediction, target})[0];
}
Value binary_cross_entropy(Value logits, Value target) {
  return logits.graph().add("binary_cross_entropy", {logits, target})[0];
}

namespace kernels {
namespace {

void require_pair(std::span<const TensorType> in) {
  require_floating(in);
  require(in[0].shape == in[1].shape, ErrorCode::shape,
          "prediction and target must have one shape; got " + to_string(in[0]) + " and " +
              to_string(in[1]));
}

void infer_loss(std::span<const TensorType> in, const Attributes&, std::vector<TensorType>& out) {
  require_operands(in, 2, 2);
  require_pair(in);
  out.emplace_back(in[0].dtype, Shape{});
}
void infer_gradient(std::span<const TensorType> in, const Attributes&,
                    std::vector<TensorType>& out) {
  require_operands(in, 3, 3);
  require_pair(in.subspan(1));
  out.push_back(in[1]);
}

template <class T, T (*loss)(T, T)>
void reference_loss(const KernelArgs& args) {
  const T *x = args.in[0].as<T>(), *target = args.in[1].as<T>();
  const std::int64_t count = args.in[0].elements();
  const T total =
      numeric::reference_sum<T>(count, [&](std::int64_t i) { return loss(x[i], target[i]); });
  *args.out[0].as<T>() = count == 0 ? T(0) : total / static_cast<T>(count);
}

/// in: d_loss, prediction, target; out: d_prediction.
template <class T, T (*gradient)(T, T, T), int factor>
void reference_gradient(const KernelArgs& args) {
  const T *x = args.in[1].as<T>(), *target = args.in[2].as<T>();
  const std::int64_t count = args.in[1].elements();
  const T weight = T(factor) * *args.in[0].as<T>() / static_cast<T>(count);
  for (std::int64_t i = 0; i < count; ++i)
    args.out[0].as<T>()[i] = gradient(x[i], target[i], weight);
}

void gradient_of_squared_error(GradientRule& rule) {
  const auto d = [&](const Value& of, const Value& other) {
    return rule.graph.add("mean_squared_error_gradient", {rule.d_out[0], of, other})[0];
  };
  if (rule.needed[0]) rule.d_in[0] = d(rule.in[0], rule.in[1]);
  if (rule.needed[1]) rule.d_in[1] = d(rule.in[1], rule.in[0]);
}
void gradient_of_logistic(GradientRule& rule) {
  require(!rule.needed[1], ErrorCode::unsupported,
          "binary_cross_entropy: the target has no gradient");
  if (rule.needed[0])
    rule.d_in[0] =
        rule.graph.add("binary_cross_entropy_gradient", {rule.d_out[0], rule.in[0], rule.in[1]})[0];
}

using numeric::Counted;
/// `function` of each element of input `of`.
template <class Function>
Cost cost_per_element(const Signature& signature, std::size_t of, const Function& function) {
  Cost cost = streaming_cost(signature, 0);
  cost.add(numeric::arithmetic_of(function), signature.in[of].shape.elements());
  return cost;
}
Cost cost_of_squared_error(const Signature& s) {
  return cost_per_element(s, 0, [](Counted x, Counted target, Counted sum) {
    return sum + numeric::squared_error(x, target);
  });
}
Cost cost_of_logistic(const Signature& s) {
  return cost_per_element(s, 0, [](Counted x, Counted target, Counted sum) {
    return sum + numeric::logistic_loss(x, target);
  });
}
Cost cost_of_squared_gradient(const Signature& s) {
  return cost_per_element(s, 1, [](Counted x, Counted target, Counted weight) {
    return numeric::squared_error_gradient(x, target, weight);
  });
}
Cost cost_of_logistic_gradient(const Signature& s) {
  return cost_per_element(s, 1, [](Counted x, Counted target, Counted weight) {
    return numeric::logistic_loss_gradient(x, target, weight);
  });
}

void aliases_of_gradient(const Signature&, AliasList& aliases) {
  aliases.push_back({.out = 0, .in = 1, .kind = Alias::Kind::may_overwrite});
  aliases.push_back({.out = 0, .in = 2, .kind = Alias::Kind::may_overwrite});
}

const OpDefinition kOps[] = {
    {.name = "mean_squared_error",
     .infer = infer_loss,
     .gradient = gradient_of_squared_error,
     .reference_f32 = reference_loss<float, numeric::squared_error>,
     .reference_f64 = reference_loss<double, numeric::squared_error>,
     .cost = cost_of_squared_error,
     .recompute = Recompute::never},
    {.name = "binary_cross_entropy",
     .infer = infer_loss,
     .gradient = gradient_of_logistic,
     .reference_f32 = reference_loss<float, numeric::logistic_loss>,
     .reference_f64 = reference_loss<double, numeric::logistic_loss>,
     .cost = cost_of_logistic,
     .recompute = Recompute::never},
    {.name = "mean_squared_error_gradient",
     .infer = infer_gradient,
     .reference_f32 = reference_gradient<float, numeric::squared_error_gradient, 2>,
     .reference_f64 = reference_gradient<double, numeric::squared_error_gradient, 2>,
     .cost = cost_of_squared_gradient,
     .aliases = aliases_of_gradient},
    {.name = "binary_cross_entropy_gradient",
     .infer = infer_gradient,
     .reference_f32 = reference_gradient<float, numeric::logistic_loss_gradient, 1>,
     .reference_f64 = reference_gradient<double, numeric::logistic_loss_gradient, 1>,
     .cost = cost_of_logistic_gradient,
     .aliases = aliases_of_gradient},
};

}  // namespace

std::span<const OpDefinition> elementwise_loss_ops() { return kOps; }

}  // namespace kernels
}  // namespace fornax
