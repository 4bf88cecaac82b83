// Views (reshape, permute, slice, broadcast), the copy that makes one row-major, and the gradient
// of slice. Rules: fornax/ops/layout.h.
#include <fornax/ops/layout.h>
#include <fornax/ops/reduction.h>

#include <algorithm>
#include <cstring>

#include "kernels/layout/strided.h"
#include "kernels/rules.h"

namespace fornax {

using kernels::require;
using Extents = std::vector<std::int64_t>;

Value reshape(Value x, const Extents& extents) {
  Extents filled = extents;
  const auto open = std::find(filled.begin(), filled.end(), -1);
  if (open != filled.end()) {
    *open = 1;
    const std::int64_t rest = Shape(filled).elements();
    require(rest > 0 && x.shape().elements() % rest == 0, ErrorCode::shape,
            "reshape: " + to_string(x.shape()) + " leaves nothing whole for the extent -1");
    *open = x.shape().elements() / rest;
  }
  if (Shape(filled) == x.shape()) return x;
  return x.graph().add("reshape", {x}, {{"shape", filled}})[0];
}

Value permute(Value x, const Extents& axes) {
  return x.graph().add("permute", {x}, {{"axes", axes}})[0];
}

Value transpose(Value x, int first, int second) {
  const int rank = x.shape().rank();
  const int a = first < 0 ? first + rank : first, b = second < 0 ? second + rank : second;
  require(a >= 0 && a < rank && b >= 0 && b < rank, ErrorCode::shape,
          "transpose: axes " + std::to_string(first) + " and " + std::to_string(second) + " of " +
              to_string(x.shape()));
  Extents axes;
  for (int axis = 0; axis < rank; ++axis) axes.push_back(axis == a ? b : axis == b ? a : axis);
  return permute(x, axes);
}

Value slice(Value x, int axis, std::int64_t begin, std::int64_t end) {
  const std::int64_t at = axis < 0 ? axis + x.shape().rank() : axis;
  return x.graph().add("slice", {x}, {{"axis", at}, {"begin", begin}, {"end", end}})[0];
}

Value broadcast(Value x, const Shape& shape) {
  if (shape == x.shape()) return x;
  return x.graph().add("broadcast", {x}, {{"shape", Extents(shape.begin(), shape.end())}})[0];
}

Value contiguous(Value x) { return x.graph().add("contiguous", {x})[0]; }

}  // namespace fornax

namespace fornax::kernels {
namespace {

Shape shape_attribute(const Attributes& attributes) { return Shape(attributes.integers("shape")); }

void infer_reshape(std::span<const TensorType> in, const Attributes& attributes,
                   std::vector<TensorType>& out) {
  require_operands(in, 1, 1);
  const Shape shape = shape_attribute(attributes);
  require(shape.elements() == in[0].shape.elements(), ErrorCode::shape,
          to_string(in[0].shape) + " and " + to_string(shape) + " differ in elements");
  out.emplace_back(in[0].dtype, shape);
}
void gradient_of_reshape(GradientRule& rule) {
  rule.d_in[0] = reshape(rule.d_out[0], rule.in[0].shape());
}

void infer_permute(std::span<const TensorType> in, const Attributes& attributes,
                   std::vector<TensorType>& out) {
  require_operands(in, 1, 1);
  const auto& axes = attributes.integers("axes");
  auto sorted = axes;
  std::sort(sorted.begin(), sorted.end());
  bool all = static_cast<int>(axes.size()) == in[0].shape.rank();
  for (std::size_t i = 0; i < sorted.size(); ++i)
    all = all && sorted[i] == static_cast<std::int64_t>(i);
  require(all, ErrorCode::shape, "axes must permute those of " + to_string(in[0].shape));
  std::vector<std::int64_t> extents;
  Strides strides{};
  for (std::size_t i = 0; i < axes.size(); ++i) {
    extents.push_back(in[0].shape.begin()[axes[i]]);
    strides[i] = in[0].strides[static_cast<std::size_t>(axes[i])];
  }
  out.emplace_back(in[0].dtype, Shape(extents)).strides = strides;
}
void gradient_of_permute(GradientRule& rule) {
  const auto& axes = rule.attributes.integers("axes");
  std::vector<std::int64_t> inverse(axes.size());
  for (std::size_t i = 0; i < axes.size(); ++i)
    inverse[static_cast<std::size_t>(axes[i])] = static_cast<std::int64_t>(i);
  rule.d_in[0] = permute(rule.d_out[0], inverse);
}

/// The types of x and of its slice; also of slice_grad, the other way round.
TensorType sliced(const TensorType& x, const Attributes& attributes) {
  const std::int64_t axis = attributes.integer("axis"), begin = attributes.integer("begin"),
                     end = attributes.integer("end");
  require(axis >= 0 && axis < x.shape.rank(), ErrorCode::shape,
          "axis " + std::to_string(axis) + " of " + to_string(x.shape));
  const std::int64_t extent = x.shape.begin()[axis];
  require(0 <= begin && begin <= end && end <= extent, ErrorCode::shape,
          "[" + std::to_string(begin) + ", " + std::to_string(end) + ") is not within the " +
              std::to_string(extent) + " elements of axis " + std::to_string(axis) + " of " +
              to_string(x.shape));
  std::vector<std::int64_t> extents(x.shape.begin(), x.shape.end());
  extents[static_cast<std::size_t>(axis)] = end - begin;
  TensorType y(x.dtype, Shape(extents));
  y.strides = x.strides;
  return y;
}
void infer_slice(std::span<const TensorType> in, const Attributes& attributes,
                 std::vector<TensorType>& out) {
  require_operands(in, 1, 1);
  out.push_back(sliced(in[0], attributes));
}
/// A view of no elements begins where its source does: its own place may lie past all bytes.
void slice_aliases(const Signature& s, AliasList& aliases) {
  const auto axis = static_cast<std::size_t>(s.attributes.integer("axis"));
  const bool empty = s.out[0].shape.elements() == 0;
  const std::int64_t begin = empty ? 0 : s.attributes.integer("begin");
  aliases.push_back({0, 0, Alias::Kind::view, s.in[0].strides[axis] * begin});
}
void gradient_of_slice(GradientRule& rule) {
  Attributes attributes = rule.attributes;
  const Shape& shape = rule.in[0].shape();
  attributes.set("shape", std::vector<std::int64_t>(shape.begin(), shape.end()));
  rule.d_in[0] = rule.graph.add("slice_grad", {rule.d_out[0]}, attributes)[0];
}

/// dy -> dx of the attribute's shape, zero outside the slice.
void infer_slice_grad(std::span<const TensorType> in, const Attributes& attributes,
                      std::vector<TensorType>& out) {
  require_operands(in, 1, 1);
  const TensorType dx(in[0].dtype, shape_attribute(attributes));
  require(sliced(dx, attributes).shape == in[0].shape, ErrorCode::shape,
          to_string(in[0].shape) + " is not that slice of " + to_string(dx.shape));
  out.push_back(dx);
}
void gradient_of_slice_grad(GradientRule& rule) {
  const Attributes& a = rule.attributes;
  rule.d_in[0] = slice(rule.d_out[0], static_cast<int>(a.integer("axis")), a.integer("begin"),
                       a.integer("end"));
}

void infer_broadcast(std::span<const TensorType> in, const Attributes& attributes,
                     std::vector<TensorType>& out) {
  require_operands(in, 1, 1);
  const Shape shape = shape_attribute(attributes);
  const int lead = shape.rank() - in[0].shape.rank();
  bool fits = lead >= 0;
  for (int axis = 0; fits && axis < in[0].shape.rank(); ++axis) {
    const std::int64_t own = in[0].shape.begin()[axis];
    fits = own == 1 || own == shape.begin()[axis + lead];
  }
  require(fits, ErrorCode::shape,
          to_string(in[0].shape) + " does not broadcast to " + to_string(shape));
  TensorType& y = out.emplace_back(in[0].dtype, shape);
  y.strides = broadcast_strides(in[0], shape);
}
void gradient_of_broadcast(GradientRule& rule) {
  rule.d_in[0] = sum_to(rule.d_out[0], rule.in[0].shape());
}

void infer_contiguous(std::span<const TensorType> in, const Attributes&,
                      std::vector<TensorType>& out) {
  require_operands(in, 1, 1);
  out.emplace_back(in[0].dtype, in[0].shape);
}
void gradient_of_contiguous(GradientRule& rule) { rule.d_in[0] = rule.d_out[0]; }

void views_first(const Signature&, AliasList& aliases) {
  aliases.push_back({0, 0, Alias::Kind::view, 0});
}

/// Copies elements of T; the dtype counts only by its size.
template <class T>
void copy_strided(const KernelArgs& args) {
  const auto walk = strided_walk<1>(args.in[0].shape(), {args.in[0].type->strides});
  T* to = args.out[0].as<T>();
  if (args.out[0].elements() == 0) return;
  for (std::int64_t row = 0; row < walk.rows(); ++row) {
    std::int64_t offset[1];
    walk.row_offsets(row, offset);
    const T* from = args.in[0].as<T>() + offset[0];
    for (std::int64_t i = 0; i < walk.row_elements(); ++i)
      *to++ = from[i * walk.stride[0][walk.rank - 1]];
  }
}

template <class T>
void pad_with_zeros(const KernelArgs& args) {
  const Shape& shape = args.out[0].shape();
  const auto axis = static_cast<int>(args.attributes->integer("axis"));
  const std::int64_t begin = args.attributes->integer("begin"),
                     inner = extent_product(shape, axis + 1, shape.rank());
  const std::int64_t rows = extent_product(shape, 0, axis), row = shape[axis] * inner;
  const std::int64_t kept = (args.attributes->integer("end") - begin) * inner;
  const T* dy = args.in[0].as<T>();
  T* dx = args.out[0].as<T>();
  std::fill(dx, dx + args.out[0].elements(), T());
  for (std::int64_t r = 0; r < rows; ++r)
    std::copy(dy + r * kept, dy + (r + 1) * kept, dx + r * row + begin * inner);
}

template <bool pad, class Float>
void reference_copy(const KernelArgs& args) {
  const DType dtype = args.out[0].type->dtype;
  const std::int64_t bytes =
      is_floating(dtype) ? static_cast<std::int64_t>(sizeof(Float)) : size_bytes(dtype);
  const auto copy = [&]<class T>(T) { pad ? pad_with_zeros<T>(args) : copy_strided<T>(args); };
  if (bytes == 1) return copy(std::uint8_t());
  if (bytes == 4) return copy(std::uint32_t());
  copy(std::uint64_t());
}

Cost no_cost(const Signature&) { return {}; }
Cost copy_cost(const Signature& signature) { return streaming_cost(signature, 0); }

const OpDefinition kOps[] = {
    {.name = "reshape",
     .infer = infer_reshape,
     .gradient = gradient_of_reshape,
     .cost = no_cost,
     .aliases = views_first,
     .recompute = Recompute::free},
    {.name = "permute",
     .infer = infer_permute,
     .gradient = gradient_of_permute,
     .cost = no_cost,
     .aliases = views_first,
     .recompute = Recompute::free,
     .accepts_strides = true},
    {.name = "slice",
     .infer = infer_slice,
     .gradient = gradient_of_slice,
     .cost = no_cost,
     .aliases = slice_aliases,
     .recompute = Recompute::free,
     .accepts_strides = true},
    {.name = "broadcast",
     .infer = infer_broadcast,
     .gradient = gradient_of_broadcast,
     .cost = no_cost,
     .aliases = views_first,
     .recompute = Recompute::free,
     .accepts_strides = true},
    {.name = "contiguous",
     .infer = infer_contiguous,
     .gradient = gradient_of_contiguous,
     .reference_f32 = reference_copy<false, float>,
     .reference_f64 = reference_copy<false, double>,
     .cost = copy_cost,
     .recompute = Recompute::cheap,
     .accepts_strides = true},
    {.name = "slice_grad",
     .infer = infer_slice_grad,
     .gradient = gradient_of_slice_grad,
     .reference_f32 = reference_copy<true, float>,
     .reference_f64 = reference_copy<true, double>,
     .cost = copy_cost,
     .recompute = Recompute::cheap},
};

}  // namespace

std::span<const OpDefinition> layout_ops() { return kOps; }

}  // namespace fornax::kernels
