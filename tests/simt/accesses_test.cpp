// What kernels ask of memory, by source line, held to the file access_budget; and the counters
// against patterns whose cost is known.
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>

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
  simt::AccessCount total{"", 0, kind, 0, 0, 0};
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
  EXPECT_EQ(count_pattern(Pattern::strided, "global_read").units, 32);
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

// Units above the fewest possible, by line.
std::map<std::string, std::int64_t> excess_of_kernels() {
  simt::count_accesses();
  LinearProblem::run<LinearFault::none>(128, 128, 96);
  run_softmax<SoftmaxFault::none>(2, 384);
  std::map<std::string, std::int64_t> excess;
  for (const simt::AccessCount& count : simt::access_report()) {
    if (count.kind.starts_with("global")) continue;
    excess[count.file + ':' + std::to_string(count.line) + ' ' + count.kind] +=
        count.units - count.ideal;
  }
  return excess;
}

TEST_F(Accesses, KernelsStayWithinTheirBudget) {
  std::ifstream file(FORNAX_SOURCE_DIR "/tests/simt/access_budget");
  ASSERT_TRUE(file) << "tests/simt/access_budget is missing";
  std::map<std::string, std::int64_t> budget;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string place, kind;
    std::int64_t excess = 0;
    ASSERT_TRUE(words >> excess >> place >> kind) << line;
    budget[place + ' ' + kind] = excess;
  }
  const auto excess = excess_of_kernels();
  for (const auto& [key, units] : excess) {
    const auto found = budget.find(key);
    EXPECT_TRUE(found != budget.end()) << "no line in access_budget: " << units << ' ' << key;
    if (found != budget.end()) {
      EXPECT_LE(units, found->second) << key;
    }
  }
  EXPECT_EQ(excess.size(), budget.size()) << "access_budget has lines without accesses";
}

}  // namespace
}  // namespace fornax::simt_test
