// Initial values: drawn once, on the host, in f32, from (seed, name, element).
#include <cmath>

#include "kernels/numeric/numeric.h"
#include "runtime/execution/state_data.h"

namespace fornax {

namespace {

struct Range {
  float offset, factor;  ///< element = offset + factor * drawn
};

Range range_of(const Initializer& initializer, const Shape& shape) {
  const double first = shape.rank() > 0 ? static_cast<double>(shape[0]) : 1;
  const double elements = static_cast<double>(shape.elements());
  const double fan_in = first > 0 && elements > 0 ? elements / first : 1;
  switch (initializer.kind) {
    case Initializer::Kind::constant: return {static_cast<float>(initializer.a), 0};
    case Initializer::Kind::uniform:
      return {static_cast<float>(initializer.a), static_cast<float>(initializer.b - initializer.a)};
    case Initializer::Kind::normal:
      return {static_cast<float>(initializer.a), static_cast<float>(initializer.b)};
    case Initializer::Kind::he_normal: return {0, static_cast<float>(std::sqrt(2.0 / fan_in))};
    case Initializer::Kind::xavier_uniform: {
      const auto bound = static_cast<float>(std::sqrt(6.0 / (fan_in + first)));
      return {-bound, 2 * bound};
    }
  }
  return {};
}

}  // namespace

Tensor initial_value(const Initializer& initializer, DType dtype, const Shape& shape,
                     std::string_view name, std::uint64_t seed) {
  Tensor result(dtype, shape);
  if (dtype != DType::f32) {
    kernels::require(initializer.kind == Initializer::Kind::constant && initializer.a == 0,
                     ErrorCode::dtype,
                     "initializer: '" + std::string(name) + "' is " + fornax::name(dtype) +
                         ", which starts from zeros only");
    return result;
  }
  using Kind = Initializer::Kind;
  const numeric::RandomStream stream{
      seed, numeric::purpose_id(name.data(), static_cast<std::int64_t>(name.size())), 0};
  const Range range = range_of(initializer, shape);
  const bool normal = initializer.kind == Kind::normal || initializer.kind == Kind::he_normal;
  std::uint64_t element = 0;
  for (float& value : result.as<float>()) {
    float drawn = 0;
    if (initializer.kind != Kind::constant)
      drawn = normal ? numeric::random_normal(stream, element)
                     : numeric::random_uniform(stream, element);
    value = std::fma(range.factor, drawn, range.offset);
    ++element;
  }
  return result;
}

}  // namespace fornax
