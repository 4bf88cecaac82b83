// Elementwise arithmetic with broadcasting. Rules: fornax/ops/pointwise.h.
#include <fornax/ops/layout.h>
#include <fornax/ops/pointwise.h>
#include <fornax/ops/reduction.h>

#include <algorithm>
#include <utility>

#include "kernels/numeric/counted.h"
#include "kernels/pointwise/cast.h"
#include "kernels/pointwise/pointwise_walk.h"
#include "kernels/rules.h"

namespace fornax {

namespace {

Value binary(std::string_view op, Value a, Value b) {
  kernels::require(a && b, ErrorCode::invalid_argument, std::string(op) + ": operand is absent");
  return a.graph().add(op, {a, b})[0];
}
Value with_scalar(std::string_view op, Value a, double b) {
  return a.graph().add(op, {a, Value()}, {{"scalar", b}})[0];
}
Value with_scalar(std::string_view op, double a, Value b) {
  return b.graph().add(op, {Value(), b}, {{"scalar", a}})[0];
}
Value unary(std::string_view op, Value x) { return x.graph().add(op, {x})[0]; }

}  // namespace

Value add(Value a, Value b) { return binary("add", a, b); }
Value subtract(Value a, Value b) { return binary("subtract", a, b); }
Value multiply(Value a, Value b) { return binary("multiply", a, b); }
Value divide(Value a, Value b) { return binary("divide", a, b); }
Value maximum(Value a, Value b) { return binary("maximum", a, b); }
Value minimum(Value a, Value b) { return binary("minimum", a, b); }
Value add(Value a, double b) { return with_scalar("add", a, b); }
Value subtract(Value a, double b) { return with_scalar("subtract", a, b); }
Value subtract(double a, Value b) { return with_scalar("subtract", a, b); }
Value multiply(Value a, double b) { return with_scalar("multiply", a, b); }
Value divide(Value a, double b) { return with_scalar("divide", a, b); }
Value divide(double a, Value b) { return with_scalar("divide", a, b); }
Value maximum(Value a, double b) { return with_scalar("maximum", a, b); }
Value minimum(Value a, double b) { return with_scalar("minimum", a, b); }
Value negate(Value x) { return unary("negate", x); }
Value exp(Value x) { return unary("exp", x); }
Value log(Value x) { return unary("log", x); }
Value sqrt(Value x) { return unary("sqrt", x); }
Value square(Value x) { return unary("square", x); }

Value cast(Value x, DType dtype) {
  if (x.dtype() == dtype) return x;
  return x.graph().add("cast", {x}, {{"dtype", std::string(name(dtype))}})[0];
}

}  // namespace fornax

namespace fornax::kernels {
namespace {

/// numpy's rule, over the operands that are present.
Shape broadcast_shape(std::span<const TensorType> in) {
  std::vector<std::int64_t> extents;
  for (const TensorType& type : in) {
    if (!type.present()) continue;
    const auto rank = static_cast<std::size_t>(type.shape.rank());
    if (rank > extents.size()) extents.insert(extents.begin(), rank - extents.size(), 1);
    for (std::size_t i = 0; i < rank; ++i) {
      std::int64_t& extent = extents[extents.size() - rank + i];
      const std::int64_t own = type.shape.begin()[i];
      require(own == extent || own == 1 || extent == 1, ErrorCode::shape,
              "the shapes do not broadcast: extents " + std::to_string(extent) + " and " +
                  std::to_string(own) + " meet");
      if (extent == 1) extent = own;
    }
  }
  return Shape(extents);
}

template <Pointwise function>
void infer_pointwise(std::span<const TensorType> in, const Attributes& attributes,
                     std::vector<TensorType>& out) {
  constexpr auto operands = static_cast<std::size_t>(operand_count(function));
  require(in.size() == operands, ErrorCode::invalid_argument,
          "takes " + std::to_string(operands) + " operands, got " + std::to_string(in.size()));
  require_floating(in);
  const auto absent = std::count_if(in.begin(), in.end(), [](auto& t) { return !t.present(); });
  require(absent == (attributes.has("scalar") ? 1 : 0), ErrorCode::invalid_argument,
          "an operand is absent; a number may stand for one, as attribute scalar");
  const auto& any = in[0].present() ? in[0] : in[1];
  out.emplace_back(any.dtype, broadcast_shape(in));
}

template <Pointwise function, class T>
void reference_pointwise(const KernelArgs& args) {
  const PointwiseWalk walk = pointwise_walk(args);
  const T scalar = static_cast<T>(walk.scalar);
  T* y = args.out[0].as<T>();
  if (args.out[0].elements() == 0) return;
  for (std::int64_t row = 0; row < walk.axes.rows(); ++row) {
    std::int64_t offset[3];
    walk.axes.row_offsets(row, offset);
    for (std::int64_t i = 0; i < walk.axes.row_elements(); ++i) {
      T value[3] = {};
      for (int k = 0; k < operand_count(function); ++k) {
        const T* from =
            k == walk.scalar_operand ? nullptr : args.in[static_cast<std::size_t>(k)].as<T>();
        value[k] = from ? from[offset[k] + i * walk.last_stride(k)] : scalar;
      }
      *y++ = numeric::pointwise(function, value[0], value[1], value[2]);
    }
  }
}

void set(GradientRule& rule, std::size_t i, auto make) {
  if (rule.needed[i]) rule.d_in[i] = sum_to(make(), rule.in[i].shape());
}
Value zero_where(GradientRule& rule, std::string_view gate) {
  const Value a = rule.in[0], b = rule.in[1];
  Attributes attributes;
  if (rule.attributes.has("scalar")) attributes = rule.attributes;
  return rule.graph.add(gate, {rule.d_out[0], a, b}, attributes)[0];
}

/// a op number or number op a: the operand that is there, with the number.
Value times(Value d, const GradientRule& rule, std::size_t other) {
  if (rule.in[other]) return multiply(d, rule.in[other]);
  return multiply(d, rule.attributes.number("scalar"));
}
Value over_second(Value d, const GradientRule& rule) {
  if (rule.in[1]) return divide(d, rule.in[1]);
  return divide(d, rule.attributes.number("scalar"));
}

template <Pointwise function>
void gradient_of(GradientRule& rule) {
  using P = Pointwise;
  const Value d = rule.d_out[0];
  if constexpr (function == P::add || function == P::subtract) {
    set(rule, 0, [&] { return d; });
    set(rule, 1, [&] { return function == P::add ? d : negate(d); });
  } else if constexpr (function == P::multiply) {
    set(rule, 0, [&] { return times(d, rule, 1); });
    set(rule, 1, [&] { return times(d, rule, 0); });
  } else if constexpr (function == P::divide) {
    set(rule, 0, [&] { return over_second(d, rule); });
    set(rule, 1, [&] { return negate(divide(multiply(d, rule.out[0]), rule.in[1])); });
  } else if constexpr (function == P::maximum) {
    set(rule, 0, [&] { return zero_where(rule, "gate_greater_equal"); });
    set(rule, 1, [&] { return zero_where(rule, "gate_less"); });
  } else if constexpr (function == P::minimum) {
    set(rule, 0, [&] { return zero_where(rule, "gate_less_equal"); });
    set(rule, 1, [&] { return zero_where(rule, "gate_greater"); });
  } else if constexpr (function == P::negate) {
    set(rule, 0, [&] { return negate(d); });
  } else if constexpr (function == P::exp) {
    set(rule, 0, [&] { return multiply(d, rule.out[0]); });
  } else if constexpr (function == P::log) {
    set(rule, 0, [&] { return divide(d, rule.in[0]); });
  } else if constexpr (function == P::sqrt) {
    set(rule, 0, [&] { return divide(multiply(d, 0.5), rule.out[0]); });
  } else if constexpr (function == P::square) {
    set(rule, 0, [&] { return multiply(multiply(d, 2.0), rule.in[0]); });
  } else {  // a gate: the compared operands have no gradient
    set(rule, 0, [&] {
      return rule.graph.add(kPointwiseNames[static_cast<int>(function)],
                            {d, rule.in[1], rule.in[2]}, rule.attributes)[0];
    });
  }
}

template <int function>
Cost pointwise_cost(const Signature& signature) {
  using numeric::Counted;
  return streaming_cost(signature, numeric::arithmetic_of([](Counted a, Counted b, Counted c) {
                          return numeric::pointwise(static_cast<Pointwise>(function), a, b, c);
                        }));
}

/// An input of the output's shape and dtype may become the output.
void overwrites_equal(const Signature& signature, AliasList& aliases) {
  for (std::size_t i = 0; i < signature.in.size(); ++i)
    if (signature.in[i] == signature.out[0])
      aliases.push_back({0, static_cast<int>(i), Alias::Kind::may_overwrite, 0});
}

template <int... i>
std::span<const OpDefinition> make_pointwise_ops(std::integer_sequence<int, i...>) {
  static const OpDefinition ops[] = {
      OpDefinition{.name = kPointwiseNames[i],
                   .infer = infer_pointwise<static_cast<Pointwise>(i)>,
                   .gradient = gradient_of<static_cast<Pointwise>(i)>,
                   .reference_f32 = reference_pointwise<static_cast<Pointwise>(i), float>,
                   .reference_f64 = reference_pointwise<static_cast<Pointwise>(i), double>,
                   .cost = pointwise_cost<i>,
                   .aliases = overwrites_equal,
                   .recompute = Recompute::cheap,
                   .accepts_strides = true}...,
      kFill, kCast};
  return ops;
}

}  // namespace

std::span<const OpDefinition> pointwise_ops() {
  return make_pointwise_ops(std::make_integer_sequence<int, kPointwiseCount>());
}

}  // namespace fornax::kernels
