// Which lines of memory a block of the matrix product asks for ahead.
#include "kernels/host/gemm_ahead.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

namespace fornax::host {
namespace {

constexpr std::int64_t kLine = 16;

/// The lines of `memory` that `steps` requests ask for, each line once.
std::set<std::int64_t> lines_asked(FetchAhead ahead, const std::vector<float>& memory,
                                   std::int64_t steps) {
  std::set<std::int64_t> lines;
  for (std::int64_t left = steps * ahead.share; left > 0;) {
    const FetchAhead::Run run = ahead.next(std::min(left, steps % 5 + 1));
    if (run.lines == 0) break;
    for (std::int64_t i = 0; i < run.lines; ++i) {
      const bool is_new = lines.insert((run.from - memory.data()) / kLine + i).second;
      EXPECT_TRUE(is_new);
    }
    left -= run.lines;
  }
  EXPECT_EQ(ahead.next(1).lines, 0);
  return lines;
}

/// The lines of elements (i, k) for i < count, k < depth.
std::set<std::int64_t> lines_of(const GemmOperand& operand, const std::vector<float>& memory,
                                std::int64_t count, std::int64_t depth) {
  std::set<std::int64_t> lines;
  for (std::int64_t i = 0; i < count; ++i)
    for (std::int64_t k = 0; k < depth; ++k)
      lines.insert(
          (operand.data - memory.data() + i * operand.row_stride + k * operand.column_stride) /
          kLine);
  return lines;
}

TEST(GemmAhead, EveryLineOfAnOperandOnce) {
  const std::vector<float> memory(64 * 1024);
  for (const std::int64_t stride : {48, 80, 1024}) {
    for (const bool transposed : {false, true}) {
      for (const std::int64_t steps : {1, 7, 48, 1000}) {
        const GemmOperand operand{memory.data() + kLine, transposed ? 1 : stride,
                                  transposed ? stride : 1};
        const std::int64_t count = transposed ? 40 : 13, depth = transposed ? 13 : 40;
        Ahead ahead{};
        ahead.add(operand, count, depth, steps);
        ASSERT_EQ(ahead.count, 1);
        EXPECT_EQ(lines_asked(ahead.range[0], memory, steps),
                  lines_of(operand, memory, count, depth))
            << stride << ' ' << transposed << ' ' << steps;
      }
    }
  }
}

TEST(GemmAhead, NothingOfNoRows) {
  const float x = 0;
  Ahead ahead{};
  ahead.add({&x, 16, 1}, 0, 8, 4);
  ahead.add({&x, 16, 1}, -3, 8, 4);
  ahead.add({&x, 1, 16}, 8, 0, 4);
  EXPECT_EQ(ahead.count, 0);
}

}  // namespace
}  // namespace fornax::host
