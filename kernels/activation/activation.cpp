// Activation functions: y = f(x), elementwise. Formulas and sources: fornax/ops/activation.h.
#include <fornax/ops/activation.h>

#include "kernels/activation/activation_functions.h"
#include "kernels/linear/linear_fusions.h"
#include "kernels/numeric/counted.h"
#include "kernels/rules.h"

namespace fornax {

Value activation(Value x, std::string_view kind) {
  if (kernels::activation_kind(kind) == kernels::Activation::none) return x;
  return x.graph().add("activation", {x}, {{"kind", std::string(kind)}})[0];
}
Value relu(Value x) { return activation(x, "relu"); }
Value gelu(Value x) { return activation(x, "gelu"); }
Value gelu_tanh(Value x) { return activation(x, "gelu_tanh"); }
Value silu(Value x) { return activation(x, "silu"); }
Value sigmoid(Value x) { return activation(x, "sigmoid"); }
Value tanh(Value x) { return activation(x, "tanh"); }

}  // namespace fornax

namespace fornax::kernels {
namespace {

void infer_activation(std::span<const TensorType> in, const Attributes& attributes,
                      std::vector<TensorType>& out) {
  require_operands(in, 1, 1);
  require_floating(in);
  activation_kind(attributes.text("kind"));
  out.emplace_back(in[0].dtype, in[0].shape);
}

/// (dy, saved) -> dx; saved is y or x, see gradient_takes_output.
void infer_activation_grad(std::span<const TensorType> in, const Attributes& attributes,
                           std::vector<TensorType>& out) {
  require_operands(in, 2, 2);
  require_floating(in);
  activation_kind(attributes.text("kind"));
  require(in[0].shape == in[1].shape, ErrorCode::shape,
          "dy " + to_string(in[0].shape) + " and the saved value " + to_string(in[1].shape) +
              " must have one shape");
  out.emplace_back(in[0].dtype, in[0].shape);
}

template <class T>
void reference_activation(const KernelArgs& args) {
  const Activation kind = activation_kind(args.attributes->text("kind"));
  const T* x = args.in[0].as<T>();
  T* y = args.out[0].as<T>();
  for (std::int64_t i = 0; i < args.out[0].elements(); ++i) y[i] = numeric::activate(kind, x[i]);
}

template <class T>
void reference_activation_grad(const KernelArgs& args) {
  const Activation kind = activation_kind(args.attributes->text("kind"));
  const T* dy = args.in[0].as<T>();
  const T* saved = args.in[1].as<T>();
  T* dx = args.out[0].as<T>();
  for (std::int64_t i = 0; i < args.out[0].elements(); ++i)
    dx[i] = numeric::activation_gradient(kind, dy[i], saved[i]);
}

void gradient_of_activation(GradientRule& rule) {
  const Activation kind = activation_kind(rule.attributes.text("kind"));
  const Value saved = gradient_takes_output(kind) ? rule.out[0] : rule.in[0];
  rule.d_in[0] = rule.graph.add("activation_grad", {rule.d_out[0], saved}, rule.attributes)[0];
}

Cost activation_cost(const Signature& signature) {
  const Activation kind = activation_kind(signature.attributes.text("kind"));
  return streaming_cost(signature, numeric::arithmetic_of([kind](numeric::Counted x) {
                          return numeric::activate(kind, x);
                        }));
}
Cost gradient_cost(const Signature& signature) {
  const Activation kind = activation_kind(signature.attributes.text("kind"));
  return streaming_cost(signature,
                        numeric::arithmetic_of([kind](numeric::Counted dy, numeric::Counted saved) {
                          return numeric::activation_gradient(kind, dy, saved);
                        }));
}

void overwrites_first(const Signature&, AliasList& aliases) {
  aliases.push_back({0, 0, Alias::Kind::may_overwrite, 0});
}

const OpDefinition kOps[] = {
    {.name = "activation",
     .infer = infer_activation,
     .gradient = gradient_of_activation,
     .reference_f32 = reference_activation<float>,
     .reference_f64 = reference_activation<double>,
     .cost = activation_cost,
     .aliases = overwrites_first,
     .fusions = linear_activation_fusions(),
     .recompute = Recompute::cheap},
    {.name = "activation_grad",
     .infer = infer_activation_grad,
     .reference_f32 = reference_activation_grad<float>,
     .reference_f64 = reference_activation_grad<double>,
     .cost = gradient_cost,
     .aliases = overwrites_first,
     .fusions = dgrad_activation_fusions(),
     .recompute = Recompute::cheap},
};

}  // namespace

std::span<const OpDefinition> activation_ops() { return kOps; }

}  // namespace fornax::kernels
