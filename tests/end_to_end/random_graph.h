// Draws for tests of random graphs, and whether the devices give such a graph the same bits.
#pragma once
#include <fornax/fornax.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "kernels/host/offer.h"
#include "runtime/device/inputs_in_place.h"
#include "runtime/device/row_run.h"
#include "tests/kernels/every_isa.h"

namespace fornax {

class Draw {
 public:
  explicit Draw(unsigned seed) : random_(seed) {}
  std::int64_t below(std::int64_t limit) {
    return static_cast<std::int64_t>(random_() % static_cast<unsigned>(limit));
  }
  bool one_in(std::int64_t count) { return below(count) == 0; }
  /// Mostly near what vectors and tiles divide.
  std::int64_t extent(std::int64_t most) {
    const std::int64_t narrow = one_in(3) ? 4 : one_in(2) ? 24 : most;
    const std::int64_t near = 16 * (1 + below(std::max<std::int64_t>(most / 16, 1))) + below(3) - 1;
    return one_in(3) ? near : 1 + below(narrow);
  }
  Tensor tensor(const Shape& shape) {
    Tensor drawn(DType::f32, shape);
    std::normal_distribution<float> normal;
    for (float& x : drawn.as<float>()) x = normal(random_);
    return drawn;
  }
  /// Some of `count` classes; one more than there are stands for a row that does not count.
  Tensor labels(const Shape& shape, std::int64_t count, std::int32_t ignored) {
    Tensor drawn(DType::i32, shape);
    for (std::int32_t& label : drawn.as<std::int32_t>()) {
      label = static_cast<std::int32_t>(below(count + (ignored < 0)));
      if (label == count) label = ignored;
    }
    return drawn;
  }

 private:
  std::mt19937 random_;
};

/// The bits of what two steps return and leave in the parameters; of NaNs one payload.
inline std::vector<std::uint32_t> bits_of_two_steps(const Graph& graph, const Device& device,
                                                    const CompileOptions& options,
                                                    std::span<const Input> inputs) {
  State state = initialize(graph, device, {.seed = 3});
  Program program = compile(graph, state, options);
  std::vector<std::uint32_t> bits;
  const auto append = [&](const Tensor& tensor) {
    if (tensor.dtype() == DType::f32)
      for (const float x : tensor.as<float>()) bits.push_back(canonical_bits(x));
    else
      for (const std::byte x : tensor.bytes()) bits.push_back(static_cast<std::uint32_t>(x));
  };
  for (int step = 0; step < 2; ++step) {
    const Outputs& out = program.run(inputs);
    for (const Value& value : options.outputs) append(out.tensor(value));
  }
  for (const auto& [name, tensor] : state.parameters()) append(tensor);
  return bits;
}

/// Of drawn graphs, whose bits(device, fuse) are those of bits_of_two_steps(). Thresholds and the
/// instruction set are left as they were.
class RandomGraphs : public ::testing::Test {
 protected:
  ~RandomGraphs() override {
    banded_bytes = banded_, in_place_bytes = in_place_, host::streamed_bytes = streamed_;
  }
  /// FORNAX_SLOW_TESTS draws fifty times as many.
  static unsigned count(unsigned few) { return std::getenv("FORNAX_SLOW_TESTS") ? 50 * few : few; }

  /// On the CPU, some way by chance.
  template <class Drawn>
  void expect_bits_on_cpu(const Drawn& drawn, Draw& draw) {
    set(draw);
    const auto threads = static_cast<int>(1 + draw.below(4));
    EXPECT_TRUE(drawn.bits(Device::cpu(threads), !draw.one_in(8)) ==
                drawn.bits(Device::reference(), false))
        << threads << " threads, " << host::name(host::active_isa());
  }
  template <class Drawn>
  static void expect_bits_on_simt(const Drawn& drawn, bool fuse) {
    EXPECT_TRUE(drawn.bits(Device::simt(), fuse) == drawn.bits(Device::reference(), false));
  }

 private:
  void set(Draw& draw) {
    host::use_isa(isas_[static_cast<std::size_t>(draw.below(std::ssize(isas_)))]);
    banded_bytes = draw.one_in(2) ? 0 : banded_;
    in_place_bytes = draw.one_in(2) ? 0 : in_place_;
    host::streamed_bytes = draw.one_in(3) ? 0 : draw.one_in(2) ? 4096 : streamed_;
  }

  IsaRestorer isa_;
  std::vector<host::Isa> isas_ = available_isas();
  std::int64_t banded_ = banded_bytes, in_place_ = in_place_bytes;
  std::int64_t streamed_ = host::streamed_bytes;
};

}  // namespace fornax
