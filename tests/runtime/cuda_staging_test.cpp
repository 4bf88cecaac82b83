// Steps under way on the fake filling: what one needs goes up while the one before computes, and no
// staging is touched too early. Faults put in on purpose must be seen.
#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/cuda/cuda_backend.h"
#include "runtime/cuda/fake_table.h"
#include "tests/allocation_count.h"
#include "tests/runtime/cuda_problem.h"

namespace {

using namespace fornax;
using namespace fornax::cuda;
using namespace fornax::cuda_test;

constexpr int kSteps = 6;

/// What the driver does beside or instead of what it is asked for.
struct Plan {
  void* probe = nullptr;           ///< every upload also writes here, on the upload's stream
  bool drops_upload_wait = false;  ///< the step does not wait for its upload
  bool drops_host_wait = false;    ///< the host does not wait for a step
  bool silent = false;             ///< every call of a step does nothing
} plan;
bool upload_is_last = false;  // no wait of a stream came since the last upload
DriverTable fake;             // the table beneath

/// An entry that does nothing while the plan is silent.
template <auto Entry>
struct Silenced;
template <class... P, Status (*DriverTable::*Entry)(DriverState&, P...)>
struct Silenced<Entry> {
  static Status call(DriverState& state, P... arguments) {
    return plan.silent ? Status::success : (fake.*Entry)(state, arguments...);
  }
};
template <auto... Entries>
void silence(DriverTable& table) {
  ((table.*Entries = Silenced<Entries>::call), ...);
}

DriverCalls planned_driver() {
  DriverCalls calls = make_fake_driver();
  fake = calls.table;
  plan = {}, upload_is_last = false;
  silence<&DriverTable::copy_to_host, &DriverTable::copy_on_device, &DriverTable::fill,
          &DriverTable::launch, &DriverTable::annotate, &DriverTable::event_record,
          &DriverTable::graph_launch, &DriverTable::host_access>(calls.table);
  calls.table.copy_to_device = [](DriverState& s, void* to, const void* from, std::int64_t bytes,
                                  Stream stream) {
    if (plan.silent) return Status::success;
    upload_is_last = true;
    const Status status = fake.copy_to_device(s, to, from, bytes, stream);
    if (plan.probe) fake.fill(s, plan.probe, 0, 4, stream);
    return status;
  };
  calls.table.stream_wait_event = [](DriverState& s, Stream stream, Event event) {
    const bool of_upload = std::exchange(upload_is_last, false);
    if (plan.silent || (of_upload && plan.drops_upload_wait)) return Status::success;
    return fake.stream_wait_event(s, stream, event);
  };
  calls.table.event_synchronize = [](DriverState& s, Event event) {
    return plan.silent || plan.drops_host_wait ? Status::success : fake.event_synchronize(s, event);
  };
  calls.table.range_push = [](DriverState& s, const char* name) {
    if (!plan.silent) fake.range_push(s, name);
  };
  calls.table.range_pop = [](DriverState& s) {
    if (!plan.silent) fake.range_pop(s);
  };
  return calls;
}

/// The two-stream step on a planned driver.
class Staging {
 public:
  explicit Staging(bool capture)
      : sequence_(backend_->record(step_.commands(), TwoStreamStep::options(capture))) {}

  /// With two steps under way, as a Program submits them.
  void submit(int steps) {
    for (int number = 0; number < steps; ++number) {
      const int slot = number % Sequence::kSlots;
      if (number >= Sequence::kSlots) sequence_->wait(slot);
      begin(slot);
    }
    for (int number = std::max(0, steps - Sequence::kSlots); number < steps; ++number)
      sequence_->wait(number % Sequence::kSlots);
  }
  void begin(int slot) {
    const auto at = static_cast<std::size_t>(slot);
    sequence_->submit(slot, states_[at], inputs_, outputs_[at]);
  }
  void run(int steps) {
    for (int number = 0; number < steps; ++number) {
      begin(number % Sequence::kSlots);
      sequence_->wait(number % Sequence::kSlots);
    }
  }
  void* state_bytes() const { return step_.address_of_sum(); }
  DriverCalls calls() const { return calls_; }
  FakeReport report() const { return fake_report(*calls_.state); }

 private:
  DriverCalls calls_ = planned_driver();
  std::shared_ptr<CudaBackend> backend_ = std::make_shared<CudaBackend>(calls_, BackendOptions{});
  TwoStreamStep step_{backend_};
  std::vector<float> x_ = std::vector<float>(kElements);
  std::vector<float> results_ = std::vector<float>(4 * kElements);
  const void* inputs_[1] = {x_.data()};
  void* outputs_[Sequence::kSlots][2] = {
      {results_.data(), results_.data() + kElements},
      {results_.data() + 2 * kElements, results_.data() + 3 * kElements}};
  kernels::StepState states_[Sequence::kSlots] = {};
  std::unique_ptr<Sequence> sequence_;
};

bool mentions(const FakeReport& report, const std::string& part) {
  return std::any_of(report.faults.begin(), report.faults.end(),
                     [&](const std::string& fault) { return fault.find(part) != fault.npos; });
}

class CudaStaging : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Recorded, CudaStaging, testing::Bool(),
                         [](const auto& capture) { return capture.param ? "Captured" : "Eager"; });

TEST_P(CudaStaging, StepsUnderWayAreOrderedAndNeitherAllocateNorWait) {
  Staging staging(GetParam());
  staging.submit(2);
  const FakeReport before = staging.report();
  staging.submit(kSteps);
  const FakeReport after = staging.report();
  EXPECT_TRUE(after.faults.empty()) << to_string(after);
  EXPECT_EQ(after.graph_launches - before.graph_launches, GetParam() ? kSteps : 0);
  EXPECT_EQ(after.allocations, before.allocations);
  EXPECT_EQ(after.synchronisations - before.synchronisations, kSteps) << "one for each result";
}

// A write beside the upload to bytes that every step writes: it is unordered with the step that is
// under way, so the upload is, and with no other.
TEST_P(CudaStaging, AnUploadNeedNotWaitForTheStepBefore) {
  Staging staging(GetParam());
  plan.probe = staging.state_bytes();
  staging.run(kSteps);
  EXPECT_TRUE(staging.report().faults.empty()) << "nothing was under way";
  staging.submit(kSteps);
  EXPECT_TRUE(mentions(staging.report(), "axpy writes, fill writes"))
      << to_string(staging.report());
  EXPECT_FALSE(mentions(staging.report(), "fill writes, axpy")) << "the step has what it needs";
}

TEST_P(CudaStaging, SeesAStepThatDoesNotWaitForItsUpload) {
  Staging staging(GetParam());
  plan.drops_upload_wait = true;
  staging.submit(kSteps);
  EXPECT_TRUE(mentions(staging.report(), "upload writes, copy reads")) << "its input";
  EXPECT_TRUE(mentions(staging.report(), "upload writes, axpy reads")) << "its StepState";
}

TEST_P(CudaStaging, SeesStagingThatIsUsedAgainTooEarly) {
  Staging staging(GetParam());
  plan.drops_host_wait = true;
  staging.submit(kSteps);
  EXPECT_TRUE(mentions(staging.report(), "upload reads, host writes")) << "pinned memory";
  EXPECT_TRUE(mentions(staging.report(), "copy reads, upload writes")) << "device memory";
  EXPECT_TRUE(mentions(staging.report(), "download writes, host reads")) << "results";
}

TEST_P(CudaStaging, SeesASlotThatIsFilledTwice) {
  Staging staging(GetParam());
  staging.begin(0);
  staging.begin(0);
  EXPECT_TRUE(mentions(staging.report(), "upload reads, host writes"));
}

TEST_P(CudaStaging, ASteadyStepTakesNothingFromTheHeap) {
  Staging staging(GetParam());
  staging.submit(3);
  const std::int64_t with_the_machine = allocation_count();
  staging.submit(1);
  EXPECT_GT(allocation_count(), with_the_machine)
      << "the counter counts: the fake keeps what it is given";
  plan.silent = true;
  const std::int64_t before = allocation_count();
  staging.submit(kSteps);
  EXPECT_EQ(allocation_count(), before);
}

TEST_P(CudaStaging, AStepUnderWayIsWaitedForBeforeItsStagingGoes) {
  std::int64_t before = 0;
  const DriverCalls calls = [&] {
    Staging staging(GetParam());
    staging.begin(1);
    before = staging.report().synchronisations;
    return staging.calls();
  }();
  EXPECT_EQ(fake_report(*calls.state).synchronisations, before + 1);
}

}  // namespace
