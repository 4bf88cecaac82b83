// Trainer: one State, a small cache of Programs by mode and batch size;
// evaluate and predict.
#include <fornax/error.h>
#include <fornax/metrics.h>
#include <fornax/ops/cross_entropy.h>
#include <fornax/ops/layout.h>
#include <fornax/ops/optimizer_step.h>
#include <fornax/ops/pointwise.h>
#include <fornax/ops/reduction.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <ostream>

#include "kernels/op.h"
#include "runtime/training/trainer_content.h"

namespace fornax {

using kernels::require;

namespace {

constexpr std::int64_t kEvaluationRows = 256;

Shape with_rows(const Shape& shape, std::int64_t rows) {
  std::vector<std::int64_t> extents(shape.begin(), shape.end());
  extents[0] = rows;
  return Shape(std::span<const std::int64_t>(extents));
}

/// Rows [first, first + count) of `from`.
Tensor rows_of(const Tensor& from, std::int64_t first, std::int64_t count) {
  Tensor part(from.dtype(), with_rows(from.shape(), count));
  const std::size_t row = from.bytes().size() / static_cast<std::size_t>(from.shape()[0]);
  std::memcpy(part.bytes().data(), from.bytes().data() + row * static_cast<std::size_t>(first),
              row * static_cast<std::size_t>(count));
  return part;
}

}  // namespace

void Trainer::Content::optimize(Graph graph, const Gradients& gradients) const {
  if (const AdamW* adam = std::get_if<AdamW>(&options.optimizer)) {
    ParameterGroup plain{{}, 0.0, {}};
    for (const ParameterGradient& item : gradients.items)
      if (item.parameter.shape().rank() < 2) plain.parameters.push_back(item.parameter);
    adamw(graph, gradients,
          {adam->learning_rate,
           adam->beta1,
           adam->beta2,
           adam->epsilon,
           adam->weight_decay,
           {plain}});
  } else {
    const Sgd& plain = std::get<Sgd>(options.optimizer);
    sgd(graph, gradients, {plain.learning_rate, plain.momentum, plain.weight_decay, false, {}});
  }
}

Value Trainer::Content::loss_of(Value output, Value target) const {
  if (options.loss == Loss::cross_entropy)
    return cross_entropy(output, target, {.label_smoothing = options.label_smoothing});
  require(output.shape().elements() == target.shape().elements(), ErrorCode::shape,
          "trainer: the model gives " + to_string(output.shape()) + " for targets " +
              to_string(target.shape()));
  return mean(square(subtract(reshape(output, target.shape()), target)));
}

Trainer::Content::Step Trainer::Content::build(Mode mode, std::int64_t rows) {
  Graph graph(mode);
  Step step;
  const Value x = graph.input("features", with_rows(feature_shape, rows), feature_dtype);
  const Value y = graph.input("targets", with_rows(target_shape, rows), target_dtype);
  step.output = model(graph, x);
  step.loss = loss_of(step.output, y);
  CompileOptions compile_options{.outputs = {step.loss}, .arena = arena};
  if (mode == Mode::train) {
    Gradients all = gradients(step.loss, graph.parameters());
    if (options.clip_norm > 0) all = clip_by_global_norm(all, options.clip_norm);
    optimize(graph, all);
  } else {
    compile_options.outputs.push_back(step.output);
  }
  if (!state) state = initialize(graph, options.device, {.seed = options.seed});
  step.program = compile(graph, state, compile_options);
  return step;
}

Trainer::Content::Step& Trainer::Content::step(Mode mode, std::int64_t rows) {
  const auto found = steps.find({mode, rows});
  if (found != steps.end()) return found->second;
  // Many sizes come only from callers that evaluate many sets; a few programs
  // are kept.
  if (steps.size() >= 16) steps.erase(steps.begin());
  return steps.emplace(std::pair(mode, rows), build(mode, rows)).first->second;
}

void Trainer::Content::meet(const Dataset& data, Targets targets) {
  require(data.features.shape().rank() > 0, ErrorCode::shape,
          "trainer: features are " + to_string(data.features.shape()) +
              "; their first axis counts the rows");
  const bool without = data.targets.shape().rank() == 0;
  require(without ? targets == Targets::optional && state : data.targets.shape()[0] == data.size(),
          ErrorCode::shape,
          "trainer: targets are " + to_string(data.targets.shape()) + " for " +
              std::to_string(data.size()) + " rows; one target a row");
  if (!state) {
    feature_shape = data.features.shape(), feature_dtype = data.features.dtype();
    target_shape = data.targets.shape(), target_dtype = data.targets.dtype();
  }
  const auto fits = [](const Tensor& tensor, const Shape& shape, DType dtype) {
    return tensor.dtype() == dtype && with_rows(tensor.shape(), 0) == with_rows(shape, 0);
  };
  require(fits(data.features, feature_shape, feature_dtype), ErrorCode::shape,
          "trainer: the data have features " + to_string(data.features.shape()) +
              ", earlier data had " + to_string(feature_shape) + " (the first axis may differ)");
  require(without || fits(data.targets, target_shape, target_dtype), ErrorCode::shape,
          "trainer: the data have targets " + std::string(name(data.targets.dtype())) + ' ' +
              to_string(data.targets.shape()) + ", earlier data had " + name(target_dtype) + ' ' +
              to_string(target_shape) + " (the first axis may differ)");
}

Trainer::Trainer(Sequential model, TrainerOptions options) : content_(new Content) {
  require(options.clip_norm >= 0, ErrorCode::invalid_argument,
          "trainer: clip_norm is " + std::to_string(options.clip_norm) + "; it is 0 or more");
  content_->model = std::move(model);
  content_->options = std::move(options);
}
Trainer::~Trainer() = default;
Trainer::Trainer(Trainer&&) noexcept = default;
Trainer& Trainer::operator=(Trainer&&) noexcept = default;

const State& Trainer::state() const {
  require(static_cast<bool>(content_->state), ErrorCode::invalid_argument,
          "trainer: state() before any data were seen");
  return content_->state;
}

Tensor Trainer::Content::sweep(const Dataset& data, double* loss) {
  const std::int64_t rows = data.size();
  Tensor result;
  for (std::int64_t first = 0; first < rows; first += kEvaluationRows) {
    const std::int64_t count = std::min(kEvaluationRows, rows - first);
    const Tensor features = rows_of(data.features, first, count);
    const Tensor targets = data.targets.shape().rank() == 0
                               ? Tensor(target_dtype, with_rows(target_shape, count))
                               : rows_of(data.targets, first, count);
    Step& at = step(Mode::evaluate, count);
    const Outputs& out = at.program.run({{"features", features}, {"targets", targets}});
    *loss += out.scalar(at.loss) * static_cast<double>(count);
    const Tensor& part = out.tensor(at.output);
    if (result.empty()) result = Tensor(part.dtype(), with_rows(part.shape(), rows));
    const std::size_t row = part.bytes().size() / static_cast<std::size_t>(count);
    std::memcpy(result.bytes().data() + row * static_cast<std::size_t>(first), part.bytes().data(),
                part.bytes().size());
  }
  return result;
}

Evaluation Trainer::evaluate(const Dataset& data) {
  Content& content = *content_;
  content.meet(data);
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  Evaluation result{kNone, kNone, kNone, data.size()};
  if (result.samples == 0) return result;
  double loss = 0;
  const Tensor scores = content.sweep(data, &loss);
  result.loss = loss / static_cast<double>(result.samples);
  if (content.options.loss != Loss::cross_entropy || scores.shape().rank() != 2 ||
      scores.dtype() != DType::f32)
    return result;
  result.accuracy = fornax::accuracy(scores, data.targets);
  result.auc = area_under_curve(scores, data.targets);
  return result;
}

Tensor Trainer::predict(const Dataset& data) {
  content_->meet(data, Content::Targets::optional);
  require(data.size() > 0, ErrorCode::invalid_argument, "predict: the data set has no rows");
  double loss = 0;
  return content_->sweep(data, &loss);
}

std::ostream& operator<<(std::ostream& out, const Evaluation& evaluation) {
  out << "loss " << evaluation.loss;
  if (evaluation.accuracy == evaluation.accuracy) out << ", accuracy " << evaluation.accuracy;
  if (evaluation.auc == evaluation.auc) out << ", auc " << evaluation.auc;
  return out << ", samples " << evaluation.samples;
}

}  // namespace fornax
