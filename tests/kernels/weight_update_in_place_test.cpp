// linear_wgrad_update in place, as a plan launches it: updates between the products of the next
// strip, of every length and share of vectors that are put off, to the reference's bits.
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <memory>
#include <random>

#include "kernels/op.h"
#include "tests/kernels/every_isa.h"
#include "tests/kernels/guarded_memory.h"

namespace fornax {
namespace {

using kernels::ConstTensorView;
using kernels::TensorType;
using kernels::TensorView;

struct Case {
  std::int64_t rows, out, in;  ///< a weight [out, in] whose gradient sums over `rows` rows
  std::string update;
  int moments;
  int threads = 1;
  double at_rest = 0;  ///< share of the vectors of 16 with a subnormal first moment
  int apart = -1;      ///< the tensor whose result goes elsewhere
};

std::ostream& operator<<(std::ostream& to, const Case& c) {
  return to << c.update << c.moments << " " << c.rows << " x " << c.out << " x " << c.in << ", "
            << c.threads << " threads, at rest " << c.at_rest;
}

/// Parameter, then moments; each with zones that nothing may write.
struct Tensors {
  std::vector<std::unique_ptr<GuardedMemory>> memory, results;
  explicit Tensors(const Case& c) : apart(c.apart) {
    for (int i = 0; i <= c.moments; ++i) {
      memory.push_back(std::make_unique<GuardedMemory>(c.out * c.in * 4));
      results.push_back(std::make_unique<GuardedMemory>(i == apart ? c.out * c.in * 4 : 0));
    }
  }
  float* data(std::size_t i) { return reinterpret_cast<float*>(memory[i]->data()); }
  float* result(std::size_t i) {
    return static_cast<int>(i) == apart ? reinterpret_cast<float*>(results[i]->data()) : data(i);
  }
  /// A result that went elsewhere, for the next step.
  void take_results() {
    for (std::size_t i = 0; i < memory.size(); ++i)
      if (result(i) != data(i)) std::memcpy(data(i), result(i), memory[i]->bytes());
  }
  int apart;
};

class InPlace {
 public:
  explicit InPlace(Case c) : case_(std::move(c)) {
    attributes_ = {{"momentum", 0.9},
                   {"nesterov", std::int64_t{0}},
                   {"beta1", 0.9},
                   {"beta2", 0.999},
                   {"epsilon", 1e-8}};
    attributes_.set("update", case_.update);
    attributes_.set("tensors", std::int64_t{1});
    attributes_.set("moments", std::int64_t{case_.moments});
    attributes_.set("learning_rate_slot", std::int64_t{0});
    attributes_.set("weight_decay", std::vector<double>{0.05});
    attributes_.set("learning_rate_scale", std::vector<double>{1.25});
    step_.scalars[0] = 0.0625;
    step_.step = 3;
    dy_ = drawn(case_.rows * case_.out);
    x_ = drawn(case_.rows * case_.in);
    // Dead units: their gradients are zero, so that their moments stay at rest.
    std::bernoulli_distribution rests(case_.at_rest);
    for (std::int64_t o = 0; case_.at_rest > 0 && o < case_.out; o += 3)
      for (std::int64_t r = 0; r < case_.rows; ++r)
        dy_[static_cast<std::size_t>(r * case_.out + o)] = 0;
    for (int i = 0; i <= case_.moments; ++i) start_.push_back(drawn(case_.out * case_.in));
    if (case_.moments == 2)
      for (float& v : start_[2]) v *= v;
    for (std::size_t i = 0; case_.moments == 2 && i < start_[1].size(); i += 16)
      if (rests(random_))
        start_[1][i + random_() % std::min<std::size_t>(16, start_[1].size() - i)] =
            std::bit_cast<float>(1 + static_cast<std::uint32_t>(random_() % 100));
  }

  /// The tensors after `steps` steps.
  Tensors after(int steps, bool reference) {
    Tensors tensors(case_);
    for (std::size_t i = 0; i < start_.size(); ++i)
      std::memcpy(tensors.data(i), start_[i].data(), start_[i].size() * sizeof(float));
    for (int i = 0; i < steps; ++i) {
      run(tensors, reference);
      tensors.take_results();
    }
    return tensors;
  }

 private:
  std::vector<float> drawn(std::int64_t count) {
    std::normal_distribution<float> normal;
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) value = normal(random_);
    return values;
  }

  void run(Tensors& tensors, bool reference) {
    const TensorType dy(DType::f32, {case_.rows, case_.out}), x(DType::f32, {case_.rows, case_.in});
    const TensorType weight(DType::f32, {case_.out, case_.in}), none;
    std::vector<ConstTensorView> in{{dy_.data(), &dy}, {x_.data(), &x}};
    std::vector<TensorView> out;
    for (std::size_t i = 0; i < start_.size(); ++i) {
      in.push_back({tensors.data(i), &weight});
      out.push_back({tensors.result(i), &weight});
    }
    in.push_back({nullptr, &none});
    kernels::KernelArgs args;
    args.in = in, args.out = out, args.attributes = &attributes_, args.step = &step_;
    args.threads = case_.threads;
    if (reference) return kernels::find_op("linear_wgrad_update").reference_f32(args);
    kernels::DeviceModel model;
    model.threads = case_.threads;
    const kernels::Kernel& kernel = *kernels::find_kernels("linear_wgrad_update", model).at(0);
    std::vector<TensorType> types_in{dy, x}, types_out;
    for (std::size_t i = 0; i < start_.size(); ++i)
      types_in.push_back(weight), types_out.push_back(weight);
    types_in.emplace_back();
    const kernels::Offer offer = kernel.offer({types_in, types_out, attributes_}, model);
    ASSERT_EQ(offer.refusal, "");
    GuardedMemory workspace(offer.workspace_bytes);
    GuardedMemory thread_space(offer.thread_bytes * case_.threads);
    args.workspace = {workspace.data(), workspace.bytes()};
    args.thread_space = {thread_space.data(), thread_space.bytes()};
    kernel.launch(args);
    EXPECT_TRUE(workspace.intact());
    EXPECT_TRUE(thread_space.intact());
  }

  Case case_;
  std::mt19937 random_{7};
  Attributes attributes_;
  kernels::StepState step_{};
  std::vector<float> dy_, x_;
  std::vector<std::vector<float>> start_;
};

void expect_bits_of_reference(const Case& c) {
  const IsaRestorer restore;
  constexpr int steps = 2;
  InPlace in_place(c);
  Tensors expected = in_place.after(steps, true);
  for (const host::Isa isa : available_isas()) {
    host::use_isa(isa);
    Tensors got = in_place.after(steps, false);
    for (std::size_t i = 0; i < got.memory.size(); ++i) {
      EXPECT_TRUE(got.memory[i]->intact()) << c;
      EXPECT_EQ(std::memcmp(got.data(i), expected.data(i), got.memory[i]->bytes()), 0)
          << host::name(isa) << ", " << c << ", tensor " << i;
    }
  }
}

/// Depths that give a tile's vectors no time, some, and more than they need; heights of tiles of
/// their own; rests of vectors, of panels and of strips.
TEST(WeightUpdateInPlace, EveryRuleInEveryShape) {
  for (const auto& [update, moments] : {std::pair{"sgd", 0}, {"sgd", 1}, {"adamw", 2}})
    for (const std::int64_t rows : {1, 2, 3, 30, 64, 100, 200})
      for (const auto& [out, in] : {std::pair{1, 5}, {7, 32}, {45, 70}, {61, 96}, {100, 33}})
        expect_bits_of_reference({rows, out, in, update, moments});
}

TEST(WeightUpdateInPlace, StripsOfSeveralThreads) {
  for (const int threads : {2, 3, 5})
    for (const auto& [update, moments] : {std::pair{"sgd", 0}, {"sgd", 1}, {"adamw", 2}})
      expect_bits_of_reference({64, 203, 112, update, moments, threads});
}

TEST(WeightUpdateInPlace, SeveralBlocksOfColumns) {
  expect_bits_of_reference({512, 31, 1203, "adamw", 2, 2});
}

TEST(WeightUpdateInPlace, ResultsThatGoElsewhere) {
  for (const int apart : {0, 1, 2}) expect_bits_of_reference({64, 45, 70, "adamw", 2, 1, 0, apart});
}

/// Few, more than a tile puts off, and all.
TEST(WeightUpdateInPlace, VectorsAtRestArePutOff) {
  for (const double share : {0.05, 0.5, 0.9, 1.0})
    for (const std::int64_t rows : {30, 64, 130, 300})
      expect_bits_of_reference({rows, 90, 100, "adamw", 2, 2, share});
}

}  // namespace
}  // namespace fornax
