// Steps that are submitted: the bits of steps that are run, tickets read late or never, and a bad
// index that is reported whatever the caller reads next.
#include <fornax/fornax.h>

#include <cstring>
#include <functional>
#include <thread>

#include "tests/runtime/expect_error.h"

namespace fornax {
namespace {

constexpr ErrorCode kInvalid = ErrorCode::invalid_argument;
constexpr std::int64_t kRows = 6;

/// A classifier of [6, 5] that trains or evaluates a State.
struct Classifier {
  Graph graph;
  Value loss, logits;

  explicit Classifier(Mode mode = Mode::train) : graph(mode) {
    const Value x = graph.input("x", {kRows, 5});
    const Value label = graph.input("label", {kRows}, DType::i32);
    const Value h = gelu(
        linear(x, graph.parameter("w1", {9, 5}, he_normal()), graph.parameter("b1", {9}, zeros())));
    logits = linear(dropout(h, 0.2), graph.parameter("w2", {3, 9}, xavier_uniform()));
    loss = cross_entropy(logits, label);
    if (mode == Mode::train)
      adamw(graph, gradients(loss, graph.parameters()), {.learning_rate = 0.05});
  }
};

struct Batch {
  Tensor x = Tensor(DType::f32, {kRows, 5}), label = Tensor(DType::i32, {kRows});

  explicit Batch(int number = 0) { fill(number); }
  void fill(int number) {
    for (std::size_t i = 0; i < x.as<float>().size(); ++i)
      x.as<float>()[i] =
          0.25f * static_cast<float>((i * 7 + static_cast<std::size_t>(number) * 3) % 11) - 1;
    for (std::size_t i = 0; i < static_cast<std::size_t>(kRows); ++i)
      label.as<std::int32_t>()[i] = static_cast<int>((i + static_cast<std::size_t>(number)) % 3);
  }
  static Batch bad(std::int32_t value) {
    Batch batch;
    batch.label.as<std::int32_t>()[2] = value;
    return batch;
  }
};

/// A Program that trains and one that evaluates, on one State.
struct Trained {
  Classifier train, evaluate{Mode::evaluate};
  State state;
  Program step, look;

  explicit Trained(const std::string& device, bool capture = true)
      : state(initialize(train.graph, Device::parse(device), {.seed = 3})) {
    CompileOptions options{.outputs = {train.loss, train.logits}};
    options.capture = capture;
    step = compile(train.graph, state, options);
    options.outputs = {evaluate.loss};
    look = compile(evaluate.graph, state, options);
  }
  Ticket submit(const Batch& batch) {
    return step.submit({{"x", batch.x}, {"label", batch.label}});
  }
  const Outputs& run(const Batch& batch) {
    return step.run({{"x", batch.x}, {"label", batch.label}});
  }
  double evaluated(const Batch& batch) {
    return look.run({{"x", batch.x}, {"label", batch.label}}).scalar(evaluate.loss);
  }
};

class Submit : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Devices, Submit, testing::Values("cpu:1", "cpu:2", "reference", "simt"),
                         [](const auto& device) {
                           std::string name = device.param;
                           std::erase(name, ':');
                           return name;
                         });

TEST_P(Submit, ThirtyStepsLeaveTheBitsOfThirtyRuns) {
  Trained wanted(GetParam());
  std::vector<double> losses;
  for (int i = 0; i < 30; ++i) {
    losses.push_back(wanted.run(Batch(i)).scalar(wanted.train.loss));
    if (i % 10 == 9) losses.push_back(wanted.evaluated(Batch()));
  }
  for (const bool capture : {true, false}) {
    Trained ours(GetParam(), capture);
    std::vector<double> got;
    Batch batch;  // one for all steps: a step has copied it
    Ticket last;
    for (int i = 0; i < 30; ++i) {
      batch.fill(i);
      const Ticket ticket = ours.submit(batch);
      batch.fill(99);
      EXPECT_EQ(ours.state.step(), i + 1);
      if (last) got.push_back(last.scalar(ours.train.loss));
      last = ticket;
      if (i % 10 != 9) continue;
      got.push_back(std::exchange(last, {}).scalar(ours.train.loss));
      got.push_back(ours.evaluated(Batch()));
    }
    EXPECT_EQ(got, losses) << "capture " << capture;
    EXPECT_EQ(ours.state.sha256(), wanted.state.sha256()) << "capture " << capture;
  }
}

TEST_P(Submit, WhateverReadsTheStateSeesEverySubmittedStep) {
  Trained wanted(GetParam()), ours(GetParam());
  for (int i = 0; i < 5; ++i) wanted.run(Batch(i));
  for (int i = 0; i < 5; ++i) ours.submit(Batch(i));  // no ticket is ever read
  const Tensor w1 = ours.state.get("w1"), right = wanted.state.get("w1");
  EXPECT_EQ(std::memcmp(w1.bytes().data(), right.bytes().data(), right.bytes().size()), 0);
  ours.submit(Batch(5));
  wanted.run(Batch(5));
  EXPECT_EQ(ours.evaluated(Batch(1)), wanted.evaluated(Batch(1)));
  ours.submit(Batch(6));
  wanted.run(Batch(6));
  for (State* state : {&ours.state, &wanted.state}) state->set("w1", right);
  EXPECT_EQ(ours.run(Batch(7)).scalar(ours.train.loss),
            wanted.run(Batch(7)).scalar(wanted.train.loss));
  EXPECT_EQ(ours.state.sha256(), wanted.state.sha256());
}

TEST_P(Submit, ATicketIsGoodUntilTheSecondStepAfterIt) {
  Trained all(GetParam());
  Ticket none;
  expect_error(kInvalid, "it is of no step", [&] { none.wait(); });
  const Ticket first = all.submit(Batch(0));
  const double loss = first.scalar(all.train.loss);
  const Ticket second = all.submit(Batch(1));
  EXPECT_EQ(first.scalar(all.train.loss), loss);
  EXPECT_EQ(first.tensor(all.train.logits).shape(), (Shape{kRows, 3}));
  const Ticket third = all.submit(Batch(2));
  expect_error(kInvalid, "the results are gone", [&] { first.wait(); });
  EXPECT_NE(second.scalar(all.train.loss), third.scalar(all.train.loss));
  all.step = {};
  EXPECT_GT(third.scalar(all.train.loss), 0) << "it keeps what it needs";
}

TEST_P(Submit, AWrongInputLeavesStateAndTickets) {
  Trained all(GetParam());
  const Ticket ticket = all.submit(Batch(0));
  const Batch batch;
  expect_error(ErrorCode::not_found, "input 'label' is not given", [&] {
    all.step.submit({{"x", batch.x}});
  });
  EXPECT_EQ(all.state.step(), 1);
  EXPECT_GT(ticket.scalar(all.train.loss), 0);
}

TEST_P(Submit, ABadIndexIsReportedOnceByWhatIsReadNext) {
  using Reading = std::function<void(Trained&)>;
  const std::pair<const char*, Reading> readings[] = {
      {"the second submit",
       [](Trained& all) {
         all.submit(Batch(1));
         all.submit(Batch(2));
       }},
      {"a run", [](Trained& all) { all.run(Batch(1)); }},
      {"another Program's run", [](Trained& all) { all.evaluated(Batch(1)); }},
      {"a value", [](Trained& all) { all.state.get("w2"); }},
      {"the hash", [](Trained& all) { all.state.sha256(); }},
      {"the State when the Program is gone", [](Trained& all) {
         all.step = {};
         all.state.get("w2");
       }}};
  for (const auto& [name, reading] : readings) {
    SCOPED_TRACE(name);
    Trained all(GetParam());
    all.run(Batch(0));
    all.submit(Batch::bad(7));
    expect_error(kInvalid, "value 7 at position 2, when State::step was 1", [&] { reading(all); });
    EXPECT_NO_THROW(all.state.sha256()) << "once";
  }
}

TEST_P(Submit, ABadIndexIsReportedByItsTicket) {
  Trained all(GetParam());
  const Ticket bad = all.submit(Batch::bad(3)), worse = all.submit(Batch::bad(-1));
  for (int again = 0; again < 2; ++again)
    expect_error(kInvalid, "value 3 at position 2, when State::step was 0", [&] { bad.wait(); });
  expect_error(kInvalid, "value -1 at position 2, when State::step was 1", [&] { worse.wait(); });
  EXPECT_EQ(all.state.step(), 2) << "what was in range took part";
  EXPECT_GT(all.submit(Batch(1)).scalar(all.train.loss), 0);
  EXPECT_NO_THROW(all.state.sha256());
}

TEST_P(Submit, AnEvaluatingProgramReportsToo) {
  Trained all(GetParam());
  const auto look = [&](const Batch& batch) {
    return all.look.submit({{"x", batch.x}, {"label", batch.label}});
  };
  look(Batch::bad(5));
  expect_error(kInvalid, "value 5 at position 2", [&] { all.evaluated(Batch(0)); });
  look(Batch::bad(6));
  all.look = {};
  expect_error(kInvalid, "value 6 at position 2", [&] { all.state.get("w1"); });
  EXPECT_NO_THROW(all.state.get("w1"));
}

// Two threads end the step that a third began.
TEST(SubmitThreads, EvaluateAfterAStepUnderWay) {
  Trained all("cpu:1");
  Program other = compile(all.evaluate.graph, all.state, {.outputs = {all.evaluate.loss}});
  all.submit(Batch(0));
  double losses[2] = {};
  const auto evaluate = [&](Program& program, double& loss) {
    const Batch batch;
    for (int i = 0; i < 20; ++i)
      loss = program.run({{"x", batch.x}, {"label", batch.label}}).scalar(all.evaluate.loss);
  };
  std::thread first([&] { evaluate(all.look, losses[0]); });
  std::thread second([&] { evaluate(other, losses[1]); });
  first.join(), second.join();
  EXPECT_GT(losses[0], 0);
  EXPECT_EQ(losses[0], losses[1]);
}

}  // namespace
}  // namespace fornax
