// Cross entropy of logits against class labels: -log softmax(x)[label], averaged; and the count of
// right arg-maxes. The log-sum-exp is taken after subtracting the maximum (Blanchard, Higham and
// Higham 2021).
#include <fornax/ops/cross_entropy.h>

#include "kernels/cross_entropy/labels.h"
#include "kernels/numeric/counted.h"
#include "kernels/numeric/reference_sum.h"
#include "kernels/op.h"

namespace fornax {

Value cross_entropy(Value logits, Value labels, CrossEntropyOptions options) {
  return logits.graph().add(
      "cross_entropy", {logits, labels},
      {{"ignore_index", options.ignore_index}, {"label_smoothing", options.label_smoothing}})[0];
}

CorrectCount correct_count(Value logits, Value labels, std::int64_t ignore_index) {
  const auto out =
      logits.graph().add("correct_count", {logits, labels}, {{"ignore_index", ignore_index}});
  return {out[0], out[1]};
}

namespace kernels {
namespace {

using numeric::label_kind;
using numeric::LabelKind;

void require_labels(const TensorType& logits, const TensorType& labels) {
  require(is_floating(logits.dtype), ErrorCode::dtype,
          "logits must be floating point; got " + to_string(logits));
  require(labels.dtype == DType::i32, ErrorCode::dtype,
          "labels must be i32; got " + to_string(labels));
  require(logits.shape.rank() >= 1 && logits.shape[-1] >= 1, ErrorCode::shape,
          "logits need a last axis of at least one class; got " + to_string(logits));
  const Shape rows(std::span(logits.shape.begin(), logits.shape.end() - 1));
  require(labels.shape == rows, ErrorCode::shape,
          "labels must have the shape of logits without the last axis, " + to_string(rows) +
              "; got " + to_string(labels));
}

void infer_cross_entropy(std::span<const TensorType> in, const Attributes& attributes,
                         std::vector<TensorType>& out) {
  require_labels(in[0], in[1]);
  const double smoothing = attributes.number("label_smoothing");
  require(smoothing >= 0 && smoothing <= 1, ErrorCode::invalid_argument,
          "label_smoothing must lie in [0, 1]; got " + std::to_string(smoothing));
  out.emplace_back(in[0].dtype, Shape{});
  out.emplace_back(in[0].dtype == DType::f64 ? DType::f64 : DType::f32, in[1].shape);
  out.emplace_back(DType::i32, Shape{});
}

void infer_gradient(std::span<const TensorType> in, const Attributes&,
                    std::vector<TensorType>& out) {
  require_labels(in[1], in[2]);
  out.emplace_back(in[1].dtype, in[1].shape);
}

void infer_correct_count(std::span<const TensorType> in, const Attributes&,
                         std::vector<TensorType>& out) {
  require_labels(in[0], in[1]);
  out.assign(2, TensorType(DType::i32, Shape{}));
}

/// in: logits [rows, C], labels [rows]; out: loss [], log_sum_exp [rows], counted [].
template <class T>
void reference_cross_entropy(const KernelArgs& args) {
  const std::int64_t classes = args.in[0].shape()[-1], rows = args.in[1].elements();
  const std::int64_t ignore = args.attributes->integer("ignore_index");
  const auto target =
      numeric::smoothed_target<T>(args.attributes->number("label_smoothing"), classes);
  const auto* labels = args.in[1].as<std::int32_t>();
  std::int32_t counted = 0;
  const T total = numeric::reference_sum<T>(rows, [&](std::int64_t row) {
    const T* x = args.in[0].as<T>() + row * classes;
    T largest = x[0];
    for (std::int64_t c = 1; c < classes; ++c) largest = numeric::max(largest, x[c]);
    const T sum = numeric::reference_sum<T>(
        classes, [&](std::int64_t c) { return numeric::exp(x[c] - largest); });
    const T log_sum_exp = largest + numeric::log(sum);
    args.out[1].as<T>()[row] = log_sum_exp;
    const LabelKind kind = label_kind(labels[row], ignore, classes);
    if (kind == LabelKind::bad) flag_bad_label(*args.step, row, labels[row]);
    if (kind != LabelKind::valid) return T(0);
    ++counted;
    T mean = 0;
    if (target.smoothing != T(0))
      mean = numeric::reference_sum<T>(classes, [&](std::int64_t c) { return x[c]; }) /
             static_cast<T>(classes);
    return numeric::row_loss(log_sum_exp, x[labels[row]], mean, target);
  });
  *args.out[0].as<T>() = counted == 0 ? T(0) : total / static_cast<T>(counted);
  *args.out[2].as<std::int32_t>() = counted;
}

/// in: d_loss [], logits, labels, log_sum_exp, counted; out: d_logits.
template <class T>
void reference_gradient(const KernelArgs& args) {
  const std::int64_t classes = args.in[1].shape()[-1], rows = args.in[2].elements();
  const std::int64_t ignore = args.attributes->integer("ignore_index");
  const auto target =
      numeric::smoothed_target<T>(args.attributes->number("label_smoothing"), classes);
  const T weight = *args.in[0].as<T>() / static_cast<T>(*args.in[4].as<std::int32_t>());
  for (std::int64_t row = 0; row < rows; ++row) {
    const T* x = args.in[1].as<T>() + row * classes;
    T* dx = args.out[0].as<T>() + row * classes;
    const std::int32_t label = args.in[2].as<std::int32_t>()[row];
    const bool valid = label_kind(label, ignore, classes) == LabelKind::valid;
    for (std::int64_t c = 0; c < classes; ++c)
      dx[c] = valid ? numeric::logit_gradient(x[c], args.in[3].as<T>()[row],
                                              c == label ? target.on : target.off, weight)
                    : T(0);
  }
}

/// in: logits, labels; out: correct [], counted [].
template <class T>
void reference_correct_count(const KernelArgs& args) {
  const std::int64_t classes = args.in[0].shape()[-1], rows = args.in[1].elements();
  const std::int64_t ignore = args.attributes->integer("ignore_index");
  std::int32_t correct = 0, counted = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int32_t label = args.in[1].as<std::int32_t>()[row];
    const LabelKind kind = label_kind(label, ignore, classes);
    if (kind == LabelKind::bad) flag_bad_label(*args.step, row, label);
    if (kind != LabelKind::valid) continue;
    const T* x = args.in[0].as<T>() + row * classes;
    std::int64_t best = 0;
    for (std::int64_t c = 1; c < classes; ++c)
      if (numeric::outranks(x[c], x[best])) best = c;
    ++counted;
    correct += best == label;
  }
  *args.out[0].as<std::int32_t>() = correct;
  *args.out[1].as<std::int32_t>() = counted;
}

void gradient_of_cross_entropy(GradientRule& rule) {
  if (!rule.d_out[0]) return;
  rule.d_in[0] = rule.graph.add("cross_entropy_gradient",
                                {rule.d_out[0], rule.in[0], rule.in[1], rule.out[1], rule.out[2]},
                                rule.attributes)[0];
}

using numeric::Counted;
/// `function` of each logit.
template <class Function>
Cost cost_of_logits(const Signature& signature, std::size_t logits, const Function& function) {
  Cost cost = streaming_cost(signature, 0);
  cost.add(numeric::arithmetic_of(function), signature.in[logits].shape.elements());
  return cost;
}
Cost cost_of_cross_entropy(const Signature& signature) {
  return cost_of_logits(signature, 0, [](Counted logit, Counted largest, Counted sum) {
    return sum + numeric::exp_below(logit - max(largest, logit));
  });
}
Cost cost_of_gradient(const Signature& signature) {
  return cost_of_logits(signature, 1, [](Counted logit, Counted log_sum_exp, Counted target) {
    return numeric::logit_gradient(logit, log_sum_exp, target, target);
  });
}
Cost cost_of_correct_count(const Signature& signature) { return streaming_cost(signature, 0); }

void aliases_of_gradient(const Signature&, AliasList& aliases) {
  aliases.push_back({.out = 0, .in = 1, .kind = Alias::Kind::may_overwrite});
}

const OpDefinition kOps[] = {
    {.name = "cross_entropy",
     .infer = infer_cross_entropy,
     .gradient = gradient_of_cross_entropy,
     .reference_f32 = reference_cross_entropy<float>,
     .reference_f64 = reference_cross_entropy<double>,
     .cost = cost_of_cross_entropy,
     .recompute = Recompute::never,
     .uses_step = true},
    {.name = "cross_entropy_gradient",
     .infer = infer_gradient,
     .reference_f32 = reference_gradient<float>,
     .reference_f64 = reference_gradient<double>,
     .cost = cost_of_gradient,
     .aliases = aliases_of_gradient},
    {.name = "correct_count",
     .infer = infer_correct_count,
     .reference_f32 = reference_correct_count<float>,
     .reference_f64 = reference_correct_count<double>,
     .cost = cost_of_correct_count,
     .recompute = Recompute::never,
     .uses_step = true},
};

}  // namespace

std::span<const OpDefinition> cross_entropy_ops() { return kOps; }

}  // namespace kernels
}  // namespace fornax
