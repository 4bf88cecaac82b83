// The CUDA backend on the simt filling: right answers in every legal order, captured or not.
#include "runtime/cuda/cuda_backend.h"

#include <fornax/error.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "runtime/cuda/simt/machine.h"
#include "runtime/cuda/simt_table.h"
#include "tests/runtime/cuda_problem.h"

namespace {

using namespace fornax;
using namespace fornax::cuda_test;

std::shared_ptr<Backend> open(std::uint32_t seed, std::int64_t limit = 0,
                              std::int64_t transfer_bytes = cuda::kTransferBytes) {
  simt::options().seed = seed;
  cuda::BackendOptions options;
  options.module = "simt", options.memory_limit_bytes = limit;
  options.transfer_bytes = transfer_bytes;
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

/// One of four steps: what it gets and where its results go.
struct Step {
  explicit Step(int number) : x(input(number)) { state.scalars[0] = 0.25 + number; }
  std::vector<float> x, c = std::vector<float>(kElements), sum = std::vector<float>(kElements);
  const void* inputs[1] = {x.data()};
  void* outputs[2] = {c.data(), sum.data()};
  kernels::StepState state{};
};

/// Four steps, with two of them under way at once or each waited for; all as the reference has it.
/// `transfer_bytes`: BackendOptions'.
void expect_right_steps(std::uint32_t seed, bool capture, bool ahead, std::int64_t transfer_bytes) {
  SCOPED_TRACE("seed " + std::to_string(seed) + (capture ? ", captured" : ", eager") +
               (ahead ? ", two under way, " : ", ") + std::to_string(transfer_bytes) + " bytes");
  const auto backend = open(seed, 0, transfer_bytes);
  TwoStreamStep two_streams(backend);
  const auto sequence = backend->record(two_streams.commands(), TwoStreamStep::options(capture));
  std::vector<float> c(kElements), sum(kElements), kept(kElements);
  std::vector<std::unique_ptr<Step>> steps;
  for (int number = 0; number < 4; ++number) {
    steps.push_back(std::make_unique<Step>(number));
    Step& step = *steps.back();
    if (ahead && number >= 2) sequence->wait(number % 2);
    sequence->submit(number % 2, step.state, step.inputs, step.outputs);
    std::fill(step.x.begin(), step.x.end(), 1e30f);  // it was copied
    if (!ahead) sequence->wait(number % 2);
  }
  backend->download(kept.data(), two_streams.address_of_sum(), kElements * 4);
  for (int number = 2; ahead && number < 4; ++number) sequence->wait(number % 2);
  for (int number = 0; number < 4; ++number) {
    const Step& step = *steps[static_cast<std::size_t>(number)];
    TwoStreamStep::reference(static_cast<float>(step.state.scalars[0]), input(number), c, sum);
    ASSERT_TRUE(same_bits(step.c, c)) << "c of step " << number;
    ASSERT_TRUE(same_bits(step.sum, sum)) << "sum of step " << number;
  }
  EXPECT_TRUE(same_bits(kept, sum)) << "a download comes after the steps submitted before";
}

TEST(CudaBackend, EveryOrderGivesTheReferencesBits) {
  for (const bool capture : {false, true})
    for (const bool ahead : {false, true})
      for (const std::uint32_t seed : {0u, 1u, 2u, 3u, 17u, 1234u})
        for (const std::int64_t transfer_bytes : {std::int64_t{0}, cuda::kTransferBytes})
          expect_right_steps(seed, capture, ahead, transfer_bytes);
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
