// Trainer: it learns, by one hash on every device, resumed after any step; what it refuses.
#include <algorithm>
#include <limits>
#include <map>
#include <sstream>

#include "tests/runtime/expect_error.h"
#include "tests/runtime/temporary_folder.h"
#include "tests/runtime/training_problem.h"

namespace fornax {
namespace {

Trainer trainer_on(const Device& device) {
  return Trainer(small_model(), {.optimizer = AdamW{.learning_rate = 0.02},
                                 .label_smoothing = 0.02,
                                 .clip_norm = 1,
                                 .device = device,
                                 .seed = 5});
}

TEST(Trainer, LearnsAndGeneralizes) {
  const Dataset train = three_clouds(83), all = three_clouds(300);
  Trainer trainer = trainer_on(Device::cpu(2));
  const Evaluation before = [&] {
    Trainer fresh = trainer_on(Device::cpu(2));
    return fresh.evaluate(all);
  }();
  const auto reports = trainer.fit(train, {.epochs = 25, .batch_size = 16});
  const Evaluation after = trainer.evaluate(all);
  ASSERT_EQ(reports.size(), 25u);
  EXPECT_EQ(reports.back().step, 25 * 6);
  EXPECT_LT(reports.back().training_loss, reports.front().training_loss / 2);
  EXPECT_LT(after.loss, before.loss / 2);
  EXPECT_GT(after.accuracy, 0.95);
  EXPECT_GT(after.auc, 0.99);
  EXPECT_EQ(after.samples, 300);
}

TEST(Trainer, OneHashOnEveryHostDevice) {
  const auto hash = [](const Device& device, std::uint64_t seed_of_data = 83) {
    Trainer trainer = trainer_on(device);
    trainer.fit(three_clouds(static_cast<std::int64_t>(seed_of_data)),
                {.epochs = 5, .batch_size = 16, .schedule = Schedule::cosine, .warmup = 0.1});
    return trainer.state().sha256();
  };
  const std::string reference = hash(Device::reference());
  EXPECT_EQ(hash(Device::cpu(1)), reference);
  EXPECT_EQ(hash(Device::cpu(2)), reference);
  EXPECT_NE(hash(Device::cpu(1), 82), reference) << "a hash of the training, not of the model";
}

// Steps are submitted, their losses read one step later, batches gathered on a thread or not: the
// numbers are those of a loop that runs one step after another.
TEST(Trainer, ReportsTheNumbersOfStepsRunOneByOne) {
  const Dataset data = unit_vectors(7);
  const State state = initialize(Graph(), Device::cpu(1));
  std::map<std::int64_t, std::pair<Program, Value>> programs;
  for (const std::int64_t rows : {3, 1}) {
    Graph graph(Mode::train);
    const Value x = graph.input("features", {rows, 7}), y = graph.input("targets", {rows, 1});
    const Sequential model{Linear(7, 1, {.bias = false, .weight = zeros()})};
    const Value loss = mean(square(subtract(model(graph, x), y)));
    sgd(graph, gradients(loss, graph.parameters()), {.learning_rate = 0.25, .momentum = 0});
    programs[rows] = {compile(graph, state, {.outputs = {loss}}), loss};
  }
  double losses[3] = {};
  for (const Batch& batch : DataLoader(data, {.batch_size = 3, .epochs = 3})) {
    auto& [program, loss] = programs[batch.features.shape()[0]];
    const Input inputs[] = {{"features", batch.features}, {"targets", batch.targets}};
    losses[batch.epoch] +=
        program.run(inputs).scalar(loss) * static_cast<double>(batch.features.shape()[0]);
  }
  for (const bool prefetch : {false, true}) {
    Trainer trainer = unit_trainer(7, 0.25);
    const auto reports = trainer.fit(data, {.epochs = 3, .batch_size = 3, .prefetch = prefetch});
    for (std::size_t epoch = 0; epoch < 3; ++epoch) {
      EXPECT_EQ(reports.at(epoch).training_loss, losses[epoch] / 7) << "epoch " << epoch;
      EXPECT_EQ(reports.at(epoch).step, 3 * (static_cast<std::int64_t>(epoch) + 1));
    }
    EXPECT_EQ(trainer.state().sha256(), state.sha256());
  }
}

TEST(Trainer, ABadLabelIsSaidOnceAndWhatComesAfterGoesOn) {
  Dataset data = three_clouds(24);
  Trainer trainer = trainer_on(Device::cpu(1));
  trainer.fit(data, {.epochs = 1, .batch_size = 8});
  Dataset bad = data;
  for (std::int32_t& label : bad.targets.as<std::int32_t>()) label = 5;  // in every step
  expect_error(ErrorCode::invalid_argument, "value 5 at position 0, when State::step was 3",
               [&] { trainer.fit(bad, {.epochs = 1, .batch_size = 8}); });
  EXPECT_NO_THROW(trainer.state().sha256());
  EXPECT_GT(trainer.evaluate(data).loss, 0);
}

TEST(Trainer, PredictionsAreTheModelsOutputsInOrderOfRows) {
  const Dataset data = three_clouds(300);  // more than one block of evaluation rows
  Trainer trainer = trainer_on(Device::cpu(1));
  trainer.fit(data, {.epochs = 2});
  const Tensor all = trainer.predict(data);
  EXPECT_EQ(all.shape(), (Shape{300, 3}));
  const Evaluation evaluation = trainer.evaluate(data);
  EXPECT_EQ(evaluation.accuracy, accuracy(all, data.targets));
  for (const std::int64_t row : {std::int64_t{0}, std::int64_t{255}, std::int64_t{299}}) {
    Dataset one = select(data, std::vector{row});
    one.targets = Tensor();
    const Tensor scores = trainer.predict(one);  // needs no targets
    for (std::size_t c = 0; c < 3; ++c)
      EXPECT_EQ(scores.as<float>()[c], all.as<float>()[static_cast<std::size_t>(row) * 3 + c]);
  }
}

TEST(Trainer, EverySampleOnceAnEpochAlsoInTheShortLastBatch) {
  Trainer trainer = unit_trainer(7, 0.25);
  const Dataset data = unit_vectors(7);
  const auto reports = trainer.fit(data, {.epochs = 1, .batch_size = 3});
  EXPECT_EQ(reports.at(0).step, 3);
  EXPECT_NEAR(reports.at(0).training_loss, 1, 1e-6) << "mean over samples of (0 - 1)^2";
  const Tensor weight = trainer.state().get("0.weight");
  std::vector<float> moved(weight.as<float>().begin(), weight.as<float>().end());
  std::sort(moved.begin(), moved.end());
  for (std::size_t i = 0; i < 6; ++i)
    EXPECT_NEAR(moved[i], 2 * 0.25 / 3, 1e-6) << "once, in a batch of 3";
  EXPECT_NEAR(moved[6], 2 * 0.25, 1e-6) << "once, in a batch of 1";
}

TEST(Trainer, ASecondFitHasAScheduleOfItsOwn) {
  Trainer trainer = unit_trainer(6, 0.25);
  const Dataset data = unit_vectors(6);
  const FitOptions options{.epochs = 4, .batch_size = 3, .schedule = Schedule::cosine};
  const auto first = trainer.fit(data, options), second = trainer.fit(data, options);
  ASSERT_EQ(second.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_EQ(first[i].learning_rate, second[i].learning_rate) << "epoch " << i;
  EXPECT_GT(second[0].learning_rate, 0.2);
  EXPECT_EQ(second.back().step, 16);
}

TEST(Trainer, ReportsValidation) {
  const Dataset data = three_clouds(60);
  Trainer trainer = trainer_on(Device::cpu(1));
  int seen = 0;
  FitOptions options{.epochs = 9, .validation_fraction = 0.25};
  options.on_epoch = [&](const EpochReport& report) {
    EXPECT_TRUE(std::isfinite(report.validation_loss));
    EXPECT_EQ(report.step, report.epoch * 2) << "45 rows are left: batches of 32 and 13";
    return ++seen < 3;
  };
  EXPECT_EQ(trainer.fit(data, options).size(), 3u) << "on_epoch may end the training";
  Trainer without = trainer_on(Device::cpu(1));
  EXPECT_TRUE(std::isnan(without.fit(data, {.epochs = 1}).at(0).validation_loss));
}

TEST(Trainer, RegressionHasNoAccuracy) {
  Trainer trainer = unit_trainer(5, 0.25);
  const Dataset data = unit_vectors(5);
  trainer.fit(data, {.epochs = 1});
  const Evaluation evaluation = trainer.evaluate(data);
  EXPECT_TRUE(std::isnan(evaluation.accuracy) && std::isnan(evaluation.auc));
  EXPECT_NEAR(evaluation.loss, mean_squared_difference(trainer.predict(data), data.targets), 1e-6);
  std::ostringstream text;
  text << Evaluation{.loss = 0.5, .accuracy = 1, .auc = std::nan(""), .samples = 3};
  EXPECT_EQ(text.str(), "loss 0.5, accuracy 1, samples 3");
}

class TrainerFiles : public TemporaryFolder {};

// Train N, save, a new Trainer, train the rest: for every N of 50 steps.
TEST_F(TrainerFiles, ResumedAfterAnyStepItGivesTheSameBits) {
  const Dataset data = three_clouds(37);
  FitOptions options{.epochs = 10, .batch_size = 8, .schedule = Schedule::cosine, .warmup = 0.2};
  Trainer whole = trainer_on(Device::cpu(1));
  whole.fit(data, options);
  ASSERT_EQ(whole.state().step(), 50);
  options.checkpoint = path("fit.safetensors");
  options.checkpoint_epochs = 100;
  for (std::int64_t n = 1; n <= 50; ++n) {
    Trainer first = trainer_on(Device::cpu(1)), second = trainer_on(Device::cpu(1));
    options.resume = false, options.stop_after_steps = n;
    first.fit(data, options);
    ASSERT_EQ(first.state().step(), n);
    options.resume = true, options.stop_after_steps = 0;
    second.fit(data, options);
    ASSERT_EQ(second.state().sha256(), whole.state().sha256()) << "resumed after step " << n;
  }
}

TEST_F(TrainerFiles, ACheckpointOfOtherDataIsRefused) {
  FitOptions options{.epochs = 2, .checkpoint = path("fit.safetensors"), .resume = true};
  Trainer first = trainer_on(Device::cpu(1)), second = trainer_on(Device::cpu(1));
  first.fit(three_clouds(37), options);  // no file yet: from the start
  EXPECT_EQ(first.state().step(), 4);
  EXPECT_THROW(second.fit(three_clouds(38), options), Error);
}

TEST_F(TrainerFiles, ALossThatIsNotFiniteEndsTheTrainingAndKeepsTheCheckpoint) {
  Trainer trainer = unit_trainer(4, 1e25);
  const FitOptions options{.epochs = 9, .batch_size = 4, .checkpoint = path("fit.safetensors")};
  expect_error(ErrorCode::invalid_argument, "the loss is inf after step 2",
               [&] { trainer.fit(unit_vectors(4), options); });
  EXPECT_EQ(read_checkpoint(options.checkpoint).step, 1);
}

TEST(TrainerOptions, OutsideTheirRangesAreRefused) {
  const Dataset data = three_clouds(12);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::pair<FitOptions, const char*> wrong[] = {
      {{.epochs = -1}, "epochs is -1"},
      {{.batch_size = 0}, "batch_size is 0"},
      {{.warmup = 1}, "warmup is 1"},
      {{.warmup = nan}, "warmup is nan"},
      {{.validation_fraction = 1}, "validation_fraction is 1"},
      {{.validation_fraction = -0.5}, "validation_fraction is -0.5"},
      {{.validation_fraction = 0.5, .validation = &data}, "are both given"},
      {{.checkpoint_epochs = 0}, "checkpoint_epochs is 0"},
      {{.stop_after_steps = -3}, "stop_after_steps -3"},
      {{.resume = true}, "resume and stop_after_steps need a checkpoint"},
      {{.stop_after_steps = 3}, "resume and stop_after_steps need a checkpoint"}};
  for (const auto& [options, message] : wrong) {
    Trainer trainer = trainer_on(Device::cpu(1));
    expect_error(ErrorCode::invalid_argument, message, [&] { trainer.fit(data, options); });
  }
  for (const double bad : {-1.0, nan})
    expect_error(ErrorCode::invalid_argument, "clip_norm is",
                 [&] { Trainer(small_model(), {.clip_norm = bad}); });
  expect_error(ErrorCode::invalid_argument, "label_smoothing must lie in [0, 1]",
               [&] { Trainer(small_model(), {.label_smoothing = 2}).fit(data, {}); });
  expect_error(ErrorCode::invalid_argument, "momentum must lie in",
               [&] { Trainer(small_model(), {.optimizer = Sgd{.momentum = 1}}).fit(data, {}); });
}

TEST(TrainerData, ThatDoNotFitAreRefused) {
  const Dataset good = three_clouds(12);
  Trainer trainer = trainer_on(Device::cpu(1));
  expect_error(ErrorCode::invalid_argument, "before any data", [&] { trainer.state(); });
  expect_error(ErrorCode::invalid_argument, "no rows", [&] { trainer.fit({}, {}); });
  expect_error(ErrorCode::shape, "features are []", [&] { trainer.evaluate({}); });
  Dataset wide = good, unlabelled = good, odd = good, values = good, few = good;
  wide.features = Tensor(DType::f32, {12, 5});
  unlabelled.targets = Tensor();
  odd.targets = Tensor(DType::i32, {12, 1});
  values.targets = Tensor(DType::f32, {12});
  few.targets = Tensor(DType::i32, {11});
  expect_error(ErrorCode::shape, "must end with K", [&] { trainer.fit(wide, {}); });
  expect_error(ErrorCode::shape, "one target a row", [&] { trainer.fit(few, {}); });
  expect_error(ErrorCode::shape, "one target a row", [&] { trainer.fit(unlabelled, {}); });
  expect_error(ErrorCode::dtype, "labels must be i32", [&] { trainer.fit(values, {}); });
  trainer.fit(good, {.epochs = 1});  // what was refused left no trace
  const std::string hash = trainer.state().sha256();
  expect_error(ErrorCode::shape, "earlier data had [12, 4]", [&] { trainer.predict(wide); });
  expect_error(ErrorCode::shape, "earlier data had i32 [12]", [&] { trainer.evaluate(odd); });
  expect_error(ErrorCode::shape, "earlier data had i32 [12]", [&] { trainer.fit(values, {}); });
  expect_error(ErrorCode::shape, "one target a row", [&] { trainer.evaluate(unlabelled); });
  Dataset none = select(good, std::vector<std::int64_t>{});
  expect_error(ErrorCode::invalid_argument, "no rows", [&] { trainer.predict(none); });
  EXPECT_EQ(trainer.evaluate(none).samples, 0);
  Dataset beyond = good;
  beyond.targets.as<std::int32_t>()[4] = 3;
  expect_error(ErrorCode::invalid_argument, "value 3 at position 4",
               [&] { trainer.evaluate(beyond); });
  EXPECT_EQ(trainer.state().sha256(), hash);
}

TEST(TrainerData, RegressionTargetsMustFitTheOutput) {
  Dataset data = unit_vectors(4);
  data.targets = Tensor(DType::f32, {4, 2});
  expect_error(ErrorCode::shape, "the model gives [4, 1] for targets [4, 2]",
               [&] { unit_trainer(4, 0.1).fit(data, {}); });
}

}  // namespace
}  // namespace fornax
