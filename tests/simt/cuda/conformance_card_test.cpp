// The conformance kernels on a GPU: they must give the stored words, which the host twins give.
// What the card gave is written to conformance/NAME.ARCHITECTURE.card.txt in the folder of the run;
// those files belong into tests/simt/conformance, where the twins are held to them too.
#include <gtest/gtest.h>

#include <cstdlib>

#include "runtime/cuda/cudart_table.h"
#include "tests/simt/conformance_words.h"

namespace fornax::simt_test {
namespace {

using cuda::Status;

const std::filesystem::path kStored = FORNAX_SOURCE_DIR "/tests/simt/conformance";

class Card : public testing::Test {
 protected:
  void SetUp() override {
    int devices = 0;
    const Status status = table.device_count(state(), &devices);
    if (status != Status::success || devices == 0)
      GTEST_SKIP() << "no GPU here: " << table.error_string(state(), status);
    check(table.set_device(state(), 0));
    check(table.device_properties(state(), 0, &properties));
    check(table.stream_create(state(), &stream, 0));
    check(table.allocate(state(), &memory, 2 * kBytes));
  }
  void TearDown() override {
    if (memory) check(table.deallocate(state(), memory));
    if (stream) check(table.stream_destroy(state(), stream));
  }

  cuda::DriverState& state() { return *driver.state; }
  void check(Status status) {
    ASSERT_EQ(status, Status::success) << table.error_string(state(), status);
  }

  Words run_on_card(const Primitive& one, const Words& in) {
    Words out(kWords, 0);
    auto* words = static_cast<std::uint32_t*>(memory);
    check(table.copy_to_device(state(), words, in.data(), kBytes, stream));
    check(table.fill(state(), words + kWords, 0, kBytes, stream));
    const device::LaunchTable launches{
        [](const device::Queue& queue, const device::KernelLaunch& launch) {
          auto& card = *static_cast<Card*>(queue.context);
          card.check(card.table.load_kernel(card.state(), launch));
          card.check(card.table.launch(card.state(), card.stream, launch));
        },
        nullptr, nullptr};
    run(one, {stream, &launches, this}, {words, words + kWords});
    check(table.copy_to_host(state(), out.data(), words + kWords, kBytes, stream));
    check(table.stream_synchronize(state(), stream));
    return out;
  }

  void compare(const Primitive& one) {
    const std::string architecture =
        "sm_" + std::to_string(properties.major == 8 ? 80 : 10 * properties.major);
    const Words in = input_of(one.name), out = run_on_card(one, in);
    write_words("conformance/" + words_file(one, architecture, true), properties.name, in, out);
    if (one.by_architecture && properties.major > 9) return;  // its rounding is not modelled
    EXPECT_EQ(difference_from_file(kStored / words_file(one, architecture, false), in, out), "");
  }

  static constexpr std::int64_t kBytes = 4 * kWords;
  cuda::DriverCalls driver = cuda::make_cudart_driver();
  const cuda::DriverTable& table = driver.table;
  cuda::DeviceProperties properties;
  cuda::Stream stream = nullptr;
  void* memory = nullptr;
};

TEST_F(Card, GivesTheStoredWords) {
  for (const Primitive& one : primitives_before_sm90()) compare(one);
}

#ifdef FORNAX_SM90_KERNELS
TEST_F(Card, GivesTheStoredWordsOfSm90) {
  if (properties.major != 9) GTEST_SKIP() << "these kernels are compiled for sm_90a only";
  for (const Primitive& one : sm90_primitives()) compare(one);
}
#endif

}  // namespace
}  // namespace fornax::simt_test
