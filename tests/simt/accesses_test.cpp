// The counters of memory accesses against patterns whose cost is known. The kernels of the library
// are held to access_budget by tests/kernels/access_budget_test.cpp.
#include <gtest/gtest.h>

#include "tests/simt/kernels/patterns.cuh"
#include "tests/simt/problems.h"
#include "tests/simt/run_in_child.h"

namespace fornax::simt_test {
namespace {

class Accesses : public testing::Test {
 protected:
  void SetUp() override {
    if (built_mode() != Mode::plain) GTEST_SKIP() << "layouts are the device's in plain mode";
  }
};

simt::AccessCount count_pattern(Pattern pattern, const char* kind) {
  std::vector<float> x(4096, 1.0f), y(4096);
  simt::count_accesses();
  run(pattern, queue(), {x.data(), y.data()});
  simt::AccessCount total{"", "", 0, kind, 0, 0, 0};
  for (const simt::AccessCount& count : simt::access_report()) {
    if (count.kind != kind) continue;
    total.requests += count.requests, total.units += count.units, total.ideal += count.ideal;
  }
  return total;
}

TEST_F(Accesses, GlobalReadsCountSectors) {
  const auto together = count_pattern(Pattern::contiguous, "global_read");
  EXPECT_EQ(together.requests, 1);
  EXPECT_EQ(together.ideal, 4);
  EXPECT_LE(together.units, 5);  // one more when the row starts inside a sector
  const auto strided = count_pattern(Pattern::strided, "global_read");
  EXPECT_EQ(strided.units, 32);
  EXPECT_EQ(strided.ideal, 4);
}

TEST_F(Accesses, SharedWritesCountBankConflicts) {
  EXPECT_EQ(count_pattern(Pattern::contiguous, "shared_write").units, 1);
  EXPECT_EQ(count_pattern(Pattern::strided, "shared_write").units, 32);
  EXPECT_EQ(count_pattern(Pattern::padded, "shared_write").units, 1);
  EXPECT_EQ(count_pattern(Pattern::padded, "shared_write").ideal, 1);
}

TEST_F(Accesses, OneWordForAllIsOneWavefront) {
  EXPECT_EQ(count_pattern(Pattern::broadcast, "shared_read").units, 1);
}

TEST_F(Accesses, VectorsGoInQuartersOfAWarp) {
  EXPECT_EQ(count_pattern(Pattern::vectors, "shared_write").units, 4);
  EXPECT_EQ(count_pattern(Pattern::vectors, "shared_write").ideal, 4);
}

TEST_F(Accesses, MatricesOfThePaddedTilesHaveNoConflicts) {
  simt::count_accesses();
  LinearProblem::run<LinearFault::none>(128, 128, 96);
  int lines = 0;
  for (const simt::AccessCount& count : simt::access_report()) {
    if (count.kind != "load_matrices") continue;
    ++lines;
    EXPECT_EQ(count.units, count.ideal) << count.file << ':' << count.line;
    EXPECT_TRUE(count.kernel.starts_with("linear")) << count.kernel;
  }
  EXPECT_EQ(lines, 2);
}

}  // namespace
}  // namespace fornax::simt_test
