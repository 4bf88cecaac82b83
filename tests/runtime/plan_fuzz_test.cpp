// Random graphs: every plan passes its check, and replays in random legal orders, on a memory of
// value numbers, read what they should. Random damage that the check lets pass must be harmless.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <random>

#include "tests/runtime/test_graph.h"

namespace fornax::testing {
namespace {

constexpr std::int64_t kCell =
    64;  ///< elements are placed and compared in cells of this many bytes

/// A graph of products, in-place ops, views, updates and weight gradients over random operands.
GraphMaker random_graph(std::mt19937& random, std::vector<int>& outputs) {
  const auto below = [&](std::size_t limit) { return random() % limit; };
  GraphMaker maker;
  std::map<std::int64_t, std::vector<int>> by_size;
  const std::int64_t sizes[] = {16, 64, 100, 512};
  for (const std::int64_t size : sizes)
    by_size[size] = {maker.input("x" + std::to_string(size), size)};
  std::vector<int> states;
  for (int k = 0; k < 4; ++k) states.push_back(maker.parameter("w" + std::to_string(k), sizes[k]));
  const OpDefinition* ops[] = {&kCompute, &kCompute, &kInPlace,
                               &kInPlace, &kView,    &kWeightGradient};
  for (std::size_t k = 0; k < 10 + below(40); ++k) {
    const std::int64_t size = sizes[below(4)];
    auto& same = by_size[size];
    const OpDefinition& op = *ops[below(6)];
    std::vector<int> in{same[same.size() - 1 - below(std::min<std::size_t>(same.size(), 3))]};
    if (&op != &kView && below(2)) in.push_back(by_size[sizes[below(4)]].back());
    if (&op == &kCompute && below(4) == 0) in.push_back(states[below(states.size())]);
    same.push_back(maker.add(op, in, size));
  }
  // Updates come last, so that nothing reads old and new content both.
  for (std::size_t k = 0; k < states.size(); ++k)
    if (below(3)) maker.add(kUpdate, {states[k], by_size[sizes[k]].back()}, sizes[k]);
  for (const std::int64_t size : sizes)
    if (below(2)) outputs.push_back(by_size[size].back());
  return maker;
}

/// Replays a plan in one legal order and says whether every read saw the right content.
class Replay {
 public:
  explicit Replay(const Plan& plan) : plan_(plan), shows_(plan.graph.values.size()) {
    for (std::size_t id = 0; id < shows_.size(); ++id) shows_[id] = static_cast<int>(id);
    for (const NodeData& node : plan.graph.nodes)
      if (node.op == &kView) shows_[at(node.out[0])] = shows_[at(node.in[0])];
  }

  /// Whether every wait is for an event of an earlier step, so that a replay ends.
  bool may_run() const {
    std::vector<char> signalled(at(plan_.events), 0);
    for (const PlanStep& step : plan_.steps) {
      for (const int event : step.waits)
        if (!signalled[at(event)]) return false;
      if (step.signal != kAbsent) signalled[at(step.signal)] = 1;
    }
    return true;
  }

  bool right(std::mt19937& random) {
    memory_.clear();
    std::vector<std::vector<int>> queues(at(plan_.streams));
    for (std::size_t s = 0; s < plan_.steps.size(); ++s)
      queues[at(plan_.steps[s].stream)].push_back(static_cast<int>(s));
    std::vector<std::size_t> next(queues.size(), 0);
    std::vector<char> happened(at(plan_.events), 0);
    for (std::size_t done = 0; done < plan_.steps.size();) {
      const std::size_t stream = random() % queues.size();
      if (next[stream] == queues[stream].size()) continue;
      const PlanStep& step = plan_.steps[at(queues[stream][next[stream]])];
      if (!std::all_of(step.waits.begin(), step.waits.end(),
                       [&](int e) { return happened[at(e)]; }))
        continue;
      if (!run(step)) return false;
      if (step.signal != kAbsent) happened[at(step.signal)] = 1;
      ++next[stream];
      ++done;
    }
    return true;
  }

 private:
  static std::size_t at(int id) { return static_cast<std::size_t>(id); }

  template <class Visit>
  void each_cell(int id, const Visit& visit) const {
    const Location& location = plan_.values[at(id)].location;
    const std::int64_t end = location.offset_bytes + plan_.values[at(id)].type.bytes();
    for (std::int64_t byte = location.offset_bytes; byte < end; byte += kCell)
      visit(std::pair(location.value, byte / kCell));
  }

  bool run(const PlanStep& step) {
    bool right = true;
    for (const int id : step.in)
      each_cell(id, [&](const std::pair<int, std::int64_t>& cell) {
        const auto found = memory_.find(cell);
        const int held = found != memory_.end() ? found->second : cell.first;
        right &= held == shows_[at(id)];
      });
    for (const int id : step.out) each_cell(id, [&](const auto& cell) { memory_[cell] = id; });
    return right;
  }

  const Plan& plan_;
  std::vector<int> shows_;
  std::map<std::pair<int, std::int64_t>, int> memory_;
};

bool passes(const Plan& plan) {
  try {
    check_plan(plan);
  } catch (const Error&) {
    return false;
  }
  return true;
}

TEST(PlanFuzz, EveryPlanIsRightInEveryOrderTried) {
  for (std::uint32_t seed = 0; seed < 400; ++seed) {
    std::mt19937 random(seed);
    std::vector<int> outputs;
    const GraphMaker maker = random_graph(random, outputs);
    for (const int streams : {1, 2}) {
      const PlanOptions options{.outputs = outputs,
                                .join_distance = 1 + static_cast<int>(seed % 3)};
      const Plan plan = make_plan(maker.graph, reference_model(streams), options);
      Replay replay(plan);
      for (int order = 0; order < 8; ++order)
        ASSERT_TRUE(replay.right(random)) << "seed " << seed << '\n' << print(plan);
      ASSERT_GE(plan.arena_bytes, plan.lower_bound_bytes);
    }
  }
}

/// Moves a value, drops a wait, or changes a stream.
void damage(Plan& plan, std::mt19937& random) {
  const std::size_t kind = random() % 3;
  PlanStep& step = plan.steps[random() % plan.steps.size()];
  if (kind == 0 && plan.arena_bytes > 0) {
    const std::size_t id = random() % plan.values.size();
    const auto offset =
        static_cast<std::int64_t>(random() % static_cast<std::size_t>(plan.arena_bytes / 256)) *
        256;
    if (plan.values[id].location.space != Location::Space::arena) return;
    for (PlanValue& value : plan.values)
      if (value.root == static_cast<int>(id)) value.location.offset_bytes = offset;
  }
  if (kind == 1 && !step.waits.empty()) step.waits.pop_back();
  if (kind == 2) step.stream = static_cast<int>(random() % static_cast<std::size_t>(plan.streams));
}

TEST(PlanFuzz, DamageThatPassesTheCheckIsHarmless) {
  int refused = 0, passed = 0, seen_wrong = 0;
  for (std::uint32_t seed = 0; seed < 3000; ++seed) {
    std::mt19937 random(seed);
    std::vector<int> outputs;
    const GraphMaker maker = random_graph(random, outputs);
    Plan plan = make_plan(maker.graph, reference_model(2), {.outputs = outputs});
    if (plan.steps.empty()) continue;
    damage(plan, random);
    const bool pass = passes(plan);
    ++(pass ? passed : refused);
    Replay replay(plan);
    int wrong = 0;
    for (int order = 0; order < 8 && replay.may_run(); ++order) wrong += !replay.right(random);
    ASSERT_TRUE(!pass || wrong == 0) << "seed " << seed << '\n' << print(plan);
    seen_wrong += wrong > 0;
  }
  std::printf("%d refused, %d passed, %d seen wrong\n", refused, passed, seen_wrong);
  EXPECT_GT(refused, 500);
  EXPECT_GT(seen_wrong, 300) << "the replay must be able to see damage";
  EXPECT_GT(passed, 100);
}

}  // namespace
}  // namespace fornax::testing
