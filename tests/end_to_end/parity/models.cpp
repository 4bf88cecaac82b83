// Between them the models use every activation, loss, view, reduction and optimizer that there is.
#include "tests/end_to_end/parity/models.h"

#include <algorithm>

namespace fornax::parity {

namespace {

constexpr std::int32_t kIgnored = -100;

/// linear with the parameters "w<name>" and "b<name>".
Value dense(Graph graph, const std::string& name, Value x, std::int64_t out) {
  const Value w = graph.parameter("w" + name, {out, x.shape()[-1]}, xavier_uniform());
  return linear(x, w, graph.parameter("b" + name, {out}, uniform(-0.1, 0.1)));
}

/// f32 values drawn as initial values are: the same bits everywhere.
Tensor drawn(const std::string& name, const Shape& shape, Initializer initializer = normal()) {
  Graph graph;
  graph.parameter(name, shape, initializer);
  return initialize(graph, Device::reference(), {.seed = kSeed}).get(name);
}

/// Labels 0 .. classes - 1 in no simple order; every `ignored`-th does not count (0: all count).
Tensor labels(const Shape& shape, std::int32_t classes, std::size_t ignored) {
  Tensor tensor(DType::i32, shape);
  const auto elements = tensor.as<std::int32_t>();
  for (std::size_t i = 0; i < elements.size(); ++i) {
    const auto number = static_cast<std::int32_t>(i);
    elements[i] = (number * number * 3 + number * 5 + number / 7) % classes;
    if (ignored && i % ignored == ignored - 1) elements[i] = kIgnored;
  }
  return tensor;
}

/// Two gelu layers, smoothed labels of which some are ignored.
Value classifier_loss(Graph graph) {
  const Value x = graph.input("x", {12, 6}), label = graph.input("label", {12}, DType::i32);
  const Value h = gelu_tanh(dense(graph, "1", x, 16));
  const Value logits = dense(graph, "3", gelu_tanh(dense(graph, "2", h, 12)), 5);
  return cross_entropy(logits, label, {.ignore_index = kIgnored, .label_smoothing = 0.1});
}
/// Biases do not decay; the last matrix learns at half the rate.
void classifier_update(Graph graph, const Gradients& gradients) {
  ParameterGroup biases{.weight_decay = 0.0};
  for (const char* name : {"b1", "b2", "b3"}) biases.parameters.push_back(graph.find(name));
  const ParameterGroup last{.parameters = {graph.find("w3")}, .learning_rate_scale = 0.5};
  adamw(graph, gradients, {.weight_decay = 0.1, .groups = {biases, last}});
}
TensorMap classifier_data() {
  return {{"x", drawn("classifier.x", {kBatches, 12, 6})}, {"label", labels({kBatches, 12}, 5, 7)}};
}

/// Batch norm twice, once over two axes of rows at a time.
Value batch_norm_loss(Graph graph) {
  const LinearOptions no_bias{.bias = false};
  const Sequential model = {
      Linear(6, 16, no_bias), BatchNorm(16), Relu(),      Linear(16, 8, no_bias),
      BatchNorm(8),           Relu(),        Linear(8, 4)};
  const Value x = graph.input("x", {4, 5, 6}), label = graph.input("label", {4, 5}, DType::i32);
  return cross_entropy(model(graph, x), label);
}
void batch_norm_update(Graph graph, const Gradients& gradients) {
  sgd(graph, gradients, {.momentum = 0.9, .weight_decay = 0.01});
}
TensorMap batch_norm_data() {
  return {{"x", drawn("batch_norm.x", {kBatches, 4, 5, 6}, normal(0.5, 2))},
          {"label", labels({kBatches, 4, 5}, 4, 0)}};
}

/// Words to the next word; the output layer is the table of the embedding.
Value tied_loss(Graph graph) {
  const Value words = graph.input("words", {5, 6}, DType::i32);
  const Value next = graph.input("next", {5, 6}, DType::i32);
  const Value table = graph.parameter("table", {11, 8}, normal(0, 0.5));
  Value h = silu(dense(graph, "1", embedding(table, words), 16));
  h = multiply(tanh(dense(graph, "2", h, 12)), sigmoid(dense(graph, "3", h, 12)));
  h = gelu(dense(graph, "4", h, 8));
  return cross_entropy(linear(h, table), next, {.ignore_index = kIgnored});
}
void tied_update(Graph graph, const Gradients& gradients) {
  adamw(graph, gradients, {.beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-6});
}
TensorMap tied_data() {
  return {{"words", labels({kBatches, 5, 6}, 11, 0)}, {"next", labels({kBatches, 5, 6}, 10, 9)}};
}

/// Every activation, view and pointwise function of `left` and `right`.
Value mixed(Value left, Value right) {
  Value h = add(relu(left), multiply(tanh(right), sigmoid(left)));
  h = add(h, subtract(silu(right), gelu(left)));
  h = add(h, gelu_tanh(subtract(0.5, right)));
  const Value ratio = divide(h, sqrt(add(square(h), 0.1)));
  h = add(h, log(add(exp(ratio), 1.0)));
  return maximum(minimum(h, multiply(left, 2.0)), multiply(right, -0.5));
}
Value views_loss(Graph graph) {
  const Value x = graph.input("x", {8, 3, 4}), target = graph.input("target", {8, 6});
  const Value gain = graph.parameter("gain", {3, 1, 6}, uniform(0.5, 1.5));
  const Value offset = graph.parameter("offset", {6}, normal(0, 0.2));
  Value h = dense(graph, "1", permute(x, {1, 0, 2}), 6);               // [3, 8, 6]
  h = add(multiply(h, gain), offset);                                  // [3, 8, 6]
  Value m = mixed(slice(h, 2, 0, 3), slice(h, 2, 3, 6));               // [3, 8, 3]
  m = multiply(m, softmax(dense(graph, "2", h, 3)));                   // [3, 8, 3]
  const Value centred = subtract(m, mean(m, {2}, ReducedAxes::keep));  // [3, 8, 3]
  const Value rows = reshape(transpose(centred, 0, 1), {8, 9});        // [8, 9]
  const Value error = mean_squared_error(dense(graph, "3", rows, 6), target);
  const Value sums = sum(m, {0, 2});  // [8]
  const Value spread = mean(square(subtract(broadcast(sums, {2, 8}), 1.0)));
  const Value evenness = negate(mean(log_softmax(m)));
  return add(add(error, multiply(spread, 0.01)), divide(evenness, 20.0));
}
void views_update(Graph graph, const Gradients& gradients) {
  sgd(graph, gradients, {.momentum = 0.8, .weight_decay = 1e-3, .nesterov = true});
}
TensorMap views_data() {
  return {{"x", drawn("views.x", {kBatches, 8, 3, 4})},
          {"target", drawn("views.target", {kBatches, 8, 6})}};
}

/// Plain descent with a rate that changes every step.
Value logistic_loss(Graph graph) {
  const Value x = graph.input("x", {10, 5}), target = graph.input("target", {10, 3});
  const Value logits = dense(graph, "2", tanh(dense(graph, "1", x, 12)), 3);
  return binary_cross_entropy(logits, target);
}
void logistic_update(Graph graph, const Gradients& gradients) { sgd(graph, gradients); }
TensorMap logistic_data() {
  return {{"x", drawn("logistic.x", {kBatches, 10, 5})},
          {"target", drawn("logistic.target", {kBatches, 10, 3}, uniform(0, 1))}};
}

constexpr double kDropP = 0.2;
const Shape kFirstMask = {12, 16}, kSecondMask = {12, 8};

/// PyTorch's random stream is another one: it takes our masks, of every step.
Value dropout_loss(Graph graph) {
  const Value x = graph.input("x", {12, 6}), target = graph.input("target", {12, 3});
  Value h = dropout(silu(dense(graph, "1", x, kFirstMask[1])), kDropP);
  h = dropout(tanh(dense(graph, "2", h, kSecondMask[1])), kDropP);
  return mean_squared_error(dense(graph, "3", h, 3), target);
}
void dropout_update(Graph graph, const Gradients& gradients) {
  sgd(graph, gradients, {.weight_decay = 0.02});
}

Tensor ones_of(const Shape& shape) {
  Tensor tensor(DType::f32, shape);
  for (float& element : tensor.as<float>()) element = 1;
  return tensor;
}

/// The masks of dropout_loss: a dropout's name, the seed and the step are all that they depend on.
TensorMap masks() {
  Graph graph;
  const std::vector<Value> kept = {dropout(graph.input("first", kFirstMask), kDropP),
                                   dropout(graph.input("second", kSecondMask), kDropP)};
  State state = initialize(graph, Device::reference(), {.seed = kSeed});
  Program program = compile(graph, state, {.outputs = kept});
  const Tensor first = ones_of(kFirstMask), second = ones_of(kSecondMask);
  const std::vector<std::string> names = {"first_mask", "second_mask"};
  TensorMap result = {{names[0], Tensor(DType::boolean, {kSteps, 12, 16})},
                      {names[1], Tensor(DType::boolean, {kSteps, 12, 8})}};
  for (int step = 0; step < kSteps; ++step) {
    state.set_step(step);
    const Outputs& outputs = program.run({{"first", first}, {"second", second}});
    for (std::size_t k = 0; k < kept.size(); ++k) {
      const auto from = outputs.tensor(kept[k]).as<float>();
      bool* to =
          result.at(names[k]).as<bool>().data() + static_cast<std::size_t>(step) * from.size();
      std::transform(from.begin(), from.end(), to, [](float value) { return value != 0; });
    }
  }
  return result;
}
TensorMap dropout_data() {
  TensorMap data = masks();
  data.emplace("x", drawn("dropout.x", {kBatches, 12, 6}));
  data.emplace("target", drawn("dropout.target", {kBatches, 12, 3}));
  return data;
}

template <int kThousandths>
double constant_rate(int) {
  return kThousandths / 1000.0;
}
double falling_rate(int step) { return 0.3 / (1 + 0.03 * step); }

}  // namespace

std::span<const Model> models() {
  static const Model kModels[] = {
      {"classifier", classifier_loss, classifier_update, classifier_data, constant_rate<20>, 0.5},
      {"batch_norm", batch_norm_loss, batch_norm_update, batch_norm_data, constant_rate<20>},
      {"tied", tied_loss, tied_update, tied_data, constant_rate<10>},
      {"views", views_loss, views_update, views_data, constant_rate<30>},
      {"logistic", logistic_loss, logistic_update, logistic_data, falling_rate, 0.3},
      {"dropout", dropout_loss, dropout_update, dropout_data, constant_rate<100>},
  };
  return kModels;
}

const Model& model(const std::string& name) {
  for (const Model& model : models())
    if (model.name == name) return model;
  throw Error(ErrorCode::not_found, "parity: no model is called '" + name + '\'');
}

}  // namespace fornax::parity
