// Right kernels give right values and no report, in every mode and order of threads.
#include <gtest/gtest.h>

#include "tests/simt/problems.h"

namespace fornax::simt_test {
namespace {

class Seeds : public testing::TestWithParam<unsigned> {
 protected:
  void SetUp() override { simt::options().seed = GetParam(); }
  void TearDown() override { simt::options() = {}; }
};

TEST_P(Seeds, LinearIsRightForRaggedShapes) {
  const int shapes[][3] = {{96, 80, 64}, {64, 64, 32}, {1, 1, 8}, {65, 63, 40}, {7, 5, 200}};
  for (const auto& s : shapes)
    EXPECT_TRUE(LinearProblem::run<LinearFault::none>(s[0], s[1], s[2]))
        << s[0] << 'x' << s[1] << 'x' << s[2];
}

TEST_P(Seeds, SoftmaxIsRight) {
  EXPECT_TRUE(run_softmax<SoftmaxFault::none>(3, 400));
  EXPECT_TRUE(run_softmax<SoftmaxFault::none>(1, 4));
}

TEST_P(Seeds, RingIsRight) {
  EXPECT_TRUE(run_ring<RingFault::none>(3, 11));
  EXPECT_TRUE(run_ring<RingFault::none>(1, 1));
}

TEST_P(Seeds, TicketIsRight) {
  EXPECT_TRUE(run_ticket<TicketFault::none>(5));
  EXPECT_TRUE(run_ticket<TicketFault::none>(1));
}

INSTANTIATE_TEST_SUITE_P(Simt, Seeds, testing::Values(0u, 1u, 2u, 3u, 11u));

TEST(Threads, BlocksOnSeveralThreadsGiveTheSameBits) {
  LinearProblem one(200, 150, 96), several(200, 150, 96);
  linear(queue(), one.arguments());
  simt::options().threads = 4;
  linear(queue(), several.arguments());
  EXPECT_TRUE(run_ticket<TicketFault::none>(33));
  simt::options() = {};
  ASSERT_TRUE(one.right());
  for (std::size_t i = 0; i < one.y.size(); ++i) ASSERT_EQ(one.y[i].bits, several.y[i].bits);
}

}  // namespace
}  // namespace fornax::simt_test
