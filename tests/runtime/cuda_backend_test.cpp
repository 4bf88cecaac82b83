// The CUDA backend on the simt filling: right answers in every legal order, captured or not.
#include "runtime/cuda/cuda_backend.h"

#include <fornax/error.h>
#include <gtest/gtest.h>

#include <cstring>

#include "runtime/cuda/simt/machine.h"
#include "runtime/cuda/simt_table.h"
#include "tests/runtime/cuda_problem.h"

namespace {

using namespace fornax;
using namespace fornax::cuda_test;

std::shared_ptr<Backend> open(std::uint32_t seed, std::int64_t limit = 0) {
  simt::options().seed = seed;
  cuda::BackendOptions options;
  options.module = "simt", options.memory_limit_bytes = limit;
  return std::make_shared<cuda::CudaBackend>(cuda::make_simt_driver(), options);
}

std::vector<float> input(int number) {
  std::vector<float> x(kElements);
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = 0.1f * static_cast<float>(i) - 3.0f / static_cast<float>(number + 1);
  return x;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * 4) == 0;
}

TEST(CudaBackend, EveryOrderGivesTheReferencesBits) {
  for (const bool capture : {false, true}) {
    for (const std::uint32_t seed : {0u, 1u, 2u, 3u, 17u, 1234u}) {
      SCOPED_TRACE("seed " + std::to_string(seed) + (capture ? ", captured" : ", eager"));
      const auto backend = open(seed);
      TwoStreamStep step(backend);
      const auto sequence = backend->record(step.commands(), TwoStreamStep::options(capture));
      std::vector<float> c(kElements), sum(kElements), right_c(kElements), right_sum(kElements);
      for (int number = 0; number < 4; ++number) {
        const std::vector<float> x = input(number);
        kernels::StepState state{};
        state.scalars[0] = 0.25f + static_cast<float>(number);
        const void* inputs[] = {x.data()};
        void* outputs[] = {c.data(), sum.data()};
        sequence->run(state, inputs, outputs);
        TwoStreamStep::reference(state.scalars[0], x, right_c, right_sum);
        ASSERT_TRUE(same_bits(c, right_c)) << "c of step " << number;
        ASSERT_TRUE(same_bits(sum, right_sum)) << "sum of step " << number;
      }
      std::vector<float> kept(kElements);
      backend->download(kept.data(), step.address_of_sum(), kElements * 4);
      EXPECT_TRUE(same_bits(kept, right_sum)) << "the state holds what was returned";
    }
  }
}

TEST(CudaBackend, RecordingRunsNothing) {
  const auto backend = open(0);
  TwoStreamStep step(backend);
  std::vector<float> before(kElements, 5.0f), after(kElements);
  backend->upload(step.address_of_sum(), before.data(), kElements * 4);
  const auto sequence = backend->record(step.commands(), TwoStreamStep::options(true));
  backend->download(after.data(), step.address_of_sum(), kElements * 4);
  EXPECT_TRUE(same_bits(before, after));
}

// The fault: an edge between the streams is left out. Some order must show it.
TEST(CudaBackend, RandomOrdersShowADroppedWait) {
  int wrong = 0;
  for (std::uint32_t seed = 1; seed <= 12; ++seed) {
    const auto backend = open(seed);
    TwoStreamStep step(backend);
    std::vector<Command> commands = step.commands();
    std::erase_if(commands, [](const Command& command) {
      return command.kind == Command::Kind::wait && command.stream == 1;
    });
    const auto sequence = backend->record(commands, TwoStreamStep::options(true));
    std::vector<float> c(kElements), sum(kElements), right_c(kElements), right_sum(kElements);
    const std::vector<float> x = input(0);
    kernels::StepState state{};
    const void* inputs[] = {x.data()};
    void* outputs[] = {c.data(), sum.data()};
    sequence->run(state, inputs, outputs);
    TwoStreamStep::reference(0, x, right_c, right_sum);
    wrong += !same_bits(c, right_c);
  }
  EXPECT_GT(wrong, 0);
}

TEST(CudaBackend, ReturnsTheFirstBadIndex) {
  for (const bool capture : {false, true}) {
    const auto backend = open(0);
    TwoStreamStep step(backend);
    const auto sequence = backend->record(step.commands(), TwoStreamStep::options(capture));
    const std::vector<float> x = input(0);
    std::vector<float> c(kElements), sum(kElements);
    const void* inputs[] = {x.data()};
    void* outputs[] = {c.data(), sum.data()};
    kernels::StepState state{};
    state.scalars[1] = 1;
    sequence->run(state, inputs, outputs);
    EXPECT_EQ(state.bad_index, 8);
    EXPECT_EQ(state.bad_value, -3);
    state.bad_index = state.bad_value = 0, state.scalars[1] = 0;
    sequence->run(state, inputs, outputs);
    EXPECT_EQ(state.bad_index, 0) << "the flag belongs to one step";
  }
}

TEST(CudaBackend, MemoryIsZeroAndLimited) {
  const auto backend = open(0, 1 << 20);
  std::vector<std::uint8_t> bytes(5000, 0xaa);
  {
    DeviceMemory memory(backend, 5000);
    backend->upload(memory.get(), bytes.data(), 5000);
  }
  DeviceMemory again(backend, 5000);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(again.get()) % 256, 0u);
  backend->download(bytes.data(), again.get(), 5000);
  EXPECT_EQ(bytes, std::vector<std::uint8_t>(5000, 0)) << "reused memory is cleared too";
  try {
    DeviceMemory huge(backend, 2 << 20);
    FAIL() << "the limit was passed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
    EXPECT_NE(std::string(error.what()).find("limit 1048576"), std::string::npos) << error.what();
  }
}

TEST(CudaBackend, ModelNamesItsModule) {
  const kernels::DeviceModel model = open(0)->model();
  EXPECT_EQ(model.backend, kernels::Backend::cuda);
  EXPECT_EQ(model.module, "simt");
  EXPECT_EQ(model.architecture, 90);
}

}  // namespace
