// Trainer::fit: epochs over a loader, resumed bit for bit.
#include <fornax/error.h>
#include <fornax/storage.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <limits>
#include <utility>

#include "kernels/op.h"
#include "runtime/training/schedule.h"
#include "runtime/training/trainer_content.h"

namespace fornax {

using kernels::require;

namespace {

void check(const FitOptions& options, const Dataset& data) {
  const auto refuse_unless = [](bool condition, const std::string& message) {
    require(condition, ErrorCode::invalid_argument, "fit: " + message);
  };
  refuse_unless(options.epochs >= 0,
                "epochs is " + std::to_string(options.epochs) + "; it is 0 or more");
  refuse_unless(options.batch_size > 0,
                "batch_size is " + std::to_string(options.batch_size) + "; it is 1 or more");
  refuse_unless(options.warmup >= 0 && options.warmup < 1,
                "warmup is " + std::to_string(options.warmup) + "; it lies in [0, 1)");
  refuse_unless(options.validation_fraction >= 0 && options.validation_fraction < 1,
                "validation_fraction is " + std::to_string(options.validation_fraction) +
                    "; it lies in [0, 1)");
  refuse_unless(options.checkpoint_epochs > 0 && options.stop_after_steps >= 0,
                "checkpoint_epochs is " + std::to_string(options.checkpoint_epochs) +
                    " and stop_after_steps " + std::to_string(options.stop_after_steps) +
                    "; they are 1 or more and 0 or more");
  refuse_unless(!options.validation || options.validation_fraction == 0,
                "validation and validation_fraction are both given; give one");
  refuse_unless(data.size() > 0, "the data set has no rows");
  refuse_unless(!(options.resume || options.stop_after_steps) || !options.checkpoint.empty(),
                "resume and stop_after_steps need a checkpoint");
}

std::int64_t first_step_of(const std::string& note) {
  std::int64_t step = 0;
  const auto [end, error] = std::from_chars(note.data(), note.data() + note.size(), step);
  require(error == std::errc() && end == note.data() + note.size() && step >= 0,
          ErrorCode::invalid_argument,
          "fit: the checkpoint's first_step is '" + note + "'; it is no checkpoint of fit");
  return step;
}

/// Whether a step of the device leaves the CPU idle.
bool leaves_a_cpu(const Device& device) {
  return device.kind == Device::Kind::cuda || device.kind == Device::Kind::simt;
}

/// One call of fit.
class Fit {
 public:
  Fit(Trainer& trainer, Trainer::Content& content, const Dataset& data, const FitOptions& options)
      : trainer_(trainer),
        content_(content),
        options_(options),
        rows_(data.size()),
        loader_(data,
                {.batch_size = std::min(options.batch_size, rows_),
                 .seed = content.options.seed,
                 .epochs = std::max<std::int64_t>(options.epochs, 1),
                 .prefetch = options.prefetch.value_or(leaves_a_cpu(content.options.device))}),
        schedule_{
            options.schedule,
            std::visit([](const auto& o) { return o.learning_rate; }, content.options.optimizer),
            options.warmup, options.epochs * loader_.batches_per_epoch()} {
    content_.step(Mode::train, std::min(options.batch_size, rows_));  // makes the State
    begin_step_ = content_.state.step();
    content_.state.set_note(kBegin, std::to_string(begin_step_));
    if (!options_.resume || !std::filesystem::exists(options_.checkpoint)) return;
    load_checkpoint(options_.checkpoint, content_.state);
    loader_.seek(content_.state.note(kPosition));
    begin_step_ = first_step_of(content_.state.note(kBegin));
  }

  std::vector<EpochReport> run() {
    try {
      return train_epochs();
    } catch (...) {
      forget_step();
      throw;
    }
  }

 private:
  static constexpr const char* kPosition = "loader";
  static constexpr const char* kBegin = "first_step";  ///< of this fit, also when resumed

  /// A step whose loss is read when the next one is under way.
  struct Step {
    Ticket ticket;
    Value loss;
    std::int64_t rows = 0, number = 0;
  };

  std::vector<EpochReport> train_epochs() {
    std::vector<EpochReport> reports;
    while (options_.epochs > 0) {
      if (at_stop()) break;
      const Batch* batch = loader_.next();
      if (!batch) break;
      train(*batch);
      if (batch->first + batch->features.shape()[0] < rows_) continue;
      reports.push_back(finish_epoch(batch->epoch));
      if ((batch->epoch + 1) % options_.checkpoint_epochs == 0) save();
      if (options_.on_epoch && !options_.on_epoch(reports.back())) break;
    }
    save();
    return reports;
  }

  bool at_stop() const {
    return options_.stop_after_steps && content_.state.step() >= options_.stop_after_steps;
  }

  void save() {
    read_step();
    if (options_.checkpoint.empty()) return;
    content_.state.set_note(kPosition, loader_.position());
    save_checkpoint(options_.checkpoint, content_.state);
  }

  void train(const Batch& batch) {
    State& state = content_.state;
    state.set_scalar("learning_rate", schedule_.at(state.step() - begin_step_));
    const std::int64_t count = batch.features.shape()[0];
    auto& step = content_.step(Mode::train, count);
    const Ticket ticket =
        step.program.submit({{"features", batch.features}, {"targets", batch.targets}});
    const Step before = std::exchange(under_way_, {ticket, step.loss, count, state.step()});
    if (before.ticket) count_loss(before);
  }

  /// Waits for the step under way, if there is one.
  void read_step() {
    const Step step = std::exchange(under_way_, {});
    if (step.ticket) count_loss(step);
  }

  void count_loss(const Step& step) {
    const double loss = step.ticket.scalar(step.loss);
    require(std::isfinite(loss), ErrorCode::invalid_argument,
            "fit: the loss is " + std::to_string(loss) + " after step " +
                std::to_string(step.number) + "; try a smaller learning rate, or clip_norm");
    loss_sum_ += loss * static_cast<double>(step.rows);
    seen_ += static_cast<double>(step.rows);
  }

  /// What the step under way has to say does not matter: an error is on its way.
  void forget_step() {
    try {
      if (under_way_.ticket) under_way_.ticket.wait();
    } catch (const Error&) {
    }
  }

  EpochReport finish_epoch(std::int64_t epoch) {
    read_step();
    constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
    EpochReport report;
    report.epoch = epoch + 1, report.epochs = options_.epochs;
    report.step = content_.state.step();
    report.training_loss = std::exchange(loss_sum_, 0) / std::exchange(seen_, 0);
    report.validation_loss = report.validation_accuracy = kNone;
    if (options_.validation) {
      const Evaluation held_out = trainer_.evaluate(*options_.validation);
      report.validation_loss = held_out.loss, report.validation_accuracy = held_out.accuracy;
    }
    report.learning_rate = content_.state.scalar("learning_rate");
    const auto now = std::chrono::steady_clock::now();
    report.seconds = std::chrono::duration<double>(now - std::exchange(begin_, now)).count();
    return report;
  }

  Trainer& trainer_;
  Trainer::Content& content_;
  const FitOptions& options_;
  std::int64_t rows_;
  DataLoader loader_;
  RateSchedule schedule_;
  std::int64_t begin_step_ = 0;
  Step under_way_;
  double loss_sum_ = 0, seen_ = 0;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace

std::vector<EpochReport> Trainer::fit(const Dataset& data, const FitOptions& options) {
  check(options, data);
  content_->meet(data);
  if (options.validation_fraction == 0) return Fit(*this, *content_, data, options).run();
  const auto [training, held_out] =
      split(data, {.fraction = 1 - options.validation_fraction,
                   .seed = content_->options.seed,
                   .stratified = content_->options.loss == Loss::cross_entropy});
  FitOptions inner = options;
  inner.validation_fraction = 0;
  inner.validation = &held_out;
  return Fit(*this, *content_, training, inner).run();
}

}  // namespace fornax
