// Dropout (Srivastava et al. 2014) with a mask that a counter gives; its gradient is the same op.
#include <fornax/ops/dropout.h>

#include <algorithm>

#include "kernels/dropout/dropout_launch.h"
#include "kernels/rules.h"

namespace fornax {

namespace {

constexpr std::int64_t kMostOfSample = std::int64_t{1} << 60;

std::int64_t row_elements(const Value& x) {
  const Shape& shape = x.shape();
  return shape.rank() == 0 || shape[0] == 0 ? 1 : shape.elements() / shape[0];
}

}  // namespace

Value dropout(Value x, double drop_p, std::int64_t rows_per_sample) {
  kernels::require(drop_p >= 0 && drop_p < 1, ErrorCode::invalid_argument,
                   "dropout: drop_p must lie in [0, 1); got " + std::to_string(drop_p));
  kernels::require(rows_per_sample >= 1, ErrorCode::invalid_argument,
                   "dropout: rows_per_sample must be >= 1; got " + std::to_string(rows_per_sample));
  kernels::require(rows_per_sample <= kMostOfSample / std::max<std::int64_t>(row_elements(x), 1),
                   ErrorCode::invalid_argument,
                   "dropout: samples of " + std::to_string(rows_per_sample) + " rows of " +
                       to_string(x.shape()) + " have more than 2^60 elements");
  Graph graph = x.graph();
  const std::string name = graph.unique_name("dropout");
  if (graph.mode() == Mode::evaluate || drop_p == 0) return x;
  const std::int64_t purpose =
      numeric::purpose_id(name.data(), static_cast<std::int64_t>(name.size()));
  return graph.add(
      "dropout", {x},
      {{"drop_p", drop_p}, {"purpose", purpose}, {"rows_per_sample", rows_per_sample}})[0];
}

namespace kernels {
namespace {

void infer_dropout(std::span<const TensorType> in, const Attributes&,
                   std::vector<TensorType>& out) {
  require_operands(in, 1, 1);
  require_floating(in);
  out.push_back(in[0]);
}

template <class T>
void reference_dropout(const KernelArgs& args) {
  const DropoutMask mask = dropout_mask(args, *args.step);
  const T scale = static_cast<T>(dropout_scale(*args.attributes));
  for (std::int64_t i = 0; i < args.in[0].elements(); ++i)
    args.out[0].as<T>()[i] =
        mask.keeps(static_cast<std::uint64_t>(i)) ? args.in[0].as<T>()[i] * scale : T(0);
}

void gradient_of_dropout(GradientRule& rule) {
  rule.d_in[0] = rule.graph.add("dropout", {rule.d_out[0]}, rule.attributes)[0];
}

/// A round of Philox on vectors, which multiply every other word at a time: two wide products of
/// two multiplications, a shift and two merges each, and two sums of three words; of ten rounds a
/// quarter each element, then turned into place and compared.
Cost cost_of_dropout(const Signature& signature) {
  constexpr double round = 2 * (2 + 1 + 2) + 2;
  return streaming_cost(signature, {20, 10 * round / 4 + 2 + 3});
}

void aliases_of_dropout(const Signature&, AliasList& aliases) {
  aliases.push_back({.out = 0, .in = 0, .kind = Alias::Kind::may_overwrite});
}

const OpDefinition kOps[] = {
    {.name = "dropout",
     .infer = infer_dropout,
     .gradient = gradient_of_dropout,
     .reference_f32 = reference_dropout<float>,
     .reference_f64 = reference_dropout<double>,
     .cost = cost_of_dropout,
     .aliases = aliases_of_dropout,
     .recompute = Recompute::cheap,
     .uses_step = true},
};

}  // namespace

std::span<const OpDefinition> dropout_ops() { return kOps; }

}  // namespace kernels
}  // namespace fornax
