// Plans of small graphs: order, aliases, streams, memory, text.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "tests/runtime/test_graph.h"

namespace fornax::testing {
namespace {

Plan plan_of(const GraphMaker& maker, std::vector<int> outputs, int streams = 1) {
  return make_plan(maker.graph, reference_model(streams), {.outputs = std::move(outputs)});
}
const Location& location(const Plan& plan, int id) {
  return plan.values[static_cast<std::size_t>(id)].location;
}
int step_making(const Plan& plan, int id) {
  for (std::size_t s = 0; s < plan.steps.size(); ++s)
    if (std::count(plan.steps[s].out.begin(), plan.steps[s].out.end(), id))
      return static_cast<int>(s);
  return kAbsent;
}

TEST(Plan, DeadNodesGoAndUpdatesStay) {
  GraphMaker maker;
  const int x = maker.input("x", 64), unread = maker.input("unread", 64);
  const int w = maker.parameter("w", 64);
  const int y = maker.add(kCompute, {x}, 64);
  maker.add(kCompute, {unread}, 64);
  maker.add(kUpdate, {w, y}, 64);
  const Plan plan = plan_of(maker, {});
  EXPECT_EQ(plan.graph.nodes.size(), 2u);
  EXPECT_EQ(plan.inputs, std::vector<int>{x});
  EXPECT_EQ(plan.steps.size(), 3u);
  EXPECT_TRUE(plan.advances_step);
}

TEST(Plan, AnUpdateComesAfterEveryReadOfTheOldContent) {
  GraphMaker maker;
  const int x = maker.input("x", 64), w = maker.parameter("w", 64);
  const int updated = maker.add(kUpdate, {w, x}, 64);
  const int seen = maker.add(kView, {w}, 64);
  const int read = maker.add(kCompute, {seen}, 64);
  const Plan plan = plan_of(maker, {read});
  EXPECT_LT(step_making(plan, read), step_making(plan, updated));
  EXPECT_EQ(step_making(plan, seen), kAbsent);
  EXPECT_EQ(location(plan, updated).space, Location::Space::state);
  EXPECT_EQ(location(plan, updated).value, w);
  EXPECT_EQ(location(plan, seen).value, w);
}

TEST(Plan, RefusesAReadThatIsBothBeforeAndAfterAnUpdate) {
  GraphMaker maker;
  const int x = maker.input("x", 64), w = maker.parameter("w", 64);
  const int updated = maker.add(kUpdate, {w, x}, 64);
  const int both = maker.add(kCompute, {w, updated}, 64);
  try {
    plan_of(maker, {both});
    FAIL() << "a cycle was planned";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_NE(std::string(error.what()).find("test_update (node 0) updates 'w'"), std::string::npos)
        << error.what();
  }
}

TEST(Plan, RefusesTwoUpdatesOfOneContent) {
  GraphMaker maker;
  const int x = maker.input("x", 64), w = maker.parameter("w", 64);
  maker.add(kUpdate, {w, x}, 64);
  maker.add(kUpdate, {w, x}, 64);
  EXPECT_THROW(plan_of(maker, {}), Error);
}

TEST(Plan, OverwritesWhatDiesAndNothingElse) {
  GraphMaker maker;
  const int x = maker.input("x", 64);
  const int of_upload = maker.add(kInPlace, {x}, 64);
  const int dies = maker.add(kInPlace, {of_upload}, 64);
  const int kept = maker.add(kInPlace, {dies}, 64);
  const int last = maker.add(kCompute, {dies, kept}, 64);
  const Plan plan = plan_of(maker, {last});
  EXPECT_NE(location(plan, of_upload).offset_bytes, location(plan, x).offset_bytes);
  EXPECT_EQ(plan.values[static_cast<std::size_t>(dies)].root, of_upload);
  EXPECT_EQ(plan.values[static_cast<std::size_t>(kept)].root, kept);
}

TEST(Plan, AChainNeedsTwoBuffers) {
  GraphMaker maker;
  int value = maker.input("x", 1000);
  for (int k = 0; k < 50; ++k) value = maker.add(kCompute, {value}, 1000);
  const Plan plan = plan_of(maker, {value});
  EXPECT_EQ(plan.arena_bytes, 2 * 4096);
  EXPECT_EQ(plan.lower_bound_bytes, 2 * 4096);
}

TEST(Plan, WeightGradientsAndTheirUpdatesRunOnTheSecondStream) {
  GraphMaker maker;
  const int loss = training_chain(maker, 3, 64);
  const Plan plan = plan_of(maker, {loss}, 2);
  EXPECT_EQ(plan.streams, 2);
  std::map<std::string, int> second;
  for (const PlanStep& step : plan.steps)
    if (step.stream == 1)
      ++second[std::string(plan.graph.nodes[static_cast<std::size_t>(step.node)].op->name)];
  EXPECT_EQ(second, (std::map<std::string, int>{{"test_weight_gradient", 3}, {"test_update", 3}}));
  EXPECT_EQ(plan.steps.back().stream, 0);
  EXPECT_LE(plan.events, 6);
}

TEST(Plan, AnUpdateRunsAsSoonAsItMay) {
  GraphMaker maker;
  const int loss = training_chain(maker, 3, 64);
  const Plan plan = plan_of(maker, {loss}, 1);
  std::string order;
  for (const PlanStep& step : plan.steps) {
    if (step.node == kAbsent) continue;
    const std::string_view op = plan.graph.nodes[static_cast<std::size_t>(step.node)].op->name;
    order += op == "test_update" ? 'u' : op == "test_weight_gradient" ? 'g' : '.';
  }
  EXPECT_EQ(order, "......gu.gugu");
}

TEST(Plan, TheSecondStreamAlwaysBeginsAtTheMainOne) {
  GraphMaker maker;
  const int w = maker.parameter("w", 64);
  const int first = maker.add(kWeightGradient, {w}, 64);
  const int second = maker.add(kWeightGradient, {w}, 64);
  const Plan plan = plan_of(maker, {first, second}, 2);
  EXPECT_EQ(plan.steps[0].stream, 0);
  EXPECT_EQ(plan.steps[1].stream, 1);
  EXPECT_EQ(plan.steps[1].waits, std::vector<int>{plan.steps[0].signal});
}

}  // namespace
}  // namespace fornax::testing
