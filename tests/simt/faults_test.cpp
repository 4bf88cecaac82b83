// Mistakes put into kernels on purpose: each must be found in the modes listed, by every seed
// (docs/simt.md says what TSan needs for that).
#include <gtest/gtest.h>

#include <ostream>

#include "tests/simt/problems.h"
#include "tests/simt/run_in_child.h"

namespace fornax::simt_test {
namespace {

// What must be said in a mode. kSomehow: anything but silence; kUnseen: that mode cannot see it.
struct Expected {
  const char *plain, *address, *thread;
};

struct Fault {
  const char* name;
  bool (*run)();
  Expected expected;
};

constexpr const char *kSomehow = "", *kUnseen = nullptr;
constexpr const char *kWrong = "wrong values", *kRace = "data race", *kPending = "never waited for";
constexpr const char *kDeadlock = "deadlock", *kIndex = "out of bounds", *kDivergent = "divergent",
                     *kBounds = "AddressSan";
constexpr const char* kMisaligned = "misaligned";

template <LinearFault fault>
bool linear_with() {
  return LinearProblem::run<fault>(96, 80, 160);
}
template <SoftmaxFault fault>
bool softmax_with() {
  return run_softmax<fault>(3, 400);
}
template <RingFault fault>
bool ring_with() {
  return run_ring<fault>(2, 11);
}
template <TicketFault fault>
bool ticket_with() {
  return run_ticket<fault>(4);
}

const Fault kFaults[] = {
    {"linear_no_wait", linear_with<LinearFault::no_wait>, {kPending, kBounds, kSomehow}},
    {"linear_late_wait", linear_with<LinearFault::late_wait>, {kPending, kBounds, kRace}},
    {"linear_no_barrier", linear_with<LinearFault::no_barrier>, {kUnseen, kBounds, kRace}},
    {"linear_load_before_barrier",
     linear_with<LinearFault::load_before_barrier>,
     {kUnseen, kUnseen, kRace}},
    {"linear_divergent_barrier",
     linear_with<LinearFault::divergent_barrier>,
     {kDivergent, kDivergent, kDivergent}},
    {"linear_unguarded_rows",
     linear_with<LinearFault::unguarded_rows>,
     {kUnseen, kBounds, kUnseen}},
    {"linear_unguarded_store",
     linear_with<LinearFault::unguarded_store>,
     {kUnseen, kBounds, kUnseen}},
    {"linear_blocks_share_element",
     linear_with<LinearFault::blocks_share_element>,
     {kWrong, kWrong, kRace}},
    {"linear_misaligned_copy",
     linear_with<LinearFault::misaligned_copy>,
     {kMisaligned, kMisaligned, kMisaligned}},
    {"softmax_no_barrier", softmax_with<SoftmaxFault::no_barrier>, {kWrong, kWrong, kRace}},
    {"softmax_divergent_barrier",
     softmax_with<SoftmaxFault::divergent_barrier>,
     {kDivergent, kDivergent, kDivergent}},
    {"softmax_past_shared", softmax_with<SoftmaxFault::past_shared>, {kWrong, kIndex, kWrong}},
    {"softmax_past_row", softmax_with<SoftmaxFault::past_row>, {kUnseen, kBounds, kUnseen}},
    {"softmax_partial_warp",
     softmax_with<SoftmaxFault::partial_warp>,
     {kDeadlock, kDeadlock, kDeadlock}},
    {"softmax_misaligned_vector",
     softmax_with<SoftmaxFault::misaligned_vector>,
     {kMisaligned, kMisaligned, kMisaligned}},
    {"ring_no_empty_wait",
     ring_with<RingFault::no_empty_wait>,
     {"more arrivals", "more arrivals", kSomehow}},
    {"ring_no_full_wait", ring_with<RingFault::no_full_wait>, {kSomehow, kSomehow, kSomehow}},
    {"ring_no_fence", ring_with<RingFault::no_fence>, {kUnseen, kUnseen, kRace}},
    {"ring_wrong_count", ring_with<RingFault::wrong_count>, {kUnseen, kSomehow, kSomehow}},
    {"ring_never_arrives", ring_with<RingFault::never_arrives>, {kDeadlock, kDeadlock, kDeadlock}},
    {"ticket_no_fence_before",
     ticket_with<TicketFault::no_fence_before>,
     {kUnseen, kUnseen, kRace}},
    {"ticket_no_fence_after", ticket_with<TicketFault::no_fence_after>, {kUnseen, kUnseen, kRace}},
    {"ticket_no_ticket", ticket_with<TicketFault::no_ticket>, {kUnseen, kUnseen, kRace}},
    {"ticket_waits_forever",
     ticket_with<TicketFault::waits_forever>,
     {kDeadlock, kDeadlock, kDeadlock}},
};

void PrintTo(const Fault& fault, std::ostream* to) { *to << fault.name; }

constexpr unsigned kSeeds[] = {0, 1, 2, 7};

class Faults : public testing::TestWithParam<Fault> {};

TEST_P(Faults, IsFound) {
  const Fault& fault = GetParam();
  const Expected& e = fault.expected;
  const Mode mode = built_mode();
  const char* words = mode == Mode::plain ? e.plain : mode == Mode::address ? e.address : e.thread;
  if (words == kUnseen) GTEST_SKIP() << "this mode cannot see it";
  int found = 0;
  std::string said;
  for (const unsigned seed : kSeeds) {
    const Outcome outcome = run_in_child([&] {
      simt::options().seed = seed;
      return fault.run();
    });
    const bool seen = !outcome.silent && outcome.text.find(words) != std::string::npos;
    found += seen;
    if (!seen) said += "seed " + std::to_string(seed) + ": " + outcome.text.substr(0, 500) + '\n';
  }
  EXPECT_EQ(found, static_cast<int>(std::size(kSeeds))) << said;
}

INSTANTIATE_TEST_SUITE_P(Simt, Faults, testing::ValuesIn(kFaults),
                         [](const auto& fault) { return std::string(fault.param.name); });

}  // namespace
}  // namespace fornax::simt_test
