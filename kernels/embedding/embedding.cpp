// Embedding: gathers rows of a table; its gradient sums rows of dy per index in a fixed order.
#include <fornax/ops/embedding.h>

#include <algorithm>

#include "kernels/reduction/column_sum.h"
#include "kernels/rules.h"

namespace fornax {

Value embedding(Value table, Value indices) {
  return table.graph().add("embedding", {table, indices})[0];
}

namespace kernels {
namespace {

void require_indices(const TensorType& type) {
  require(type.dtype == DType::i32, ErrorCode::dtype,
          "indices must be i32; got " + to_string(type));
  require(type.shape.rank() < Shape::kMaxRank, ErrorCode::shape,
          "indices may have at most " + std::to_string(Shape::kMaxRank - 1) + " axes; got " +
              to_string(type));
}

void infer_embedding(std::span<const TensorType> in, const Attributes&,
                     std::vector<TensorType>& out) {
  require_operands(in, 2, 2);
  require(is_floating(in[0].dtype), ErrorCode::dtype,
          "table must be floating point; got " + to_string(in[0]));
  require(in[0].shape.rank() == 2, ErrorCode::shape,
          "table must be [V, C]; got " + to_string(in[0]));
  require_indices(in[1]);
  std::vector<std::int64_t> extents(in[1].shape.begin(), in[1].shape.end());
  extents.push_back(in[0].shape[1]);
  out.emplace_back(in[0].dtype, Shape(std::span<const std::int64_t>(extents)));
}

void infer_gradient(std::span<const TensorType> in, const Attributes& attributes,
                    std::vector<TensorType>& out) {
  require_operands(in, 2, 2);
  require_floating(in.first(1));
  require_indices(in[1]);
  require(in[0].shape.rank() == in[1].shape.rank() + 1 &&
              std::equal(in[1].shape.begin(), in[1].shape.end(), in[0].shape.begin()),
          ErrorCode::shape,
          "dy must have the shape of indices and one more axis; got " + to_string(in[0]) + " and " +
              to_string(in[1]));
  out.emplace_back(in[0].dtype, Shape{attributes.integer("rows"), in[0].shape[-1]});
}

/// in: table, indices; out: y.
template <class T>
void reference_embedding(const KernelArgs& args) {
  const std::int64_t rows = args.in[0].shape()[0], width = args.in[0].shape()[1];
  for (std::int64_t i = 0; i < args.in[1].elements(); ++i) {
    const std::int32_t index = args.in[1].as<std::int32_t>()[i];
    T* y = args.out[0].as<T>() + i * width;
    if (index >= 0 && index < rows) {
      std::copy_n(args.in[0].as<T>() + index * width, width, y);
      continue;
    }
    std::fill_n(y, width, T(0));
    if (args.step->bad_index != 0 && args.step->bad_index <= i + 1) continue;
    args.step->bad_index = i + 1;
    args.step->bad_value = index;
  }
}

/// in: dy, indices; out: d_table. Every table row has the sum of its finished chunks in d_table,
/// its open chunk in `open`, and how many rows of dy it took.
template <class T>
void reference_gradient(const KernelArgs& args) {
  const std::int64_t rows = args.out[0].shape()[0], width = args.out[0].shape()[1];
  const auto elements = static_cast<std::size_t>(rows * width);
  std::vector<T> open(elements, T(-0.0));
  std::vector<std::int64_t> taken(static_cast<std::size_t>(rows), 0);
  T* total = args.out[0].as<T>();
  std::fill_n(total, elements, T(-0.0));
  const auto close = [&](std::size_t first) {
    for (std::size_t e = first; e < first + static_cast<std::size_t>(width); ++e) {
      total[e] = total[e] + open[e];
      open[e] = T(-0.0);
    }
  };
  for (std::int64_t i = 0; i < args.in[1].elements(); ++i) {
    const std::int64_t row = args.in[1].as<std::int32_t>()[i];
    if (row < 0 || row >= rows) continue;
    const auto first = static_cast<std::size_t>(row * width);
    for (std::size_t c = 0; c < static_cast<std::size_t>(width); ++c)
      open[first + c] =
          open[first + c] + args.in[0].as<T>()[i * width + static_cast<std::int64_t>(c)];
    if (++taken[static_cast<std::size_t>(row)] % kColumnSumChunk == 0) close(first);
  }
  for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row) {
    const std::size_t first = row * static_cast<std::size_t>(width);
    if (taken[row] != 0) close(first);
    if (taken[row] == 0) std::fill_n(total + first, width, T(0));
  }
}

void gradient_of_embedding(GradientRule& rule) {
  rule.d_in[0] = rule.graph.add("embedding_gradient", {rule.d_out[0], rule.in[1]},
                                {{"rows", rule.in[0].shape()[0]}})[0];
}

/// Rows are read where they are needed: not the whole table.
Cost cost_of_embedding(const Signature& signature) {
  Cost cost;
  cost.read_bytes = signature.out[0].bytes() + signature.in[1].bytes();
  cost.write_bytes = signature.out[0].bytes();
  return cost;
}
Cost cost_of_gradient(const Signature& signature) {
  Cost cost = streaming_cost(signature, 0);
  cost.flops = static_cast<double>(signature.in[0].shape.elements());
  return cost;
}

const OpDefinition kOps[] = {
    {.name = "embedding",
     .infer = infer_embedding,
     .gradient = gradient_of_embedding,
     .reference_f32 = reference_embedding<float>,
     .reference_f64 = reference_embedding<double>,
     .cost = cost_of_embedding,
     .recompute = Recompute::cheap,
     .uses_step = true},
    {.name = "embedding_gradient",
     .infer = infer_gradient,
     .reference_f32 = reference_gradient<float>,
     .reference_f64 = reference_gradient<double>,
     .cost = cost_of_gradient,
     .weight_gradient = true,
     .uses_step = true},
};

}  // namespace

std::span<const OpDefinition> embedding_ops() { return kOps; }

}  // namespace kernels
}  // namespace fornax
