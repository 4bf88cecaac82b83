// Which kernel serves a node: own or library first, pins, and what is said when a pin cannot hold.
#include <fornax/fornax.h>
#include <gtest/gtest.h>

#include <cstring>

#include "tests/runtime/expect_error.h"
#include "tests/runtime/test_graph.h"

namespace fornax::testing {
namespace {

using kernels::DeviceModel;
using kernels::Kernel;
using kernels::Offer;
using kernels::Signature;

Offer accept(const Signature&, const DeviceModel&) { return {}; }
Offer refuse_long(const Signature& signature, const DeviceModel&) {
  if (signature.in[0].shape[0] <= 100) return {};
  return {"test_library: at most 100 needed, got " + std::to_string(signature.in[0].shape[0]), 0,
          0};
}

/// A device whose op test_compute has a library's kernel between two of our own.
DeviceModel device() {
  static const Kernel kernels[] = {
      {"test_compute", "test_own", accept, nullptr, launch_nothing},
      {"test_compute", "test_library", refuse_long, nullptr, launch_nothing, true},
      {"test_compute", "test_own_too", accept, nullptr, launch_nothing},
      {"test_update", "test_update", accept, nullptr, launch_nothing}};
  static const bool once = (kernels::register_cuda_kernels("choice", kernels), true);
  EXPECT_TRUE(once);
  DeviceModel model = DeviceModel::h200();
  model.module = "choice";
  return model;
}

/// Two nodes of 64 elements and one of 200.
struct Nodes {
  GraphMaker maker;
  int first, second, longer;
  Nodes() {
    first = maker.add(kCompute, {maker.input("x", 64)}, 64);
    second = maker.add(kCompute, {first}, 64);
    longer = maker.add(kCompute, {maker.input("long", 200)}, 200);
  }
  Plan plan(PlanOptions options) const {
    options.outputs = {second, longer};
    return make_plan(maker.graph, device(), options);
  }
};

std::vector<std::string_view> kernels_of(const Plan& plan) {
  std::vector<std::string_view> names;
  for (int node = 0; node < static_cast<int>(plan.graph.nodes.size()); ++node)
    for (const PlanStep& step : plan.steps)
      if (step.node == node) names.push_back(step.kernel ? step.kernel->name : "the reference");
  return names;
}
using Names = std::vector<std::string_view>;

TEST(KernelChoice, OwnKernelsComeFirstUnlessTheLibraryIsWanted) {
  const Nodes nodes;
  EXPECT_EQ(kernels_of(nodes.plan({})), (Names{"test_own", "test_own", "test_own"}));
  const Plan plan = nodes.plan({.kernel_choice = KernelChoice::library});
  EXPECT_EQ(kernels_of(plan), (Names{"test_library", "test_library", "test_own"}));
  EXPECT_EQ(print_refusals(plan),
            "test_compute (node 2): test_library: at most 100 needed, got 200\n");
}

TEST(KernelChoice, TheOrderIsShown) {
  const Nodes nodes;
  EXPECT_NE(print(nodes.plan({})).find("\nkernels: own first\n"), std::string::npos);
  const Plan plan = nodes.plan({.kernel_choice = KernelChoice::library,
                                .pins = {{"test_compute", "test_own_too", nodes.second}}});
  const std::string order =
      "kernels: library first; test_compute that makes %2 pinned to test_own_too\n";
  EXPECT_NE(print(plan).find(order), std::string::npos) << print(plan);
  EXPECT_NE(print(plan).find("by test_own_too pinned"), std::string::npos) << print(plan);
  EXPECT_EQ(print_choices(plan), order +
                                     "test_compute (node 0): test_library\n"
                                     "test_compute (node 1): test_own_too, pinned\n"
                                     "test_compute (node 2): test_library: at most 100 needed, got "
                                     "200\n"
                                     "test_compute (node 2): test_own\n");
}

TEST(KernelChoice, APinHoldsForTheOpOrForOneNode) {
  const Nodes nodes;
  EXPECT_EQ(kernels_of(nodes.plan({.pins = {{"test_compute", "test_own_too"}}})),
            (Names{"test_own_too", "test_own_too", "test_own_too"}));
  EXPECT_EQ(kernels_of(nodes.plan({.pins = {{"test_compute", "test_library", nodes.first},
                                            {"test_compute", "test_own_too"}}})),
            (Names{"test_library", "test_own_too", "test_own_too"}));
}

TEST(KernelChoice, APinThatRefusesSaysWhyAndWhatWouldServe) {
  expect_error(ErrorCode::unsupported,
               "test_compute (node 2) is pinned to 'test_library', which refuses: test_library: at "
               "most 100 needed, got 200; test_own takes it",
               [] {
                 Nodes().plan({.pins = {{"test_compute", "test_library"}}});
               });
}

TEST(KernelChoice, AnUnknownPinNamesWhatThereIs) {
  expect_error(ErrorCode::not_found,
               "test_compute (node 0) is pinned to 'test_none', which is no kernel of it on h200; "
               "there is test_own test_own_too test_library",
               [] {
                 Nodes().plan({.pins = {{"test_compute", "test_none"}}});
               });
  expect_error(ErrorCode::not_found,
               "test_comput is pinned to 'test_own', but no node is such an op; after fusing the "
               "plan has test_compute",
               [] {
                 Nodes().plan({.pins = {{"test_comput", "test_own"}}});
               });
  expect_error(ErrorCode::not_found, "no node is such an op that makes that value", [] {
    const Nodes nodes;
    nodes.plan({.pins = {{"test_compute", "test_own"}, {"test_compute", "test_own", 0}}});
  });
}

/// A step on the CPU with pins; returns the plan's text and the bits of y.
struct Ran {
  std::string plan;
  std::vector<float> y;
};
Ran run_on_cpu(DType dtype, std::vector<PinnedKernel> pins, bool pin_second_only = false) {
  Graph graph(Mode::evaluate);
  const Value x = graph.input("x", {5, 7});
  const Value w = graph.parameter("w", {7, 7}, he_normal());
  const Value narrow = cast(w, dtype), h = linear(cast(x, dtype), narrow);
  const Value y = cast(linear(h, narrow), DType::f32);
  if (pin_second_only) pins[0].output = h;
  State state = initialize(graph, Device::cpu(2), {.seed = 4});
  CompileOptions options{.outputs = {y}};
  options.pinned_kernels = std::move(pins);
  Program program = compile(graph, state, options);
  Tensor features(DType::f32, {5, 7});
  for (std::size_t i = 0; i < 35; ++i) features.as<float>()[i] = static_cast<float>(i % 9) - 4;
  const auto result = program.run({{"x", features}}).tensor(y).as<float>();
  return {program.print_plan(), {result.begin(), result.end()}};
}

TEST(KernelChoice, TheReferenceCanBePinnedOnTheCpu) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Ran ours = run_on_cpu(dtype, {});
    const Ran reference = run_on_cpu(dtype, {{"linear", "linear_reference"}});
    const Ran both = run_on_cpu(dtype, {{"linear", "linear_reference"}}, true);
    const auto count = [](const std::string& text) {
      int found = 0;
      for (std::size_t at = 0; (at = text.find("by linear_reference pinned", at)) != text.npos;
           ++at)
        ++found;
      return found;
    };
    EXPECT_EQ(count(ours.plan), 0) << ours.plan;
    EXPECT_EQ(count(reference.plan), 2) << reference.plan;
    EXPECT_EQ(count(both.plan), 1) << both.plan;
    EXPECT_EQ(std::memcmp(ours.y.data(), reference.y.data(), ours.y.size() * 4), 0) << name(dtype);
    EXPECT_EQ(std::memcmp(ours.y.data(), both.y.data(), ours.y.size() * 4), 0) << name(dtype);
  }
}

TEST(KernelChoice, CompileRefusesPinsOfTheCpuToo) {
  expect_error(ErrorCode::not_found, "; there is linear_packed linear_reference", [] {
    run_on_cpu(DType::f32, {{"linear", "linear_mma"}});
  });
  expect_error(ErrorCode::invalid_argument, "the output of a pin to 'linear_reference' belongs to",
               [] {
                 Graph other;
                 run_on_cpu(DType::f32, {{"linear", "linear_reference", other.input("x", {1})}});
               });
}

}  // namespace
}  // namespace fornax::testing
