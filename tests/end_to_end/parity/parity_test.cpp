// Holds our training to the committed traces of PyTorch (golden/), which `run` makes. Every bound
// is tried with a planted fault that it must catch.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstring>

#include "kernels/numeric/numeric.h"
#include "runtime/support/sha256.h"
#include "tests/end_to_end/parity/comparison.h"
#include "tests/runtime/expect_error.h"
#include "tests/runtime/temporary_folder.h"

namespace fornax::parity {
namespace {

std::string golden(const std::string& name) {
  return std::string(FORNAX_SOURCE_DIR) + "/tests/end_to_end/parity/golden/" + name +
         ".safetensors";
}

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const Model& model : models()) names.push_back(model.name);
  return names;
}

void expect_within(const Worst& worst, double bound, const char* what) {
  EXPECT_LE(worst.difference, bound) << what << " '" << worst.what << "'";
}

class Golden : public testing::TestWithParam<std::tuple<std::string, std::size_t>> {
 protected:
  const Model& model_ = model(std::get<0>(GetParam()));
  const Side side_ = sides().at(std::get<1>(GetParam()));
  const TorchTrace torch_ = load_torch_trace(golden(model_.name), side_.precision);
};

TEST_P(Golden, EveryGradientAndLoss) {
  const Comparison comparison = compare(Training(model_, side_.device).run(), torch_.trace);
  std::printf("%s", table_row(model_.name, side_, comparison).c_str());
  expect_within(comparison.gradient, side_.bounds.gradient, "gradient");
  expect_within(comparison.loss, side_.bounds.loss, "loss of");
  expect_within(comparison.norm, side_.bounds.loss, "norm of");
  expect_within(comparison.value, side_.bounds.loss, "final value");
  EXPECT_EQ(comparison.norm.difference >= 0, model_.clip_norm > 0) << "norms are compared";
}

// PyTorch's values, running statistics among them, give its loss in evaluate mode.
TEST_P(Golden, ValuesOfPyTorchEvaluateAlike) {
  Training training(model_, side_.device);
  for (const auto& [name, tensor] : torch_.trace.values) training.state().set(name, tensor);
  EXPECT_LE(relative_difference(training.evaluate(), torch_.evaluate_loss), side_.bounds.gradient);
}

std::string side_name(const testing::TestParamInfo<Golden::ParamType>& info) {
  constexpr const char* kNames[] = {"reference_f64", "reference_f32", "cpu_f32"};
  return std::get<0>(info.param) + '_' + kNames[std::get<1>(info.param)];
}
INSTANTIATE_TEST_SUITE_P(AllModels, Golden,
                         testing::Combine(testing::ValuesIn(model_names()),
                                          testing::Range(std::size_t{0}, sides().size())),
                         side_name);

class EveryModel : public TemporaryFolder, public testing::WithParamInterface<std::string> {
 protected:
  const Model& model_ = model(GetParam());
  const TorchTrace torch_ = load_torch_trace(golden(model_.name), "f64");

  Comparison compare_with(const Faults& faults) const {
    return compare(Training(model_, Device::reference(DType::f64), faults).run(), torch_.trace);
  }
};

// PyTorch trained half of the steps and wrote a file; ours reads it and goes on.
TEST_P(EveryModel, GoesOnFromPyTorchsHalf) {
  Training training(model_, Device::reference(DType::f64));
  for (const StateEntry& entry : training.state().entries()) {
    ASSERT_TRUE(torch_.middle.contains(entry.name)) << entry.name;
    training.state().set(entry.name, torch_.middle.at(entry.name));
  }
  EXPECT_EQ(torch_.middle.size(), training.state().entries().size());
  training.state().set_step(kSteps / 2);
  const std::vector<double> ours = training.run().losses;
  ASSERT_EQ(ours.size(), kSteps / 2);
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const std::size_t step = i + kSteps / 2;
    EXPECT_LE(relative_difference(ours[i], torch_.trace.losses[step]), kF64Bounds.loss)
        << "step " << step + 1;
  }
}

TEST_P(EveryModel, CpuHasTheBitsOfTheF32Reference) {
  const Trace cpu = Training(model_, Device::cpu()).run();
  EXPECT_TRUE(compare(cpu, Training(model_, Device::reference()).run()).holds({0, 0}));
}

// The traces belong to the initial values and data that ours write today.
TEST_P(EveryModel, StartsWherePyTorchStarted) {
  Training(model_, Device::reference(DType::f64)).save_initial(path("initial"));
  EXPECT_EQ(Sha256().update(text_of("initial")).hex(), torch_.metadata.at("initial_sha256"))
      << "make the traces anew: tests/end_to_end/parity/run --update";
  EXPECT_TRUE(torch_.metadata.contains("pytorch"));
}

// Planted: a rate and a gradient that are wrong by little. Half a bound's wrong passes.
TEST_P(EveryModel, ARateWrongByAMillionthIsCaught) {
  const Comparison comparison = compare_with({.rate_factor = 1 + 1e-6});
  EXPECT_TRUE(comparison.holds({kF64Bounds.gradient, 1.0})) << "gradients of step 1 know no rate";
  EXPECT_GT(comparison.loss.difference, kF64Bounds.loss);
  EXPECT_GT(comparison.value.difference, kF64Bounds.loss);
}
TEST_P(EveryModel, AGradientWrongByTwoBoundsIsCaught) {
  const Comparison comparison = compare_with({.gradient_factor = 1 + 2 * kF64Bounds.gradient});
  EXPECT_GT(comparison.gradient.difference, kF64Bounds.gradient);
  EXPECT_TRUE(compare_with({.gradient_factor = 1 + kF64Bounds.gradient / 2}).holds(kF64Bounds));
}

INSTANTIATE_TEST_SUITE_P(AllModels, EveryModel, testing::ValuesIn(model_names()),
                         [](const auto& its) { return its.param; });

// The f32 bounds catch what is wrong by twice as much.
TEST(Parity, AnF32GradientWrongByTwoBoundsIsCaught) {
  for (const Model& model : models()) {
    const TorchTrace torch = load_torch_trace(golden(model.name), "f32");
    const Faults faults{.gradient_factor = 1 + 2 * kF32Bounds.gradient};
    const Trace ours = Training(model, Device::cpu(), faults).run();
    EXPECT_FALSE(compare(ours, torch.trace).holds(kF32Bounds)) << model.name;
  }
}

TEST(Parity, WhatIsMissingIsNotEqual) {
  const TorchTrace torch = load_torch_trace(golden("logistic"), "f64");
  const Trace whole = torch.trace;
  const auto refused = [&](const std::string& text, const auto& change) {
    Trace ours = whole;
    change(ours);
    expect_error(ErrorCode::not_found, text, [&] { compare(ours, whole); });
  };
  refused("no step", [](Trace& t) { t.losses.clear(); });
  refused("losses: 99 steps", [](Trace& t) { t.losses.pop_back(); });
  refused("norms: 0 steps", [](Trace& t) { t.norms.clear(); });
  refused("gradient: 3 of ours", [](Trace& t) { t.gradients.erase("w1"); });
  refused("final value: 0 of ours", [](Trace& t) { t.values.clear(); });
  refused("gradient 'other'", [](Trace& t) {
    t.gradients.erase("w1"), t.gradients.emplace("other", Tensor(DType::f64, {1}));
  });
  EXPECT_TRUE(compare(whole, whole).holds({0, 0}));
  Trace broken = whole;
  broken.losses[3] = std::nan("");
  EXPECT_FALSE(compare(broken, whole).holds({1, 1}));
  EXPECT_EQ(compare(broken, whole).loss.what, "step 4");
}

/// -15, -10, ... 40 as [3, 4], whose elements are T in the file.
template <class T, class Number>
void expect_numbers(const TensorMap& tensors, const std::string& name, const Number& number) {
  const Tensor& tensor = tensors.at(name);
  ASSERT_EQ(tensor.shape(), (Shape{3, 4})) << name;
  ASSERT_EQ(tensor.bytes().size(), 12 * sizeof(T)) << name;
  EXPECT_EQ(std::string(fornax::name(tensor.dtype())), name);
  for (std::size_t i = 0; i < 12; ++i) {
    T element;
    std::memcpy(&element, tensor.bytes().data() + i * sizeof(T), sizeof(T));
    EXPECT_EQ(static_cast<double>(number(element)), 5.0 * (static_cast<double>(i) - 3)) << name;
  }
}

// The other tensors of torch_trace.py's every_dtype().
TEST(Parity, ReadsEveryDtypeOfPyTorch) {
  const TensorMap tensors = load_safetensors(golden("dtypes"));
  EXPECT_EQ(tensors.size(), 11u);
  const auto itself = [](auto element) { return element; };
  expect_numbers<float>(tensors, "f32", itself);
  expect_numbers<double>(tensors, "f64", itself);
  expect_numbers<std::int32_t>(tensors, "i32", itself);
  expect_numbers<std::int64_t>(tensors, "i64", itself);
  expect_numbers<std::uint16_t>(tensors, "bf16", numeric::from_bf16);
  expect_numbers<std::uint16_t>(tensors, "f16", numeric::from_f16);
  for (std::size_t i = 0; i < 12; ++i) {
    EXPECT_EQ(tensors.at("u8").as<std::uint8_t>()[i], 197 + i);
    EXPECT_EQ(tensors.at("bool").as<bool>()[i], i % 3 == 0);
    EXPECT_EQ(tensors.at("transposed").as<float>()[i], static_cast<float>(i % 3 * 4 + i / 3) - 3);
  }
  EXPECT_EQ(tensors.at("scalar").scalar(), 0.1);
  EXPECT_EQ(tensors.at("empty").shape(), (Shape{2, 0, 3}));
}

}  // namespace
}  // namespace fornax::parity
