// What a program says when the machine has not enough memory for it.
#include <fornax/fornax.h>
#include <gtest/gtest.h>

#include "tests/runtime/command_list.h"

// Under a sanitizer a refused allocation must come back as null, not end the process.
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }
extern "C" const char* __tsan_default_options() { return "allocator_may_return_null=1"; }

namespace fornax {
namespace {

std::string message_of(void (*body)()) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

TEST(OutOfMemory, CompileNamesTheLargestValuesAndWhatWouldHelp) {
  const std::string message = message_of([] {
    Graph graph(Mode::evaluate);
    const Value x = graph.input("x", {std::int64_t{1} << 46, 3});
    const Value y = gelu(linear(x, graph.parameter("w", {2, 3}, zeros())));
    const State state = initialize(graph, Device::cpu(1));
    compile(graph, state, {.outputs = {sum(y)}, .fuse = false});
  });
  EXPECT_NE(message.find("input x: f32 [70368744177664, 3], 844424930131968 bytes"),
            std::string::npos)
      << message;
  EXPECT_NE(message.find("output of linear"), std::string::npos) << message;
  EXPECT_NE(message.find("a smaller batch would help"), std::string::npos) << message;
}

TEST(OutOfMemory, InitializeNamesTheEntry) {
  const std::string message = message_of([] {
    Graph graph;
    graph.parameter("huge", {std::int64_t{1} << 48}, zeros());
    initialize(graph, Device::cpu(1));
  });
  EXPECT_NE(message.find("'huge'"), std::string::npos) << message;
  EXPECT_NE(message.find("1125899906842624 bytes"), std::string::npos) << message;
}

TEST(OutOfMemory, ARunByBandsSaysWhoNeedsTheMemory) {
  const std::string message = message_of([] {
    const std::int64_t before = banded_bytes.exchange(0);
    testing::CommandList list;
    list.launch({{testing::CommandList::kArena, {5}}}, {{0, {1100, 2}}});
    list.launch({{0, {1100, 2}}}, {{100 * 1024, {1100, 2}}});
    RowRunPlan plan = std::get<RowRunPlan>(list.stages(1).at(0));
    banded_bytes = before;
    plan.members[0].plan.lane_bytes = std::int64_t{1} << 46;
    RowRun(std::move(plan), 1);
  });
  EXPECT_NE(message.find("a run by bands of rows"), std::string::npos) << message;
  EXPECT_NE(message.find("fewer threads need less"), std::string::npos) << message;
}

}  // namespace
}  // namespace fornax
