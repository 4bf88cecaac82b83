// classifier: trains a multilayer perceptron on any CSV file with a class
// column, measures it on held-out rows or by cross-validation, and leaves
// summary.json, metrics.jsonl and pictures.
#include <fornax/fornax.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace {

using namespace fornax;

struct Options {
  std::string data, target = "last", device = "automatic", progress = "auto", out = "out";
  std::int64_t folds = 0, epochs = 0, batch = 0, hidden = 32;
  std::uint64_t seed = 0;
  double learning_rate = 0.01, dropout = 0.3, weight_decay = 0.5;
  int threads = 0;
};

/// Epochs and batch size that suit a table of `rows`: about 3000 steps, 20 to
/// 200 epochs.
void fill_defaults(Options& options, std::int64_t rows) {
  if (options.batch == 0) options.batch = rows < 2000 ? 16 : rows < 20000 ? 64 : 256;
  const std::int64_t per_epoch = (rows + options.batch - 1) / options.batch;
  if (options.epochs == 0) options.epochs = std::clamp<std::int64_t>(3000 / per_epoch, 20, 80);
}

/// One line that moves on a terminal; a plain line now and then elsewhere.
class Progress {
 public:
  Progress(const std::string& mode, std::string label) : label_(std::move(label)) {
    const char* term = std::getenv("TERM");
    const bool terminal = isatty(2) && !std::getenv("CI") && term && std::string(term) != "dumb";
    moves_ = mode == "auto" && terminal;
    silent_ = mode == "none";
  }
  void show(const EpochReport& report) {
    const bool last = report.epoch == report.epochs;
    const bool due =
        moves_ || last || report.epoch % std::max<std::int64_t>(1, report.epochs / 5) == 0;
    if (silent_ || !due) return;
    std::fprintf(stderr, "%s%sepoch %lld/%lld  step %lld  loss %.4f  validation %.4f  lr %.2g%s",
                 moves_ ? "\r\033[K" : "", label_.c_str(), static_cast<long long>(report.epoch),
                 static_cast<long long>(report.epochs), static_cast<long long>(report.step),
                 report.training_loss, report.validation_loss, report.learning_rate,
                 moves_ && !last ? "" : "\n");
  }

 private:
  std::string label_;
  bool moves_ = false, silent_ = false;
};

struct Result {
  Evaluation held_out;
  std::int64_t steps = 0;
  std::string hash;
  std::vector<EpochReport> reports;
  Dataset test;
  Tensor scores;
};

std::string number(double value) {
  if (!std::isfinite(value)) return "null";
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

void log_epoch(std::ofstream& file, std::int64_t fold, const EpochReport& report) {
  file << "{\"fold\": " << fold << ", \"epoch\": " << report.epoch << ", \"step\": " << report.step
       << ", \"loss\": " << number(report.training_loss)
       << ", \"validation_loss\": " << number(report.validation_loss)
       << ", \"validation_accuracy\": " << number(report.validation_accuracy)
       << ", \"learning_rate\": " << number(report.learning_rate)
       << ", \"seconds\": " << number(report.seconds) << "}\n";
}

Result train(const Options& options, const Table& table, const Fold& fold, std::int64_t index,
             std::ofstream& metrics) {
  TablePreprocessor preprocessor;
  preprocessor.fit(table, fold.train);
  const Dataset training = preprocessor.apply(table, fold.train);
  Result result;
  result.test = preprocessor.apply(table, fold.test);
  const std::int64_t features = training.features.shape()[1];
  const auto classes = static_cast<std::int64_t>(training.class_names.size());
  Sequential model{Linear(features, options.hidden),       Gelu(), Dropout(options.dropout),
                   Linear(options.hidden, options.hidden), Gelu(), Linear(options.hidden, classes)};
  Device device = Device::parse(options.device);
  if (options.threads > 0) device.threads = options.threads;
  if (options.threads > 0 && device.kind == Device::Kind::automatic)
    device.kind = Device::Kind::cpu;
  Trainer trainer(model, {.optimizer = AdamW{.learning_rate = options.learning_rate,
                                             .weight_decay = options.weight_decay},
                          .label_smoothing = 0.05,
                          .clip_norm = 1,
                          .device = device,
                          .seed = options.seed});
  Progress progress(options.progress,
                    options.folds ? "fold " + std::to_string(index + 1) + "  " : std::string());
  FitOptions fit{.epochs = options.epochs,
                 .batch_size = options.batch,
                 .schedule = Schedule::cosine,
                 .warmup = 0.05};
  fit.validation = &result.test;
  fit.on_epoch = [&](const EpochReport& report) {
    progress.show(report);
    log_epoch(metrics, index, report);
    return true;
  };
  result.reports = trainer.fit(training, fit);
  result.held_out = trainer.evaluate(result.test);
  result.scores = trainer.predict(result.test);
  result.steps = trainer.state().step();
  result.hash = trainer.state().sha256();
  return result;
}

double mean_of(const std::vector<Result>& results, double Evaluation::*field) {
  double sum = 0;
  for (const Result& result : results) sum += result.held_out.*field;
  return sum / static_cast<double>(results.size());
}
/// Sample standard deviation over folds.
double deviation_of(const std::vector<Result>& results, double Evaluation::*field) {
  const double mean = mean_of(results, field);
  double sum = 0;
  for (const Result& result : results)
    sum += (result.held_out.*field - mean) * (result.held_out.*field - mean);
  return results.size() > 1 ? std::sqrt(sum / static_cast<double>(results.size() - 1)) : 0;
}

void write_summary(const Options& options, const std::vector<Result>& results, double seconds) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::int64_t steps = 0;
  for (const Result& result : results) steps += result.steps;
  std::ofstream file(options.out + "/summary.json");
  file << "{\n";
  const std::pair<const char*, double Evaluation::*> fields[] = {
      {"loss", &Evaluation::loss}, {"accuracy", &Evaluation::accuracy}, {"auc", &Evaluation::auc}};
  for (const auto& [name, field] : fields) {
    file << "  \"" << name << "\": " << number(mean_of(results, field)) << ",\n";
    if (options.folds)
      file << "  \"" << name << "_sd\": " << number(deviation_of(results, field)) << ",\n";
  }
  file << "  \"steps\": " << steps << ",\n  \"seconds\": " << number(seconds)
       << ",\n  \"peak_memory_bytes\": " << usage.ru_maxrss * 1024 << ",\n  \"state_sha256\": \""
       << results.back().hash << "\"\n}\n";
  file.close();
  if (!file) throw Error(ErrorCode::io, "'" + options.out + "/summary.json' cannot be written");
}

void write_pictures(const Options& options, const Result& result) {
  std::vector<Series> curves = {
      {"training loss", {}, {}}, {"held-out loss", {}, {}}, {"held-out accuracy", {}, {}}};
  for (const EpochReport& report : result.reports) {
    const double y[] = {report.training_loss, report.validation_loss, report.validation_accuracy};
    for (std::size_t i = 0; i < 3; ++i) {
      curves[i].x.push_back(static_cast<double>(report.epoch));
      curves[i].y.push_back(y[i]);
    }
  }
  write_curves(options.out + "/curves.svg", curves, {"Training", "epoch", ""});

  const auto classes = static_cast<std::size_t>(result.scores.shape()[1]);
  const auto columns = static_cast<std::size_t>(result.test.features.shape()[1]);
  std::vector<Series> points(classes);
  for (std::size_t c = 0; c < classes; ++c) points[c].label = result.test.class_names[c];
  const auto scores = result.scores.as<float>();
  const auto features = result.test.features.as<float>();
  const std::size_t x = columns >= 4 ? 2 : 0, y = columns >= 4 ? 3 : columns - 1;
  for (std::size_t row = 0; row * classes < scores.size(); ++row) {
    const auto at = scores.subspan(row * classes, classes);
    auto& series =
        points[static_cast<std::size_t>(std::max_element(at.begin(), at.end()) - at.begin())];
    series.x.push_back(static_cast<double>(features[row * columns + x]));
    series.y.push_back(static_cast<double>(features[row * columns + y]));
  }
  const auto& names = result.test.feature_names;
  write_scatter(options.out + "/scatter.svg", points,
                {"Held-out rows by predicted class (standardised)", names.empty() ? "" : names[x],
                 names.empty() ? "" : names[y]});
}

void run(Options options) {
  const Table table = read_table(
      options.data, {.target = options.target, .target_kind = CsvOptions::Target::classes});
  TablePreprocessor all;
  all.fit(table);
  const Dataset whole = all.apply(table);
  fill_defaults(options, table.rows());
  std::vector<Fold> folds;
  if (options.folds)
    folds = k_folds(whole, {.folds = options.folds, .seed = options.seed, .stratified = true});
  else
    folds.push_back(split_rows(whole, {.fraction = 0.8, .seed = options.seed, .stratified = true}));
  std::filesystem::create_directories(options.out);
  std::ofstream metrics(options.out + "/metrics.jsonl");
  std::printf("%s: %lld rows, %lld features, %zu classes\n", options.data.c_str(),
              static_cast<long long>(table.rows()),
              static_cast<long long>(whole.features.shape()[1]), whole.class_names.size());
  const auto begin = std::chrono::steady_clock::now();
  std::vector<Result> results;
  for (std::size_t i = 0; i < folds.size(); ++i)
    results.push_back(train(options, table, folds[i], static_cast<std::int64_t>(i), metrics));
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  write_summary(options, results, seconds);
  write_pictures(options, results.back());
  std::printf(
      "held out: loss %.4f, accuracy %.4f, auc %.4f (%zu run%s, %.1f "
      "s)\nleft in %s: "
      "summary.json metrics.jsonl curves.svg scatter.svg\n",
      mean_of(results, &Evaluation::loss), mean_of(results, &Evaluation::accuracy),
      mean_of(results, &Evaluation::auc), results.size(), results.size() > 1 ? "s" : "", seconds,
      options.out.c_str());
}

}  // namespace

int main(int count, char** words) {
  CLI::App app("Trains a classifier on a CSV file and measures it on held-out rows.");
  Options options;
  app.add_option("--data", options.data, "CSV file")->required();
  app.add_option("--target", options.target, "class column: name, number from 0, or last");
  app.add_option("--folds", options.folds, "cross-validate over so many folds")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1000}));
  app.add_option("--seed", options.seed, "seed of split, weights, order and dropout");
  app.add_option("--epochs", options.epochs, "passes over the data; 0: chosen by their number");
  app.add_option("--batch", options.batch, "rows a step; 0: chosen by their number");
  app.add_option("--hidden", options.hidden, "width of the hidden layers");
  app.add_option("--learning-rate", options.learning_rate, "highest learning rate");
  app.add_option("--dropout", options.dropout, "part of the first hidden layer to drop");
  app.add_option("--weight-decay", options.weight_decay, "decay of the weight matrices");
  app.add_option("--threads", options.threads, "CPU threads; 0: all");
  app.add_option("--device", options.device, "automatic, cpu, reference, simt or cuda:N");
  app.add_option("--progress", options.progress, "auto, plain or none")
      ->check(CLI::IsMember({"auto", "plain", "none"}));
  app.add_option("--out", options.out, "folder for results");
  try {
    app.parse(count, words);
    run(options);
    return 0;
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "classifier: %s\n", error.what());
    return 1;
  }
}
