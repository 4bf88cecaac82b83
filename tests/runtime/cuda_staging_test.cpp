// Steps under way on the fake filling: what one needs goes up while the one before computes, and no
// staging is touched too early. Faults put in on purpose must be seen.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

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
  const char* strayed = nullptr;   ///< launches of that name go to a stream that nothing waits for
  Stream stray = nullptr;
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

void plan_launches(DriverTable& table) {
  table.annotate = [](DriverState& s, Stream stream, std::span<const Access> accesses) {
    if (plan.silent) return Status::success;
    if (plan.strayed) fake.annotate(s, plan.stray, accesses);
    return fake.annotate(s, stream, accesses);
  };
  table.launch = [](DriverState& s, Stream stream, const device::KernelLaunch& launch) {
    if (plan.silent) return Status::success;
    const bool strays = plan.strayed && std::strcmp(plan.strayed, launch.name) == 0;
    return fake.launch(s, strays ? plan.stray : stream, launch);
  };
}

DriverCalls planned_driver() {
  DriverCalls calls = make_fake_driver();
  fake = calls.table;
  plan = {}, upload_is_last = false;
  silence<&DriverTable::copy_to_host, &DriverTable::copy_on_device, &DriverTable::fill,
          &DriverTable::event_record, &DriverTable::graph_launch, &DriverTable::host_access>(
      calls.table);
  plan_launches(calls.table);
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

struct Recorded {
  bool capture = false, by_kernel = false;
  BackendOptions options() const {
    BackendOptions options;
    if (!by_kernel) options.transfer_bytes = 0;
    return options;
  }
};

/// The two-stream step on a planned driver. `strayed`: Plan's.
class Staging {
 public:
  explicit Staging(const Recorded& how, const char* strayed = nullptr)
      : backend_(std::make_shared<CudaBackend>(calls_, how.options())) {
    if (strayed) fake.stream_create(*calls_.state, &plan.stray, 0);
    plan.strayed = strayed;
    sequence_ = backend_->record(step_.commands(), TwoStreamStep::options(how.capture));
  }

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
  std::shared_ptr<CudaBackend> backend_;
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

class CudaStaging : public testing::TestWithParam<Recorded> {};
INSTANTIATE_TEST_SUITE_P(Recorded, CudaStaging,
                         testing::Values(Recorded{false, false}, Recorded{true, false},
                                         Recorded{false, true}, Recorded{true, true}),
                         [](const auto& how) {
                           return std::string(how.param.capture ? "Captured" : "Eager") +
                                  (how.param.by_kernel ? "Kernel" : "Copies");
                         });
class CudaCopies : public CudaStaging {};
INSTANTIATE_TEST_SUITE_P(Recorded, CudaCopies,
                         testing::Values(Recorded{false, false}, Recorded{true, false}),
                         [](const auto& how) { return how.param.capture ? "Captured" : "Eager"; });

TEST_P(CudaStaging, StepsUnderWayAreOrderedAndNeitherAllocateNorWait) {
  Staging staging(GetParam());
  staging.submit(2);
  const FakeReport before = staging.report();
  staging.submit(kSteps);
  const FakeReport after = staging.report();
  EXPECT_TRUE(after.faults.empty()) << to_string(after);
  EXPECT_EQ(after.graph_launches - before.graph_launches, GetParam().capture ? kSteps : 0);
  EXPECT_EQ(after.allocations, before.allocations);
  EXPECT_EQ(after.synchronisations - before.synchronisations, kSteps) << "one for each result";
  const int copies = GetParam().by_kernel ? 0 : 4;
  EXPECT_EQ(after.copies - before.copies, kSteps * copies) << "x twice, c, sum";
}

// A write beside the upload to bytes that every step writes: it is unordered with the step that is
// under way, so the upload is, and with no other.
TEST_P(CudaCopies, AnUploadNeedNotWaitForTheStepBefore) {
  Staging staging(GetParam());
  plan.probe = staging.state_bytes();
  staging.run(kSteps);
  EXPECT_TRUE(staging.report().faults.empty()) << "nothing was under way";
  staging.submit(kSteps);
  EXPECT_TRUE(mentions(staging.report(), "axpy writes, fill writes"))
      << to_string(staging.report());
  EXPECT_FALSE(mentions(staging.report(), "fill writes, axpy")) << "the step has what it needs";
}

TEST_P(CudaCopies, SeesAStepThatDoesNotWaitForItsUpload) {
  Staging staging(GetParam());
  plan.drops_upload_wait = true;
  staging.submit(kSteps);
  EXPECT_TRUE(mentions(staging.report(), "upload writes, copy reads")) << "its input";
}

TEST_P(CudaStaging, SeesAKernelOfTransfersThatIsNotOrdered) {
  {
    Staging staging(GetParam(), "take");
    staging.submit(kSteps);
    EXPECT_TRUE(mentions(staging.report(), "take writes, axpy reads")) << "its StepState";
  }
  Staging staging(GetParam(), "give");
  staging.submit(kSteps);
  EXPECT_TRUE(mentions(staging.report(), "give writes, host reads")) << "its flags";
  if (!GetParam().capture) {
    EXPECT_TRUE(mentions(staging.report(), "complain updates, give reads"));
  }
}

TEST_P(CudaStaging, SeesStagingThatIsUsedAgainTooEarly) {
  Staging staging(GetParam());
  plan.drops_host_wait = true;
  staging.submit(kSteps);
  const FakeReport report = staging.report();
  EXPECT_TRUE(mentions(report, "take reads, host writes")) << "pinned memory";
  EXPECT_TRUE(mentions(report, "give writes, host reads")) << "flags";
  if (GetParam().by_kernel) return;
  EXPECT_TRUE(mentions(report, "upload reads, host writes")) << "pinned memory of inputs";
  EXPECT_TRUE(mentions(report, "copy reads, upload writes")) << "device memory";
  EXPECT_TRUE(mentions(report, "download writes, host reads")) << "results";
}

TEST_P(CudaStaging, SeesASlotThatIsFilledTwice) {
  Staging staging(GetParam());
  staging.begin(0);
  staging.begin(0);
  EXPECT_TRUE(mentions(staging.report(), "take reads, host writes"));
  EXPECT_EQ(mentions(staging.report(), "upload reads, host writes"), !GetParam().by_kernel);
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
