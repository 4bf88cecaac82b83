// Training a Sequential on a Dataset: fit, evaluate, predict.
#pragma once
#include <fornax/data.h>
#include <fornax/device.h>
#include <fornax/model.h>
#include <fornax/program.h>
#include <fornax/state.h>

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace fornax {

/// cross_entropy: targets i32 [n], the model gives one score a class; mean_squared_error: targets
/// f32 [n] or [n, k], the mean over all elements of (prediction - target)^2.
enum class Loss { cross_entropy, mean_squared_error };

struct Sgd {
  double learning_rate = 1e-2, momentum = 0.9, weight_decay = 0;
};
/// Decays matrices only: not biases, not norms.
struct AdamW {
  double learning_rate = 1e-3, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0.01;
};
using Optimizer = std::variant<AdamW, Sgd>;

/// How the learning rate moves over the steps of fit(): constant, or down along half a cosine to
/// zero after `warmup` of the steps rising from zero (Loshchilov and Hutter 2017,
/// arXiv:1608.03983).
enum class Schedule { constant, cosine };

struct TrainerOptions {
  Loss loss = Loss::cross_entropy;
  Optimizer optimizer = AdamW{};
  double label_smoothing = 0;
  double clip_norm = 0;  ///< largest global norm of the gradients; 0: no limit
  Device device = Device::automatic();
  std::uint64_t seed = 0;
};

/// What held-out data say; accuracy and auc are NaN for regression.
struct Evaluation {
  double loss = 0, accuracy = 0, auc = 0;
  std::int64_t samples = 0;
};
FORNAX_API std::ostream& operator<<(std::ostream& out, const Evaluation& evaluation);

struct EpochReport {
  std::int64_t epoch = 0, epochs = 0, step = 0;
  double training_loss = 0;
  double validation_loss = 0, validation_accuracy = 0;  ///< NaN without validation data
  double learning_rate = 0, seconds = 0;
};

struct FitOptions {
  std::int64_t epochs = 10, batch_size = 32;
  Schedule schedule = Schedule::constant;
  double warmup = 0;                    ///< part of the steps, in [0, 1)
  double validation_fraction = 0;       ///< of the training data, held out
  const Dataset* validation = nullptr;  ///< or a set of its own
  /// When not empty: save here every `checkpoint_epochs` epochs and at the end.
  std::string checkpoint = {};
  std::int64_t checkpoint_epochs = 1;
  bool resume = false;  ///< go on from `checkpoint` if the file exists
  /// Gather batches on a thread (DataLoaderOptions::prefetch). Not set: on CUDA and simt, where a
  /// step leaves the CPU to it. Results do not depend on it.
  std::optional<bool> prefetch = {};
  std::int64_t stop_after_steps = 0;  ///< save and leave after so many steps in all; 0: never
  std::function<bool(const EpochReport&)> on_epoch = {};  ///< false ends the training
};

/// Owns a model's State and its Programs, one for every batch size and mode that is met.
class FORNAX_API Trainer {
 public:
  Trainer(Sequential model, TrainerOptions options);
  ~Trainer();
  Trainer(Trainer&&) noexcept;
  Trainer& operator=(Trainer&&) noexcept;

  /// Trains. Every sample is used once an epoch, in an order keyed by (seed, epoch); the last batch
  /// may be short. Resuming goes on bit for bit.
  /// Throws Error{shape} when the data do not fit the model, Error{invalid_argument} for options
  /// outside their range or a loss that is not finite (naming the step; the last checkpoint stays).
  /// Losses are read when the next step is under way: after an error the State may be one step on.
  std::vector<EpochReport> fit(const Dataset& data, const FitOptions& options);

  Evaluation evaluate(const Dataset& data);
  /// The model's output for every row: [n, ...].
  Tensor predict(const Dataset& data);

  /// Exists once data were seen: the model's parameters take their shapes from them.
  const State& state() const;

  struct Content;  ///< private to the library

 private:
  std::unique_ptr<Content> content_;
};

}  // namespace fornax
