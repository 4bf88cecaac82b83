// one_hash: trains a small, deliberately awkward network for some steps and
// prints the SHA-256 of its State. The hash is the same on every device,
// instruction set and number of threads.
#include <fornax/fornax.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

namespace {

using namespace fornax;

constexpr std::int64_t kWords = 17, kWidth = 12, kHidden = 24, kLength = 5;
constexpr std::int64_t kSamples = 30,
                       kBatch = 8; // the last batch of an epoch is short
constexpr std::int32_t kIgnored = -100;

struct Network {
  Graph graph;
  Value loss, norm;
};

/// Embedding, linear + gelu, batch norm, dropout, linear + tanh with a frozen
/// bias, a view, an output layer tied to the embedding, cross-entropy with
/// ignored labels and smoothing.
Network build(Mode mode, std::int64_t batch) {
  Graph graph(mode);
  const Value words = graph.input("words", {batch, kLength}, DType::i32);
  const Value labels = graph.input("labels", {kLength, batch}, DType::i32);
  const Value table =
      graph.parameter("embedding", {kWords, kWidth}, normal(0, 0.5));
  const Value w1 = graph.parameter("w1", {kHidden, kWidth}, he_normal());
  const Value b1 = graph.parameter("b1", {kHidden}, zeros());
  const Value w2 = graph.parameter("w2", {kWidth, kHidden}, xavier_uniform());
  const Value b2 =
      graph.parameter("b2", {kWidth}, uniform(-0.1, 0.1), {.trainable = false});

  Value h = embedding(table, words);                             // [B, T, C]
  h = gelu(linear(h, w1, b1));                                   // [B, T, H]
  h = batch_norm(h, "norm");                                     // [B, T, H]
  h = dropout(h, 0.2);                                           // [B, T, H]
  h = tanh(linear(h, w2, b2));                                   // [B, T, C]
  h = reshape(permute(h, {1, 0, 2}), {kLength * batch, kWidth}); // [T B, C]
  const Value logits = linear(h, table);                         // [T B, V]
  const Value loss =
      cross_entropy(logits, reshape(labels, {kLength * batch}),
                    {.ignore_index = kIgnored, .label_smoothing = 0.1});
  if (mode == Mode::evaluate)
    return {graph, loss, {}};

  const Gradients clipped =
      clip_by_global_norm(gradients(loss, graph.parameters()), 0.5);
  ParameterGroup no_decay{
      .parameters = {}, .weight_decay = 0.0, .learning_rate_scale = {}};
  for (const Value &parameter : graph.parameters())
    if (parameter.shape().rank() == 1)
      no_decay.parameters.push_back(parameter);
  adamw(graph, clipped,
        {.learning_rate = 0.02, .weight_decay = 0.1, .groups = {no_decay}});
  return {graph, loss, clipped.norm};
}

/// Rows `first` ... of a fixed data set: word t + 1 follows from word t, some
/// labels are ignored.
void fill(std::int64_t first, std::int64_t batch, Tensor &words,
          Tensor &labels) {
  for (std::int64_t b = 0; b < batch; ++b)
    for (std::int64_t t = 0; t < kLength; ++t) {
      const std::int64_t sample = first + b;
      const auto word =
          static_cast<std::int32_t>((sample * 7 + t * t * 3 + t) % kWords);
      words.as<std::int32_t>()[static_cast<std::size_t>(b * kLength + t)] =
          word;
      const bool ignored = (sample + t) % 6 == 0;
      labels.as<std::int32_t>()[static_cast<std::size_t>(t * batch + b)] =
          ignored ? kIgnored
                  : static_cast<std::int32_t>((word * 5 + 3) % kWords);
    }
}

struct Options {
  std::string device = "cpu", checkpoint;
  std::int64_t steps = 30, stop_after = -1;
  bool eager = false, unfused = false, verbose = false, resume = false;
  bool submit = false;
};

class Run {
public:
  explicit Run(const Options &options) : options_(options) {
    const Network full = build(Mode::train, kBatch),
                  rest = build(Mode::train, kSamples % kBatch);
    const Network test = build(Mode::evaluate, kBatch);
    state_ =
        initialize(full.graph, Device::parse(options.device), {.seed = 20});
    full_ = step(full), rest_ = step(rest), test_ = step(test);
    if (options.resume)
      load_checkpoint(options.checkpoint, state_);
  }

  State train() {
    while (state_.step() < options_.steps &&
           state_.step() != options_.stop_after) {
      constexpr std::int64_t kPerEpoch = (kSamples + kBatch - 1) / kBatch;
      const std::int64_t first = state_.step() % kPerEpoch * kBatch;
      const std::int64_t number = state_.step();
      Step &step = kSamples - first < kBatch ? rest_ : full_;
      const Ticket ticket = submit(step, first);
      if (!options_.submit)
        report("train", number, ticket.scalar(step.loss));
      else if (last_)
        report("train", number - 1, last_.scalar(last_loss_));
      if (options_.submit)
        last_ = ticket, last_loss_ = step.loss;
      if (number % 10 == 9)
        report("evaluate", number, submit(test_, 0).scalar(test_.loss));
    }
    return state_;
  }

private:
  struct Step {
    Program program;
    Value loss;
    Tensor words, labels;
  };

  Step step(const Network &network) {
    CompileOptions options{.outputs = {network.loss}};
    if (network.norm)
      options.outputs.push_back(network.norm);
    options.capture = !options_.eager, options.fuse = !options_.unfused;
    const Shape labels = network.graph.find("labels").shape();
    return {compile(network.graph, state_, options), network.loss,
            Tensor(DType::i32, {labels[1], kLength}),
            Tensor(DType::i32, labels)};
  }

  Ticket submit(Step &step, std::int64_t first) {
    fill(first, step.words.shape()[0], step.words, step.labels);
    return step.program.submit({{"words", step.words}, {"labels", step.labels}});
  }

  void report(const char *what, std::int64_t number, double loss) const {
    if (options_.verbose)
      std::fprintf(stderr, "%s step %lld loss %.9g\n", what,
                   static_cast<long long>(number), loss);
  }

  Options options_;
  State state_;
  Step full_, rest_, test_;
  Ticket last_; // of the step under way, with --submit
  Value last_loss_;
};

} // namespace

int main(int count, char **words) {
  CLI::App app(
      "Trains an awkward little network and prints the SHA-256 of its State.");
  Options options;
  int threads = 0;
  app.add_option("--device", options.device, "cpu, reference, simt or cuda");
  app.add_option("--threads", threads, "CPU threads");
  app.add_option("--steps", options.steps, "training steps in all");
  app.add_option("--stop-after", options.stop_after,
                 "save to --checkpoint after this step and end");
  app.add_option("--checkpoint", options.checkpoint,
                 "file to save to or to resume from");
  app.add_flag("--resume", options.resume, "go on from --checkpoint");
  app.add_flag("--eager", options.eager,
               "launch kernel by kernel, no captured graph");
  app.add_flag("--unfused", options.unfused, "one kernel a node");
  app.add_flag("--submit", options.submit,
               "read a step's loss when the next one is under way");
  app.add_flag("--verbose", options.verbose, "print losses to stderr");
  CLI11_PARSE(app, count, words);
  try {
    if (threads > 0 && options.device == "cpu")
      options.device += ':' + std::to_string(threads);
    const State state = Run(options).train();
    if (options.stop_after >= 0)
      save_checkpoint(options.checkpoint, state);
    std::printf("%s\n", state.sha256().c_str());
  } catch (const std::exception &error) {
    std::fprintf(stderr, "one_hash: %s\n", error.what());
    return 1;
  }
}
