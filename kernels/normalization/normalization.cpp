// Batch normalization (Ioffe and Szegedy 2015, arXiv:1502.03167): with the statistics of the
// batch, with running ones, and the gradient of both.
#include <fornax/ops/normalization.h>

#include "kernels/normalization/batch_norm_element.h"
#include "kernels/reduction/column_sum.h"
#include "kernels/rules.h"

namespace fornax {

Value batch_norm(Value x, std::string_view name, BatchNormOptions options) {
  Graph graph = x.graph();
  kernels::require(x.shape().rank() >= 1, ErrorCode::shape,
                   "batch_norm: x needs a last axis of channels; got a scalar");
  const Shape channels{x.shape()[-1]};
  const Graph::Scope scope(graph, name);
  const Value scale = graph.parameter("scale", channels, ones());
  const Value shift = graph.parameter("shift", channels, zeros());
  const Value mean = graph.state("running_mean", channels, zeros());
  const Value variance = graph.state("running_variance", channels, ones());
  const bool train = graph.mode() == Mode::train;
  return graph.add(train ? "batch_norm" : "batch_norm_evaluate", {x, scale, shift, mean, variance},
                   {{"epsilon", options.epsilon}, {"momentum", options.momentum}})[0];
}

namespace kernels {
namespace {

void require_channels(std::span<const TensorType> in, std::size_t first, const Shape& channels) {
  for (std::size_t i = first; i < in.size(); ++i)
    require(in[i].shape == channels && is_floating(in[i].dtype), ErrorCode::shape,
            "operand " + std::to_string(i) + " must be floating point " + to_string(channels) +
                ", one element a channel; got " + to_string(in[i]));
}

Shape require_input(std::span<const TensorType> in, const Attributes& attributes) {
  require_operands(in, 5, 5);
  require(is_floating(in[0].dtype) && in[0].shape.rank() >= 1 && in[0].shape[-1] >= 1,
          ErrorCode::shape,
          "x must be floating point with a last axis of channels; got " + to_string(in[0]));
  const double epsilon = attributes.number("epsilon"), momentum = attributes.number("momentum");
  require(epsilon >= 0, ErrorCode::invalid_argument,
          "epsilon must be >= 0; got " + std::to_string(epsilon));
  require(momentum >= 0 && momentum <= 1, ErrorCode::invalid_argument,
          "momentum must lie in [0, 1]; got " + std::to_string(momentum));
  return {in[0].shape[-1]};
}

void infer_train(std::span<const TensorType> in, const Attributes& attributes,
                 std::vector<TensorType>& out) {
  const Shape channels = require_input(in, attributes);
  require_channels(in, 1, channels);
  const std::int64_t rows = in[0].shape.elements() / channels[0];
  require(rows >= 2, ErrorCode::shape,
          "the variance of a batch needs at least two rows, got " + std::to_string(rows) + " in " +
              to_string(in[0]) + "; drop the short last batch or use an evaluate graph");
  out = {in[0], in[3], in[4], in[3], in[4]};
}
void infer_evaluate(std::span<const TensorType> in, const Attributes& attributes,
                    std::vector<TensorType>& out) {
  require_channels(in, 1, require_input(in, attributes));
  out = {in[0]};
}

void infer_gradient(std::span<const TensorType> in, const Attributes&,
                    std::vector<TensorType>& out) {
  require_operands(in, 5, 5);
  require(in[0].shape == in[1].shape, ErrorCode::shape,
          "dy and x must have one shape; got " + to_string(in[0]) + " and " + to_string(in[1]));
  require_channels(in, 2, {in[1].shape[-1]});
  out = {in[1], in[2], in[2]};
}

/// in: x, scale, shift, running mean, running variance;
/// out: y, new running mean, new running variance, mean, variance.
template <class T>
void reference_train(const KernelArgs& args) {
  const std::int64_t channels = args.in[0].shape()[-1], rows = args.in[0].elements() / channels;
  const T count = static_cast<T>(rows), count_less_1 = static_cast<T>(rows - 1);
  const T momentum = static_cast<T>(args.attributes->number("momentum"));
  const T epsilon = static_cast<T>(args.attributes->number("epsilon"));
  for (std::int64_t c = 0; c < channels; ++c) {
    const auto channel = [&](std::size_t i) { return args.in[i].as<T>()[c]; };
    const T* x = args.in[0].as<T>() + c;
    const auto at = [&](std::int64_t row) { return x[row * channels]; };
    const T mean = column_sum<T>(rows, at) / count;
    const T squares = column_sum<T>(
        rows, [&](std::int64_t row) { return numeric::squared_deviation(at(row), mean); });
    const T variance = squares / count;
    args.out[1].as<T>()[c] = numeric::move_running(channel(3), mean, momentum);
    args.out[2].as<T>()[c] = numeric::move_running(channel(4), squares / count_less_1, momentum);
    args.out[3].as<T>()[c] = mean;
    args.out[4].as<T>()[c] = variance;
    const T slope = numeric::inverse_deviation(variance, epsilon) * channel(1);
    for (std::int64_t row = 0; row < rows; ++row)
      args.out[0].as<T>()[row * channels + c] =
          numeric::batch_norm(at(row), mean, slope, channel(2));
  }
}

template <class T>
void reference_evaluate(const KernelArgs& args) {
  const std::int64_t channels = args.in[0].shape()[-1], rows = args.in[0].elements() / channels;
  const T epsilon = static_cast<T>(args.attributes->number("epsilon"));
  for (std::int64_t c = 0; c < channels; ++c) {
    const auto channel = [&](std::size_t i) { return args.in[i].as<T>()[c]; };
    const T slope = numeric::inverse_deviation(channel(4), epsilon) * channel(1);
    for (std::int64_t row = 0; row < rows; ++row)
      args.out[0].as<T>()[row * channels + c] = numeric::batch_norm(
          args.in[0].as<T>()[row * channels + c], channel(3), slope, channel(2));
  }
}

/// in: dy, x, scale, mean, variance; out: dx, d_scale, d_shift.
template <class T>
void reference_gradient(const KernelArgs& args) {
  const std::int64_t channels = args.in[1].shape()[-1], rows = args.in[1].elements() / channels;
  const bool batch = args.attributes->integer("batch_statistics") != 0;
  const T epsilon = static_cast<T>(args.attributes->number("epsilon"));
  for (std::int64_t c = 0; c < channels; ++c) {
    const T *dy = args.in[0].as<T>() + c, *x = args.in[1].as<T>() + c;
    const T mean = args.in[3].as<T>()[c];
    const T inverse = numeric::inverse_deviation(args.in[4].as<T>()[c], epsilon);
    const T slope = inverse * args.in[2].as<T>()[c];
    const T d_shift = column_sum<T>(rows, [&](std::int64_t row) { return dy[row * channels]; });
    const T d_scale = column_sum<T>(rows, [&](std::int64_t row) {
      return numeric::scale_gradient_term(dy[row * channels], x[row * channels], mean, inverse);
    });
    const T mean_shift = batch ? d_shift / static_cast<T>(rows) : T(0);
    const T mean_scale = batch ? d_scale / static_cast<T>(rows) : T(0);
    const numeric::ChannelGradient<T> channel{mean, inverse, slope, mean_shift, mean_scale};
    for (std::int64_t row = 0; row < rows; ++row)
      args.out[0].as<T>()[row * channels + c] =
          numeric::batch_norm_gradient(dy[row * channels], x[row * channels], channel);
    args.out[1].as<T>()[c] = d_scale;
    args.out[2].as<T>()[c] = d_shift;
  }
}

void add_gradient(GradientRule& rule, Value mean, Value variance, std::int64_t batch_statistics) {
  if (!rule.d_out[0]) return;
  const auto d = rule.graph.add(
      "batch_norm_gradient", {rule.d_out[0], rule.in[0], rule.in[1], mean, variance},
      {{"epsilon", rule.attributes.number("epsilon")}, {"batch_statistics", batch_statistics}});
  for (std::size_t i = 0; i < 3; ++i)
    if (rule.needed[i]) rule.d_in[i] = d[i];
}
void gradient_of_train(GradientRule& rule) { add_gradient(rule, rule.out[3], rule.out[4], 1); }
void gradient_of_evaluate(GradientRule& rule) { add_gradient(rule, rule.in[3], rule.in[4], 0); }

/// The batch is read once more after its mean, and once more after its variance.
/// x is read for the mean, for the deviations and for the result.
Cost cost_of_train(const Signature& signature) {
  Cost cost = streaming_cost(signature, 6);
  cost.read_bytes += 2 * signature.in[0].bytes();
  return cost;
}
Cost cost_of_evaluate(const Signature& signature) { return streaming_cost(signature, 2); }
/// dy is read for both sums and for the result, x for one and for the result.
Cost cost_of_gradient(const Signature& signature) {
  Cost cost = streaming_cost(signature, 10);
  cost.read_bytes += 2 * signature.in[0].bytes() + signature.in[1].bytes();
  return cost;
}

void aliases_of_train(const Signature&, AliasList& aliases) {
  aliases.push_back({.out = 1, .in = 3, .kind = Alias::Kind::updates_state});
  aliases.push_back({.out = 2, .in = 4, .kind = Alias::Kind::updates_state});
}
void aliases_of_evaluate(const Signature&, AliasList& aliases) {
  aliases.push_back({.out = 0, .in = 0, .kind = Alias::Kind::may_overwrite});
}

const OpDefinition kOps[] = {
    {.name = "batch_norm",
     .infer = infer_train,
     .gradient = gradient_of_train,
     .reference_f32 = reference_train<float>,
     .reference_f64 = reference_train<double>,
     .cost = cost_of_train,
     .aliases = aliases_of_train,
     .recompute = Recompute::never},
    {.name = "batch_norm_evaluate",
     .infer = infer_evaluate,
     .gradient = gradient_of_evaluate,
     .reference_f32 = reference_evaluate<float>,
     .reference_f64 = reference_evaluate<double>,
     .cost = cost_of_evaluate,
     .aliases = aliases_of_evaluate,
     .recompute = Recompute::cheap},
    {.name = "batch_norm_gradient",
     .infer = infer_gradient,
     .reference_f32 = reference_gradient<float>,
     .reference_f64 = reference_gradient<double>,
     .cost = cost_of_gradient},
};

}  // namespace

std::span<const OpDefinition> normalization_ops() { return kOps; }

}  // namespace kernels
}  // namespace fornax
