// fill (one number everywhere) and cast (another dtype). Rules: fornax/ops/pointwise.h.
#include "kernels/pointwise/cast.h"

#include <fornax/ops/pointwise.h>

#include <algorithm>

#include "kernels/pointwise/cast_functions.h"
#include "kernels/rules.h"

namespace fornax::kernels {

DType dtype_of_name(std::string_view wanted) {
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::f16, DType::i32, DType::i64,
                            DType::u8, DType::boolean})
    if (wanted == name(dtype)) return dtype;
  throw Error(ErrorCode::dtype, "dtype '" + std::string(wanted) + "' is unknown");
}

namespace {

/// Calls visit(T()) with the C++ type of the dtype, where Float stands for every floating one.
template <class Float, class Visit>
void with_type(DType dtype, const Visit& visit) {
  if (is_floating(dtype)) return visit(Float());
  if (dtype == DType::i32) return visit(std::int32_t());
  if (dtype == DType::i64) return visit(std::int64_t());
  if (dtype == DType::boolean) return visit(bool());
  visit(std::uint8_t());
}

void infer_fill(std::span<const TensorType> in, const Attributes& attributes,
                std::vector<TensorType>& out) {
  require_operands(in, 0, 0);
  attributes.number("value");
  out.emplace_back(dtype_of_name(attributes.text("dtype")), Shape(attributes.integers("shape")));
}

template <class Float>
void reference_fill(const KernelArgs& args) {
  const double value = args.attributes->number("value");
  with_type<Float>(args.out[0].type->dtype, [&]<class T>(T) {
    std::fill_n(args.out[0].as<T>(), args.out[0].elements(), numeric::cast_to<T>(value));
  });
}

void infer_cast(std::span<const TensorType> in, const Attributes& attributes,
                std::vector<TensorType>& out) {
  require_operands(in, 1, 1);
  out.emplace_back(dtype_of_name(attributes.text("dtype")), in[0].shape);
}

template <class Float>
void reference_cast(const KernelArgs& args) {
  with_type<Float>(args.in[0].type->dtype, [&]<class From>(From) {
    with_type<Float>(args.out[0].type->dtype, [&]<class To>(To) {
      const From* x = args.in[0].as<From>();
      std::transform(x, x + args.in[0].elements(), args.out[0].as<To>(),
                     [](From value) { return numeric::cast_to<To>(value); });
    });
  });
}

void gradient_of_cast(GradientRule& rule) {
  if (is_floating(rule.out[0].dtype())) rule.d_in[0] = cast(rule.d_out[0], rule.in[0].dtype());
}

Cost copy_cost(const Signature& signature) { return streaming_cost(signature, 0); }

}  // namespace

const OpDefinition kFill = {.name = "fill",
                            .infer = infer_fill,
                            .reference_f32 = reference_fill<float>,
                            .reference_f64 = reference_fill<double>,
                            .cost = copy_cost,
                            .recompute = Recompute::free};
const OpDefinition kCast = {.name = "cast",
                            .infer = infer_cast,
                            .gradient = gradient_of_cast,
                            .reference_f32 = reference_cast<float>,
                            .reference_f64 = reference_cast<double>,
                            .cost = copy_cost,
                            .recompute = Recompute::cheap};

}  // namespace fornax::kernels
