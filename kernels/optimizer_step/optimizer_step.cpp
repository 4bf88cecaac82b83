// Optimizer nodes: sgd and adamw over many tensors, the global norm of gradients and the scale
// that clips it.
#include <fornax/ops/optimizer_step.h>

#include "kernels/numeric/reference_sum.h"
#include "kernels/optimizer_step/rates.h"
#include "kernels/weight_update/weight_update.h"

namespace fornax::kernels {
namespace {

void require_like(const TensorType& type, const TensorType& parameter, const char* what,
                  std::size_t tensor) {
  require(type.dtype == parameter.dtype, ErrorCode::dtype,
          std::string(what) + ' ' + std::to_string(tensor) + " must be " +
              std::string(name(parameter.dtype)) + " as its parameter; got " + to_string(type));
  require(type.shape == parameter.shape, ErrorCode::shape,
          std::string(what) + ' ' + std::to_string(tensor) + " must have the shape " +
              to_string(parameter.shape) + " of its parameter; got " + to_string(type));
}

void require_scalar(const TensorType& type, const char* what) {
  require(is_floating(type.dtype) && type.shape == Shape{}, ErrorCode::shape,
          std::string(what) + " must be a floating-point scalar; got " + to_string(type));
}

void infer_update(std::span<const TensorType> in, const Attributes& attributes,
                  std::vector<TensorType>& out) {
  const auto operands = optimizer_operands(attributes);
  require(in.size() == operands.scale() + 1, ErrorCode::internal,
          "needs " + std::to_string(operands.scale() + 1) + " operands; got " +
              std::to_string(in.size()));
  for (std::size_t i = 0; i < operands.tensors; ++i) {
    require(in[i].dtype == DType::f32 || in[i].dtype == DType::f64, ErrorCode::dtype,
            "parameter " + std::to_string(i) + " must be f32; got " + to_string(in[i]));
    require_like(in[operands.gradient(i)], in[i], "gradient", i);
    for (std::size_t m = 0; m < operands.moments; ++m)
      require_like(in[operands.moment(m, i)], in[i], "moment", i);
    out.push_back(in[i]);
  }
  for (std::size_t m = 0; m < operands.moments; ++m)
    for (std::size_t i = 0; i < operands.tensors; ++i) out.push_back(in[i]);
  if (in.back().present()) require_scalar(in.back(), "scale");
}

void aliases_of_update(const Signature& signature, AliasList& aliases) {
  const auto operands = optimizer_operands(signature.attributes);
  const auto state = [&](std::size_t out, std::size_t in) {
    aliases.push_back({.out = static_cast<int>(out),
                       .in = static_cast<int>(in),
                       .kind = Alias::Kind::updates_state});
  };
  for (std::size_t i = 0; i < operands.tensors; ++i) state(i, i);
  for (std::size_t m = 0; m < operands.moments; ++m)
    for (std::size_t i = 0; i < operands.tensors; ++i)
      state(operands.new_moment(m, i), operands.moment(m, i));
}

template <class T>
void reference_sgd(const KernelArgs& args) {
  const auto operands = optimizer_operands(*args.attributes);
  for (std::size_t i = 0; i < operands.tensors; ++i) {
    const auto rates = sgd_rates_of<T>(args, i);
    const T* g = args.in[operands.gradient(i)].as<T>();
    for (std::int64_t e = 0; e < args.in[i].elements(); ++e) {
      T p = args.in[i].as<T>()[e];
      if (operands.moments == 0) {
        numeric::sgd_update(rates, p, g[e]);
      } else {
        T m = args.in[operands.moment(0, i)].as<T>()[e];
        numeric::sgd_momentum_update(rates, p, g[e], m);
        args.out[operands.new_moment(0, i)].as<T>()[e] = m;
      }
      args.out[i].as<T>()[e] = p;
    }
  }
}

template <class T>
void reference_adamw(const KernelArgs& args) {
  const auto operands = optimizer_operands(*args.attributes);
  for (std::size_t i = 0; i < operands.tensors; ++i) {
    const auto rates = adamw_rates_of<T>(args, i);
    const T* g = args.in[operands.gradient(i)].as<T>();
    for (std::int64_t e = 0; e < args.in[i].elements(); ++e) {
      T p = args.in[i].as<T>()[e], m = args.in[operands.moment(0, i)].as<T>()[e],
        v = args.in[operands.moment(1, i)].as<T>()[e];
      numeric::adamw_update(rates, p, g[e], m, v);
      args.out[i].as<T>()[e] = p;
      args.out[operands.new_moment(0, i)].as<T>()[e] = m;
      args.out[operands.new_moment(1, i)].as<T>()[e] = v;
    }
  }
}

void infer_global_norm(std::span<const TensorType> in, const Attributes&,
                       std::vector<TensorType>& out) {
  require(!in.empty(), ErrorCode::invalid_argument, "needs at least one gradient");
  for (const TensorType& type : in)
    require(type.dtype == in[0].dtype && is_floating(type.dtype), ErrorCode::dtype,
            "gradients must be floating point of one dtype; got " + to_string(type));
  out.emplace_back(in[0].dtype == DType::f64 ? DType::f64 : DType::f32, Shape{});
}

template <class T>
void reference_global_norm(const KernelArgs& args) {
  T total = T(-0.0);
  for (const ConstTensorView& gradient : args.in) {
    const T* g = gradient.as<T>();
    total = total + numeric::reference_sum<T>(gradient.elements(),
                                              [&](std::int64_t i) { return g[i] * g[i]; });
  }
  *args.out[0].as<T>() = numeric::sqrt(total);
}

void infer_clip_scale(std::span<const TensorType> in, const Attributes& attributes,
                      std::vector<TensorType>& out) {
  require_scalar(in[0], "norm");
  if (in[1].present()) require_scalar(in[1], "scale");
  require(attributes.number("max_norm") > 0, ErrorCode::invalid_argument,
          "max_norm must be positive; got " + std::to_string(attributes.number("max_norm")));
  out.assign(2, in[0]);
}

/// in: norm of the gradients, scale (may be absent); out: the scale that clips, the scaled norm.
template <class T>
void reference_clip_scale(const KernelArgs& args) {
  const T scale = scale_of<T>(args), norm = *args.in[0].as<T>() * scale;
  const T ratio =
      static_cast<T>(args.attributes->number("max_norm")) / (norm + static_cast<T>(1e-6));
  *args.out[0].as<T>() = scale * numeric::min(T(1), ratio);
  *args.out[1].as<T>() = norm;
}

Cost cost_per_element(const Signature& signature, double flops) {
  Cost cost = streaming_cost(signature, 0);
  for (const TensorType& type : signature.out)
    cost.flops += flops * static_cast<double>(type.shape.elements());
  return cost;
}
Cost cost_of_sgd(const Signature& signature) { return cost_per_element(signature, 4); }
Cost cost_of_adamw(const Signature& signature) { return cost_per_element(signature, 5); }
Cost cost_of_global_norm(const Signature& signature) {
  Cost cost = streaming_cost(signature, 0);
  for (const TensorType& type : signature.in)
    cost.flops += 2 * static_cast<double>(type.shape.elements());
  return cost;
}
Cost cost_of_clip_scale(const Signature& signature) { return streaming_cost(signature, 5); }

const OpDefinition kOps[] = {
    {.name = "sgd",
     .infer = infer_update,
     .reference_f32 = reference_sgd<float>,
     .reference_f64 = reference_sgd<double>,
     .cost = cost_of_sgd,
     .aliases = aliases_of_update,
     .fusions = weight_update_fusions(),
     .recompute = Recompute::never,
     .uses_step = true},
    {.name = "adamw",
     .infer = infer_update,
     .reference_f32 = reference_adamw<float>,
     .reference_f64 = reference_adamw<double>,
     .cost = cost_of_adamw,
     .aliases = aliases_of_update,
     .fusions = weight_update_fusions(),
     .recompute = Recompute::never,
     .uses_step = true},
    {.name = "global_norm",
     .infer = infer_global_norm,
     .reference_f32 = reference_global_norm<float>,
     .reference_f64 = reference_global_norm<double>,
     .cost = cost_of_global_norm,
     .recompute = Recompute::never},
    {.name = "clip_scale",
     .infer = infer_clip_scale,
     .reference_f32 = reference_clip_scale<float>,
     .reference_f64 = reference_clip_scale<double>,
     .cost = cost_of_clip_scale},
};

}  // namespace

std::span<const OpDefinition> optimizer_step_ops() { return kOps; }

}  // namespace fornax::kernels
