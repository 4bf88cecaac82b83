// The fake filling: it sees what is not ordered, what a capture forbids, what a step must not do.
#include <fornax/error.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/cuda/cuda_backend.h"
#include "runtime/cuda/fake_table.h"
#include "tests/runtime/cuda_problem.h"

namespace {

using namespace fornax;
using namespace fornax::cuda;
using namespace fornax::cuda_test;

bool mentions(const std::vector<std::string>& faults, const std::string& part) {
  return std::any_of(faults.begin(), faults.end(),
                     [&](const std::string& fault) { return fault.find(part) != fault.npos; });
}

void run_once(Sequence& sequence) {
  const std::vector<float> x(kElements);
  std::vector<float> c(kElements), sum(kElements);
  const void* inputs[] = {x.data()};
  void* outputs[] = {c.data(), sum.data()};
  kernels::StepState state{};
  sequence.run(state, inputs, outputs);
}

/// Runs the two-stream step, less the command that `dropped` picks, three times.
template <class Dropped>
FakeReport report_of(bool capture, const Dropped& dropped, const BackendOptions& options = {}) {
  const DriverCalls calls = make_fake_driver();
  const auto backend = std::make_shared<CudaBackend>(calls, options);
  TwoStreamStep step(backend);
  std::vector<Command> commands = step.commands();
  std::erase_if(commands, dropped);
  const auto sequence = backend->record(std::move(commands), TwoStreamStep::options(capture));
  for (int i = 0; i < 3; ++i) run_once(*sequence);
  return fake_report(*calls.state);
}

TEST(CudaFake, AGoodStepHasNoFault) {
  for (const bool capture : {false, true}) {
    const FakeReport report = report_of(capture, [](const Command&) { return false; });
    EXPECT_TRUE(report.faults.empty()) << to_string(report);
    EXPECT_EQ(report.graph_launches, capture ? 3 : 0);
    EXPECT_EQ(report.kernel_launches, 3 * 8) << "its six, and one at each end";
    EXPECT_EQ(report.kernels_loaded, 7) << "each once, at record()";
    EXPECT_EQ(report.copies, 0);
  }
}

TEST(CudaFake, AStepThatNeedsNothingOfTheHostIsItsKernelsAlone) {
  const DriverCalls calls = make_fake_driver();
  const auto backend = std::make_shared<CudaBackend>(calls, BackendOptions());
  TwoStreamStep step(backend);
  std::vector<Command> commands = step.commands();
  std::erase_if(commands, [](const Command& command) {
    return command.kind == Command::Kind::upload || command.kind == Command::Kind::download;
  });
  const auto launches_of_step = [&](bool uses_step) {
    for (Command& command : commands) command.uses_step = uses_step;
    const auto sequence = backend->record(commands, TwoStreamStep::options(true));
    const std::int64_t before = fake_report(*calls.state).kernel_launches;
    run_once(*sequence);
    return fake_report(*calls.state).kernel_launches - before;
  };
  EXPECT_EQ(launches_of_step(true), 8) << "its six, the StepState to the device, the flags back";
  EXPECT_EQ(launches_of_step(false), 6);
  EXPECT_TRUE(fake_report(*calls.state).faults.empty());
}

TEST(CudaFake, AStepWithLargeInputsHasNoFault) {
  BackendOptions options;
  options.transfer_bytes = kElements * 4 - 1;
  for (const bool capture : {false, true}) {
    const FakeReport report = report_of(
        capture, [](const Command&) { return false; }, options);
    EXPECT_TRUE(report.faults.empty()) << to_string(report);
    EXPECT_EQ(report.kernel_launches, 3 * 8) << "StepState and flags still go by kernels";
    EXPECT_EQ(report.copies, 3 * 4) << "x to the device, to its place; c; sum";
    EXPECT_EQ(report.copied_bytes, 3 * (padded(kElements * 4) + 3 * kElements * 4));
  }
}

TEST(CudaFake, SeesEveryDroppedWait) {
  for (const bool capture : {false, true})
    for (const int stream : {0, 1}) {
      const FakeReport report = report_of(capture, [&](const Command& command) {
        return command.kind == Command::Kind::wait && command.stream == stream;
      });
      EXPECT_FALSE(report.faults.empty()) << "stream " << stream << ", capture " << capture;
      EXPECT_TRUE(mentions(report.faults, "axpy writes, axpy reads")) << to_string(report);
    }
}

/// A driver with two streams and an event, called without the backend.
class CudaFakeCalls : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(call(&DriverTable::stream_create, &a_, 0), Status::success);
    ASSERT_EQ(call(&DriverTable::stream_create, &b_, 0), Status::success);
    ASSERT_EQ(call(&DriverTable::event_create, &event_, false), Status::success);
    ASSERT_EQ(call(&DriverTable::allocate, &memory_, std::int64_t{4096}), Status::success);
  }
  template <class... P, class... A>
  Status call(Status (*DriverTable::*entry)(DriverState&, P...), A... arguments) {
    return (calls_.table.*entry)(*calls_.state, arguments...);
  }
  Status fill(Stream stream, std::int64_t first = 0, std::int64_t bytes = 4096) {
    return call(&DriverTable::fill, static_cast<void*>(static_cast<char*>(memory_) + first), 0,
                bytes, stream);
  }
  std::vector<std::string> faults() const { return fake_report(*calls_.state).faults; }

  DriverCalls calls_ = make_fake_driver(FakeDevice::h200());
  Stream a_ = nullptr, b_ = nullptr;
  Event event_ = nullptr;
  void* memory_ = nullptr;
};

TEST_F(CudaFakeCalls, TwoStreamsConflictOnlyWhereTheyMeet) {
  fill(a_, 0, 2048), fill(b_, 2048, 2048);
  EXPECT_TRUE(faults().empty());
  fill(b_, 2047, 1);
  ASSERT_EQ(faults().size(), 1u);
  EXPECT_NE(faults()[0].find("fill writes, fill writes"), std::string::npos) << faults()[0];
}

TEST_F(CudaFakeCalls, EventsAndWaitsOfTheHostMakeOrder) {
  fill(a_);
  call(&DriverTable::event_record, event_, a_);
  call(&DriverTable::stream_wait_event, b_, event_);
  fill(b_);
  call(&DriverTable::stream_synchronize, b_);
  fill(a_);
  EXPECT_TRUE(faults().empty()) << faults()[0];
  call(&DriverTable::stream_wait_event, b_, event_);  // an old recording orders nothing new
  fill(b_);
  EXPECT_EQ(faults().size(), 1u);
}

TEST_F(CudaFakeCalls, CaptureForbidsWaitsAndAllocations) {
  void* more = nullptr;
  ASSERT_EQ(call(&DriverTable::begin_capture, a_), Status::success);
  EXPECT_EQ(call(&DriverTable::stream_synchronize, b_), Status::capture_unsupported);
  EXPECT_EQ(fill(a_), Status::capture_invalidated);
  cuda::Graph graph = nullptr;
  EXPECT_EQ(call(&DriverTable::end_capture, a_, &graph), Status::capture_invalidated);
  ASSERT_EQ(call(&DriverTable::begin_capture, a_), Status::success);
  EXPECT_EQ(call(&DriverTable::allocate, &more, std::int64_t{16}), Status::capture_unsupported);
  EXPECT_EQ(call(&DriverTable::end_capture, a_, &graph), Status::capture_invalidated);
  EXPECT_EQ(fill(a_), Status::success) << "the stream is usable again";
}

TEST_F(CudaFakeCalls, CaptureWantsEveryStreamJoined) {
  cuda::Graph graph = nullptr;
  const auto forked = [&] {
    ASSERT_EQ(call(&DriverTable::begin_capture, a_), Status::success);
    ASSERT_EQ(fill(a_, 0, 16), Status::success);
    ASSERT_EQ(call(&DriverTable::event_record, event_, a_), Status::success);
    ASSERT_EQ(call(&DriverTable::stream_wait_event, b_, event_), Status::success);
    ASSERT_EQ(fill(b_, 16, 16), Status::success);
  };
  forked();
  EXPECT_EQ(call(&DriverTable::end_capture, a_, &graph), Status::capture_unjoined);
  forked();
  EXPECT_EQ(call(&DriverTable::end_capture, b_, &graph), Status::capture_unmatched);
  call(&DriverTable::event_record, event_, b_);
  call(&DriverTable::stream_wait_event, a_, event_);
  EXPECT_EQ(call(&DriverTable::end_capture, a_, &graph), Status::success);
  std::int64_t nodes = 0;
  call(&DriverTable::graph_node_count, graph, &nodes);
  EXPECT_EQ(nodes, 2);
}

TEST_F(CudaFakeCalls, EdgesMustNotLeaveACapture) {
  fill(b_);
  call(&DriverTable::event_record, event_, b_);
  ASSERT_EQ(call(&DriverTable::begin_capture, a_), Status::success);
  EXPECT_EQ(call(&DriverTable::stream_wait_event, a_, event_), Status::capture_isolation);
}

TEST_F(CudaFakeCalls, AStepNeitherAllocatesNorWaits) {
  void* more = nullptr;
  calls_.table.range_push(*calls_.state, kStepRange);
  call(&DriverTable::allocate, &more, std::int64_t{16});
  call(&DriverTable::stream_synchronize, a_);
  calls_.table.range_pop(*calls_.state);
  call(&DriverTable::stream_synchronize, a_);
  EXPECT_EQ(faults(), (std::vector<std::string>{"a step allocates device memory",
                                                "a step waits for the device"}));
}

TEST_F(CudaFakeCalls, PlaysADeviceOfAnySize) {
  void *large = nullptr, *larger = nullptr;
  EXPECT_EQ(call(&DriverTable::allocate, &large, std::int64_t{140'000'000'000}), Status::success);
  EXPECT_EQ(call(&DriverTable::allocate, &larger, std::int64_t{2'000'000'000}),
            Status::out_of_memory);
  EXPECT_EQ(call(&DriverTable::deallocate, large), Status::success);
  EXPECT_EQ(call(&DriverTable::allocate, &larger, std::int64_t{2'000'000'000}), Status::success);
  EXPECT_NE(large, larger) << "an address is never used twice";
}

}  // namespace
