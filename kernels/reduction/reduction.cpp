// Sums over trailing axes (row_sum) and leading axes (column_sum) of a tensor seen as a matrix.
// Order of the additions: fornax/ops/reduction.h.
#include <fornax/ops/layout.h>
#include <fornax/ops/reduction.h>

#include <algorithm>

#include "kernels/linear/linear_fusions.h"
#include "kernels/numeric/judge.h"
#include "kernels/numeric/ordered_sum.h"
#include "kernels/reduction/column_sum.h"
#include "kernels/reduction/row_sum_walk.h"
#include "kernels/rules.h"

namespace fornax {

using kernels::require;

namespace {

/// Which axes are summed, as given.
std::vector<char> reduced_axes(const Shape& shape, const std::vector<int>& axes) {
  std::vector<char> reduced(static_cast<std::size_t>(shape.rank()), axes.empty());
  for (const int axis : axes) {
    const int at = axis < 0 ? axis + shape.rank() : axis;
    require(at >= 0 && at < shape.rank(), ErrorCode::shape,
            "sum: axis " + std::to_string(axis) + " of " + to_string(shape));
    require(!reduced[static_cast<std::size_t>(at)], ErrorCode::shape,
            "sum: axis " + std::to_string(axis) + " is given twice");
    reduced[static_cast<std::size_t>(at)] = 1;
  }
  return reduced;
}

Value reduce(Value x, const std::vector<char>& reduced, double divisor) {
  std::vector<std::int64_t> order;  // kept axes first
  for (const char wanted : {char{0}, char{1}})
    for (std::size_t axis = 0; axis < reduced.size(); ++axis)
      if (reduced[axis] == wanted) order.push_back(static_cast<std::int64_t>(axis));
  const auto sums = std::count(reduced.begin(), reduced.end(), 1);
  const std::int64_t kept = static_cast<std::int64_t>(reduced.size()) - sums;
  Attributes attributes{{"kept", kept}};
  if (divisor != 1) attributes.set("divisor", divisor);
  if (kept > 0 && sums > 0 && std::is_sorted(reduced.begin(), reduced.end(), std::greater<>()))
    return x.graph().add("column_sum", {x}, attributes)[0];
  if (!std::is_sorted(order.begin(), order.end())) x = permute(x, order);
  return x.graph().add("row_sum", {x}, attributes)[0];
}

Value reduce_with(Value x, const std::vector<int>& axes, ReducedAxes reduced, bool mean) {
  const auto which = reduced_axes(x.shape(), axes);
  std::vector<std::int64_t> kept_shape;
  double count = 1;
  for (std::size_t axis = 0; axis < which.size(); ++axis) {
    const std::int64_t extent = x.shape().begin()[axis];
    kept_shape.push_back(which[axis] ? 1 : extent);
    if (which[axis]) count *= static_cast<double>(extent);
  }
  const Value y = reduce(x, which, mean ? count : 1);
  return reduced == ReducedAxes::keep ? reshape(y, Shape(kept_shape)) : y;
}

}  // namespace

Value sum(Value x, const std::vector<int>& axes, ReducedAxes reduced) {
  return reduce_with(x, axes, reduced, false);
}
Value mean(Value x, const std::vector<int>& axes, ReducedAxes reduced) {
  return reduce_with(x, axes, reduced, true);
}

Value sum_to(Value x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const int lead = x.shape().rank() - shape.rank();
  std::vector<char> reduced(static_cast<std::size_t>(x.shape().rank()), 0);
  bool fits = lead >= 0;
  for (int axis = 0; fits && axis < x.shape().rank(); ++axis) {
    const std::int64_t own = axis < lead ? 1 : shape.begin()[axis - lead];
    const std::int64_t extent = x.shape().begin()[axis];
    fits = own == extent || own == 1;
    reduced[static_cast<std::size_t>(axis)] = axis < lead || (own == 1 && extent != 1);
  }
  require(fits, ErrorCode::shape,
          "sum_to: " + to_string(shape) + " does not broadcast to " + to_string(x.shape()));
  return reshape(reduce(x, reduced, 1), shape);
}

}  // namespace fornax

namespace fornax::kernels {
namespace {

/// x [rows, columns]; row_sum keeps the rows, column_sum the columns. `kept` counts the axes kept.
Shape kept_shape(const Shape& x, const Attributes& attributes, bool leading) {
  const std::int64_t kept = attributes.integer("kept");
  require(kept >= 0 && kept <= x.rank(), ErrorCode::shape,
          "keeps " + std::to_string(kept) + " axes of " + to_string(x));
  const auto* first = leading ? x.begin() : x.end() - kept;
  return Shape(std::span<const std::int64_t>(first, static_cast<std::size_t>(kept)));
}

template <bool leading>
void infer_sum(std::span<const TensorType> in, const Attributes& attributes,
               std::vector<TensorType>& out) {
  require_operands(in, 1, 1);
  require_floating(in);
  number_or(attributes, "divisor", 1);
  out.emplace_back(in[0].dtype, kept_shape(in[0].shape, attributes, leading));
}

/// The ordered sum of kernels/numeric; in double any order serves, so it is the same template.
template <class T>
T row_sum_of(const T* x, const RowSumWalk& walk) {
  if (std::is_same_v<T, float> && walk.rows_are_contiguous())
    return numeric::ordered_sum<float, 1>(reinterpret_cast<const float*>(x), walk.columns);
  return numeric::ordered_sum_lanewise<T>(
      walk.columns, [&](std::int64_t i) { return x[RowSumWalk::offset(walk.reduced, i)]; });
}

template <class T>
void reference_row_sum(const KernelArgs& args) {
  const auto kept = static_cast<int>(args.attributes->integer("kept"));
  const RowSumWalk walk = row_sum_walk(*args.in[0].type, kept);
  const T divisor = static_cast<T>(number_or(*args.attributes, "divisor", 1));
  const T* x = args.in[0].as<T>();
  for (std::int64_t r = 0; r < walk.rows; ++r)
    args.out[0].as<T>()[r] = row_sum_of(x + RowSumWalk::offset(walk.kept, r), walk) / divisor;
}

template <class T>
void reference_column_sum(const KernelArgs& args) {
  const std::int64_t columns = args.out[0].elements();
  const std::int64_t rows = columns == 0 ? 0 : args.in[0].elements() / columns;
  const T divisor = static_cast<T>(number_or(*args.attributes, "divisor", 1));
  const T* x = args.in[0].as<T>();
  for (std::int64_t c = 0; c < columns; ++c)
    args.out[0].as<T>()[c] = column_sum_of(x + c, rows, columns) / divisor;
}

/// dx = dy / divisor, repeated.
template <bool leading>
void gradient_of_sum(GradientRule& rule) {
  const Shape& shape = rule.in[0].shape();
  Value d = rule.d_out[0];
  if (rule.attributes.has("divisor"))
    d = rule.graph.add("divide", {d, Value()}, {{"scalar", rule.attributes.number("divisor")}})[0];
  if constexpr (leading) {
    std::vector<std::int64_t> extents(d.shape().begin(), d.shape().end());
    extents.resize(static_cast<std::size_t>(shape.rank()), 1);
    d = reshape(d, Shape(extents));
  }
  rule.d_in[0] = broadcast(d, shape);
}

Cost sum_cost(const Signature& signature) {
  Cost cost = streaming_cost(signature, 0);
  cost.flops = static_cast<double>(signature.in[0].shape.elements());
  return cost;
}

const OpDefinition kOps[] = {
    {.name = "row_sum",
     .infer = infer_sum<true>,
     .gradient = gradient_of_sum<true>,
     .reference_f32 = reference_row_sum<float>,
     .reference_f64 = reference_row_sum<double>,
     .cost = sum_cost,
     .accepts_strides = true},
    {.name = "column_sum",
     .infer = infer_sum<false>,
     .gradient = gradient_of_sum<false>,
     .reference_f32 = reference_column_sum<float>,
     .reference_f64 = reference_column_sum<double>,
     .cost = sum_cost,
     .fusions = dgrad_column_sum_fusions()},
};

}  // namespace

std::span<const OpDefinition> reduction_ops() { return kOps; }

}  // namespace fornax::kernels
