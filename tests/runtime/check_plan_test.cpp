// check_plan: sound plans pass; every planted fault is refused and named.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "tests/runtime/test_graph.h"

namespace fornax::testing {
namespace {

/// A step with two streams, updates, a view, in-place results and (planted by hand) a workspace.
struct Sample {
  Plan plan;
  int x, w0, gradient, activation, updated, loss;

  Sample() {
    GraphMaker maker;
    loss = training_chain(maker, 3, 256);
    plan = make_plan(maker.graph, reference_model(2), {.outputs = {loss}});
    x = maker.graph.named.at("x");
    w0 = maker.graph.named.at("w0");
    activation = plan.steps[1].out[0];
    updated = plan.steps[find_op("test_update")].out[0];
    gradient = plan.steps[find_op("test_weight_gradient")].out[0];
  }

  std::size_t find_op(std::string_view op, std::size_t from = 0) const {
    for (std::size_t s = from; s < plan.steps.size(); ++s)
      if (plan.steps[s].node != kAbsent &&
          plan.graph.nodes[static_cast<std::size_t>(plan.steps[s].node)].op->name == op)
        return s;
    return plan.steps.size();
  }
  PlanValue& value(int id) { return plan.values[static_cast<std::size_t>(id)]; }
  PlanStep& waiting() {
    return *std::find_if(plan.steps.begin(), plan.steps.end(),
                         [](const PlanStep& step) { return !step.waits.empty(); });
  }
  PlanStep& signalling() {
    return *std::find_if(plan.steps.begin(), plan.steps.end(),
                         [](const PlanStep& step) { return step.signal != kAbsent; });
  }
  void add_workspace(std::size_t step, std::int64_t offset, std::int64_t bytes) {
    plan.steps[step].workspace_bytes = bytes;
    plan.steps[step].workspace = {Location::Space::arena, kAbsent, offset};
  }
};

struct Fault {
  const char* name;
  const char* message;
  std::function<void(Sample&)> plant;
};

class CheckPlan : public ::testing::TestWithParam<Fault> {};

TEST(CheckPlanSound, PassesAsPlanned) {
  Sample sample;
  EXPECT_NO_THROW(check_plan(sample.plan));
  sample.add_workspace(1, sample.plan.arena_bytes, 256);
  sample.plan.arena_bytes += 256;
  EXPECT_NO_THROW(check_plan(sample.plan));
}

std::string refusal_of(const Plan& plan) {
  try {
    check_plan(plan);
  } catch (const Error& error) {
    return error.what();
  }
  return "passed";
}

TEST(CheckPlanStates, RefusesAnUpdateBeforeAReadOfTheOldContent) {
  GraphMaker maker;
  const int x = maker.input("x", 64), w = maker.parameter("w", 64);
  const int read = maker.add(kCompute, {w}, 64);
  maker.add(kUpdate, {w, x}, 64);
  Plan plan = make_plan(maker.graph, reference_model(), {.outputs = {read}});
  EXPECT_EQ(refusal_of(plan), "passed");
  std::swap(plan.steps[1], plan.steps[2]);
  EXPECT_NE(refusal_of(plan).find("test_compute (node 0) reads 'w' where %3 lies"),
            std::string::npos)
      << refusal_of(plan);
}

TEST(CheckPlanStates, RefusesAnUpdateThatDoesNotWaitForAReaderOnTheOtherStream) {
  GraphMaker maker;
  const int x = maker.input("x", 64), w = maker.parameter("w", 64);
  const int read = maker.add(kWeightGradient, {x, w}, 64);
  maker.add(kUpdate, {w, x}, 64);
  Plan plan = make_plan(maker.graph, reference_model(2), {.outputs = {read}});
  EXPECT_EQ(refusal_of(plan), "passed");
  std::swap(plan.steps[2].waits, plan.steps[3].waits);
  EXPECT_NE(refusal_of(plan).find("overwrites 'w' with %3 while it is still in use"),
            std::string::npos)
      << refusal_of(plan);
}

TEST(CheckPlanStates, RefusesToOverwriteAnInputUnlessTheOpSaysSo) {
  GraphMaker maker;
  const int x = maker.input("x", 64);
  const int first = maker.add(kCompute, {x}, 64);
  const int second = maker.add(kInPlace, {first}, 64);
  Plan plan = make_plan(maker.graph, reference_model(), {.outputs = {second}});
  EXPECT_EQ(plan.values[static_cast<std::size_t>(second)].root, first);
  plan.graph.nodes[1].op = &kCompute;
  EXPECT_NE(refusal_of(plan).find("overwrites %1 with %2"), std::string::npos) << refusal_of(plan);
}

TEST_P(CheckPlan, RefusesAndNames) {
  Sample sample;
  GetParam().plant(sample);
  try {
    check_plan(sample.plan);
    FAIL() << "not refused: " << GetParam().name << '\n' << print(sample.plan);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::internal);
    EXPECT_NE(std::string(error.what()).find(GetParam().message), std::string::npos)
        << error.what();
  }
}

const Fault kFaults[] = {
    {"offset_of_a_neighbour", "overwrites",
     [](Sample& s) {
       // The first activation is read again in the backward pass; the second is written over it.
       s.value(s.plan.steps[2].out[0]).location = s.value(s.activation).location;
     }},
    {"early_reuse", "reads 'x' where",
     [](Sample& s) {
       s.value(s.plan.steps[2].out[0]).location.offset_bytes = s.value(s.x).location.offset_bytes;
     }},
    {"partial_overlap", "overwrites",
     [](Sample& s) {
       auto& moved = s.value(s.plan.steps[2].out[0]).location.offset_bytes;
       const auto fixed = s.value(s.activation).location.offset_bytes;
       moved = fixed >= 256 ? fixed - 256 : fixed + 256;
     }},
    {"misaligned", "misaligned",
     [](Sample& s) {
       s.value(s.activation).location.offset_bytes += 4;
       s.plan.arena_bytes += 256;
     }},
    {"outside_the_arena", "of",
     [](Sample& s) { s.value(s.activation).location.offset_bytes = s.plan.arena_bytes; }},
    {"negative_offset", "reaches from byte -256",
     [](Sample& s) { s.value(s.activation).location.offset_bytes = -256; }},
    {"arena_too_small", "reaches", [](Sample& s) { s.plan.arena_bytes -= 256; }},
    {"wrong_root", "outside the bytes of its root",
     [](Sample& s) { s.value(s.activation).root = s.x; }},
    {"root_that_owns_nothing", "which owns no bytes",
     [](Sample& s) { s.value(s.activation).root = s.updated; }},
    {"wrong_type", "another type",
     [](Sample& s) { s.value(s.activation).type.dtype = DType::bf16; }},
    {"strided_output", "is returned but not row-major",
     [](Sample& s) {
       kernels::TensorType turned(DType::f32, Shape{2, 2});
       turned.strides[0] = 1, turned.strides[1] = 2;
       s.value(s.loss).type = turned;
       s.plan.graph.values[static_cast<std::size_t>(s.loss)].type = turned;
     }},
    {"value_nowhere", "lies nowhere", [](Sample& s) { s.value(s.activation).location = {}; }},
    {"value_in_a_state", "does not update",
     [](Sample& s) {
       s.value(s.activation).location = s.value(s.w0).location;
       s.value(s.activation).root = s.w0;
     }},
    {"update_of_another_state", "must lie",
     [](Sample& s) {
       s.value(s.updated).location = s.value(s.w0).location;
       s.value(s.updated).root = s.w0;
     }},
    {"dropped_waits", "while it is still in use",
     [](Sample& s) {
       for (PlanStep& step : s.plan.steps)
         if (step.stream == 0) step.waits.clear();
     }},
    {"dropped_wait_of_the_second_stream", "without waiting for",
     [](Sample& s) {
       for (PlanStep& step : s.plan.steps)
         if (step.stream == 1) step.waits.clear();
     }},
    {"event_never_signalled", "which no earlier step signals",
     [](Sample& s) { s.signalling().signal = kAbsent; }},
    {"event_unused_and_unsignalled", "is never signalled", [](Sample& s) { ++s.plan.events; }},
    {"event_signalled_twice", "signalled already",
     [](Sample& s) { s.plan.steps.back().signal = s.signalling().signal; }},
    {"cyclic_wait", "which no earlier step signals",
     [](Sample& s) {
       s.plan.steps.back().signal = s.plan.events++;
       s.waiting().waits.push_back(s.plan.steps.back().signal);
     }},
    {"wait_of_an_unknown_event", "which no earlier step signals",
     [](Sample& s) { s.waiting().waits.push_back(99); }},
    {"swapped_steps", "before it is written",
     [](Sample& s) { std::swap(s.plan.steps[1], s.plan.steps[2]); }},
    {"missing_upload", "inputs in order",
     [](Sample& s) { s.plan.steps.erase(s.plan.steps.begin()); }},
    {"upload_left_out_of_both_lists", "before it is written",
     [](Sample& s) {
       s.plan.steps.erase(s.plan.steps.begin());
       s.plan.inputs.clear();
       for (PlanStep& step : s.plan.steps)
         step.waits.clear(), step.signal = kAbsent, step.stream = 0;
       s.plan.events = 0, s.plan.streams = 1;
     }},
    {"missing_download", "outputs in order", [](Sample& s) { s.plan.steps.pop_back(); }},
    {"download_of_another_value", "outputs in order",
     [](Sample& s) { s.plan.steps.back().in[0] = s.gradient; }},
    {"missing_launch", "is never launched",
     [](Sample& s) {
       const std::size_t at = s.find_op("test_update");
       s.plan.steps.erase(s.plan.steps.begin() + static_cast<std::ptrdiff_t>(at));
     }},
    {"launched_twice", "is launched twice",
     [](Sample& s) { s.plan.steps.insert(s.plan.steps.begin() + 1, s.plan.steps[1]); }},
    {"other_operands", "other operands than its node",
     [](Sample& s) { s.plan.steps[1].in[0] = s.w0; }},
    {"workspace_over_an_input", "overwrites",
     [](Sample& s) { s.add_workspace(1, s.value(s.x).location.offset_bytes, 256); }},
    {"workspace_over_an_output", "overwrites",
     [](Sample& s) { s.add_workspace(1, s.value(s.activation).location.offset_bytes, 256); }},
    {"workspace_over_a_value_kept_for_later", "where the workspace of step 3",
     [](Sample& s) { s.add_workspace(3, s.value(s.activation).location.offset_bytes, 256); }},
    {"workspace_outside_the_arena", "of",
     [](Sample& s) { s.add_workspace(1, s.plan.arena_bytes, 256); }},
    {"workspace_misaligned", "misaligned",
     [](Sample& s) {
       s.add_workspace(1, s.plan.arena_bytes + 64, 256);
       s.plan.arena_bytes += 512;
     }},
    {"thread_space_too_small", "less space for each thread",
     [](Sample& s) { s.plan.steps[1].offer.thread_bytes = s.plan.thread_bytes + 1; }},
    {"value_in_the_thread_space", "reaches from byte",
     [](Sample& s) { s.plan.thread_bytes += 256; }},
    {"thread_space_of_two_streams", "another stream than the first",
     [](Sample& s) {
       s.plan.thread_bytes = 256, s.plan.arena_bytes += 512;
       s.plan.steps[1].offer.thread_bytes = 256;
       s.plan.steps[1].stream = 1;
     }},
    {"workspace_too_small", "smaller than its kernel needs",
     [](Sample& s) { s.plan.steps[1].offer.workspace_bytes = 1; }},
    {"stream_that_does_not_exist", "runs on stream 7",
     [](Sample& s) { s.plan.steps[1].stream = 7; }},
    {"stream_left_behind", "is not joined",
     [](Sample& s) {
       // A second stream that ends after all of the first.
       PlanStep& last = s.plan.steps.back();
       last.stream = 1;
     }},
};

INSTANTIATE_TEST_SUITE_P(Faults, CheckPlan, ::testing::ValuesIn(kFaults),
                         [](const auto& fault) { return std::string(fault.param.name); });

}  // namespace
}  // namespace fornax::testing
