// What a step takes and gives: which way each transfer goes, that the right bytes arrive whatever
// uses their places before and after, and that large inputs go up in pieces.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <random>

#include "kernels/device/launch.cuh"
#include "kernels/device/memory.cuh"
#include "kernels/device/transfer.h"
#include "runtime/cuda/cuda_backend.h"
#include "runtime/cuda/fake_table.h"
#include "runtime/cuda/simt/machine.h"
#include "runtime/cuda/simt_table.h"
#include "runtime/cuda/step_transfers.h"

namespace {

using namespace fornax;
using namespace fornax::cuda;
using Kind = Command::Kind;
using Way = StepTransfers::Way;

/// out = 31 a + out, as integers.
__global__ void mix_kernel(const int* a, int* out, int count) {
  const int i = device::block_index() * 32 + device::thread_index();
  if (i < count) device::write(out + i, 31 * device::read(a + i) + device::read(out + i));
}

void launch_mix(const kernels::KernelArgs& args) {
  const auto count = static_cast<int>(args.in[0].elements());
  device::launch(args.queue, mix_kernel,
                 {{static_cast<unsigned>(count + 31) / 32}, {32}, 0, {}, "mix"},
                 args.in[0].as<int>(), args.out[0].as<int>(), count);
}

/// Commands over memory of a backend, or over any other when only their places are asked for.
class Commands {
 public:
  explicit Commands(std::byte* memory) : memory_(memory) {}

  Commands& upload(std::int64_t at, std::int64_t bytes) { return add(Kind::upload, at, bytes); }
  Commands& download(std::int64_t at, std::int64_t bytes) { return add(Kind::download, at, bytes); }
  /// Reads one range and the other, writes the other.
  Commands& mix(std::int64_t from, std::int64_t to, std::int64_t bytes) {
    Operands& operands = operands_.emplace_back();
    operands.type = kernels::TensorType(DType::i32, Shape{bytes / 4});
    operands.in[0] = {memory_ + from, &operands.type};
    operands.out[0] = {memory_ + to, &operands.type};
    Command command;
    command.name = "mix", command.launch = launch_mix;
    command.args.in = operands.in, command.args.out = operands.out;
    list_.push_back(command);
    return *this;
  }

  const std::vector<Command>& list() const { return list_; }
  int inputs() const { return inputs_; }
  int outputs() const { return outputs_; }
  StepTransfers places(std::int64_t most = kTransferBytes) const {
    return place_transfers(list_, most);
  }

 private:
  struct Operands {
    kernels::TensorType type;
    kernels::ConstTensorView in[1];
    kernels::TensorView out[1];
  };
  Commands& add(Kind kind, std::int64_t at, std::int64_t bytes) {
    Command command;
    command.kind = kind, command.device = memory_ + at, command.bytes = bytes;
    command.slot = kind == Kind::upload ? inputs_++ : outputs_++;
    list_.push_back(command);
    return *this;
  }

  std::byte* memory_;
  std::vector<Command> list_;
  std::deque<Operands> operands_;
  int inputs_ = 0, outputs_ = 0;
};

alignas(256) std::byte scratch[4096];

std::vector<Way> ways(const StepTransfers& transfers) {
  std::vector<Way> ways;
  for (const StepTransfers::Place& place : transfers.places) ways.push_back(place.way);
  return ways;
}
using Ways = std::vector<Way>;

TEST(CudaTransfers, AnUploadMovesToTheBeginningUnlessItsPlaceIsInUse) {
  EXPECT_EQ(ways(Commands(scratch).mix(0, 64, 64).upload(128, 64).places()),
            (Ways{Way::none, Way::kernel}));
  EXPECT_EQ(ways(Commands(scratch).mix(0, 64, 64).upload(56, 64).places()),
            (Ways{Way::none, Way::copy}))
      << "read and written before";
  EXPECT_EQ(ways(Commands(scratch).download(0, 64).upload(0, 64).places()),
            (Ways{Way::copy, Way::copy}))
      << "the download must see the old bytes";
  EXPECT_EQ(ways(Commands(scratch).upload(0, 64).upload(32, 64).places()),
            (Ways{Way::kernel, Way::copy}))
      << "the second one stays";
}

TEST(CudaTransfers, ADownloadMovesToTheEndUnlessItsPlaceIsWritten) {
  EXPECT_EQ(ways(Commands(scratch).download(0, 64).mix(0, 64, 64).places()),
            (Ways{Way::kernel, Way::none}))
      << "it is only read";
  EXPECT_EQ(ways(Commands(scratch).download(64, 64).mix(0, 64, 64).places()),
            (Ways{Way::copy, Way::none}));
}

TEST(CudaTransfers, AKernelTakesWhatFitsAndIsAligned) {
  const Commands commands = Commands(scratch).upload(0, 512).upload(1024, 512).upload(2048, 8);
  EXPECT_EQ(ways(commands.places(1024)), (Ways{Way::kernel, Way::kernel, Way::copy}));
  EXPECT_EQ(ways(commands.places(1023)), (Ways{Way::kernel, Way::copy, Way::kernel}));
  EXPECT_EQ(ways(commands.places(0)), (Ways{Way::copy, Way::copy, Way::copy}));
  EXPECT_EQ(ways(Commands(scratch).upload(4, 64).upload(256, 0).places()),
            (Ways{Way::copy, Way::none}));
}

TEST(CudaTransfers, PlacesDoNotOverlap) {
  const StepTransfers places = Commands(scratch)
                                   .upload(0, 300)
                                   .download(0, 300)
                                   .upload(512, 1000)
                                   .download(512, 1000)
                                   .places(600);
  EXPECT_EQ(ways(places), (Ways{Way::kernel, Way::kernel, Way::copy, Way::copy}));
  const std::int64_t state = padded(sizeof(kernels::StepState));
  EXPECT_EQ(places.places[0].at, state);
  EXPECT_EQ(places.copied_at, state + 512);
  EXPECT_EQ(places.places[2].at, places.copied_at);
  EXPECT_EQ(places.copied_end, places.copied_at + 1024);
  EXPECT_EQ(places.results_at, places.copied_end);
  EXPECT_EQ(places.places[1].at, places.results_at + padded(kFlagsBytes));
  EXPECT_EQ(places.places[3].at, places.places[1].at + 512);
  EXPECT_EQ(places.bytes, places.places[3].at + 1024);
}

/// A backend on the simt machine, and its memory.
struct Device {
  explicit Device(std::uint32_t seed, std::int64_t transfer_bytes, std::int64_t bytes)
      : backend(open(seed, transfer_bytes)), memory(backend, bytes) {}
  static std::shared_ptr<Backend> open(std::uint32_t seed, std::int64_t transfer_bytes) {
    simt::options().seed = seed;
    BackendOptions options;
    options.module = "simt", options.transfer_bytes = transfer_bytes;
    return std::make_shared<CudaBackend>(make_simt_driver(), options);
  }
  std::byte* at() const { return static_cast<std::byte*>(memory.get()); }

  std::shared_ptr<Backend> backend;
  DeviceMemory memory;
};

constexpr int kWords = 160, kSteps = 3;
using Words = std::vector<int>;

/// A random step, and what it gives when its commands run one after another.
class RandomStep {
 public:
  RandomStep(std::uint32_t seed, std::byte* memory) : commands_(memory), random_(seed) {
    const int count = 4 + below(12);
    for (int i = 0; i < count; ++i) add();
  }

  const Commands& commands() const { return commands_; }
  const Words& input(int step, int slot) const {
    return inputs_[static_cast<std::size_t>(slot)][static_cast<std::size_t>(step)];
  }
  /// The outputs of a step over what the steps before left in `memory`.
  std::vector<Words> run(int step, Words& memory, const std::byte* base) const {
    std::vector<Words> outputs;
    for (const Command& command : commands_.list()) {
      const auto word = [&](const void* p) {
        return memory.data() + (static_cast<const std::byte*>(p) - base) / 4;
      };
      const auto count = command.bytes / 4;
      if (command.kind == Kind::upload)
        std::copy_n(input(step, command.slot).data(), count, word(command.device));
      if (command.kind == Kind::download)
        outputs.emplace_back(word(command.device), word(command.device) + count);
      if (command.kind != Kind::launch) continue;
      const auto elements = command.args.in[0].elements();
      const int* a = word(command.args.in[0].data);
      int* out = word(command.args.out[0].data);
      for (std::int64_t i = 0; i < elements; ++i) out[i] = 31 * a[i] + out[i];
    }
    return outputs;
  }

 private:
  int below(int limit) { return static_cast<int>(random_() % static_cast<unsigned>(limit)); }
  void add() {
    const std::int64_t bytes = 4 * (1 + below(18)), at = 8 * below(kWords / 2 - 18 / 2);
    switch (below(3)) {
      case 0: {
        commands_.upload(at, bytes);
        auto& values = inputs_.emplace_back();
        for (int step = 0; step < kSteps; ++step) {
          values.emplace_back(static_cast<std::size_t>(bytes / 4));
          for (int& x : values.back()) x = below(1000);
        }
        return;
      }
      case 1: commands_.download(at, bytes); return;
      default: {  // two ranges that do not overlap
        const std::int64_t half = 2 * kWords, first = below(2) ? half : 0;
        const std::int64_t within = at % (half - 72) / 8 * 8;
        commands_.mix(first + within, half - first + within, bytes);
      }
    }
  }

  Commands commands_;
  std::mt19937 random_;
  std::vector<std::vector<Words>> inputs_;  // by slot and step
};

/// Runs `recorded`, which should be the step's commands; whether every output is right.
bool gives_the_right_words(const RandomStep& step, const std::vector<Command>& recorded,
                           const Device& device, bool capture) {
  const auto sequence = device.backend->record(recorded, {1, 0, capture});
  Words memory(kWords);
  device.backend->upload(device.at(), memory.data(), 4 * kWords);
  bool right = true;
  for (int number = 0; number < kSteps; ++number) {
    const std::vector<Words> expected = step.run(number, memory, device.at());
    std::vector<Words> given;
    for (const Words& words : expected) given.emplace_back(words.size());
    std::vector<const void*> inputs;
    for (int i = 0; i < step.commands().inputs(); ++i)
      inputs.push_back(step.input(number, i).data());
    std::vector<void*> outputs;
    for (Words& words : given) outputs.push_back(words.data());
    kernels::StepState state{};
    const int slot = number % Sequence::kSlots;
    sequence->submit(slot, state, inputs, outputs);
    sequence->wait(slot);
    right &= given == expected && state.bad_index == 0;
  }
  return right;
}

TEST(CudaTransfers, RandomStepsGiveTheRightWords) {
  int by_kernel = 0, by_copy = 0;
  for (std::uint32_t seed = 0; seed < 60; ++seed)
    for (const bool capture : {false, true}) {
      const Device device(seed, kTransferBytes, 4 * kWords);
      const RandomStep step(seed, device.at());
      const Ways way = ways(step.commands().places());
      by_kernel += static_cast<int>(std::count(way.begin(), way.end(), Way::kernel));
      by_copy += static_cast<int>(std::count(way.begin(), way.end(), Way::copy));
      std::vector<Command> commands = step.commands().list();
      for (Command& command : commands) command.uses_step = seed % 2 == 0;
      EXPECT_TRUE(gives_the_right_words(step, commands, device, capture))
          << "seed " << seed << (capture ? ", captured" : ", eager");
    }
  EXPECT_GT(by_kernel, 100);
  EXPECT_GT(by_copy, 100) << "these must stay where they are";
}

// The fault: every upload is moved to the beginning, every download to the end.
TEST(CudaTransfers, RandomStepsShowATransferThatMayNotMove) {
  int wrong = 0;
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    const Device device(seed, kTransferBytes, 4 * kWords);
    const RandomStep step(seed, device.at());
    std::vector<Command> moved = step.commands().list();
    std::stable_sort(moved.begin(), moved.end(), [](const Command& a, const Command& b) {
      const auto rank = [](Kind kind) {
        return kind == Kind::upload ? 0 : kind == Kind::download ? 2 : 1;
      };
      return rank(a.kind) < rank(b.kind);
    });
    wrong += !gives_the_right_words(step, moved, device, true);
  }
  EXPECT_GT(wrong, 10);
}

std::vector<std::uint8_t> random_bytes(std::int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(count));
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

/// Sends inputs of these sizes to the device and back, two steps under way.
void expect_the_bytes_back(const std::vector<std::int64_t>& sizes, std::uint32_t seed) {
  std::int64_t total = 0;
  for (const std::int64_t bytes : sizes) total += padded(bytes);
  const Device device(seed, kTransferBytes, total);
  Commands commands(device.at());
  std::int64_t at = 0;
  for (const std::int64_t bytes : sizes)
    commands.upload(at, bytes).download(at, bytes), at += padded(bytes);
  const auto sequence = device.backend->record(commands.list(), {1, 0, true});
  std::vector<std::vector<std::uint8_t>> sent[2], back[2];
  kernels::StepState states[2] = {};
  for (int slot : {0, 1}) {
    std::vector<const void*> inputs;
    std::vector<void*> outputs;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      sent[slot].push_back(random_bytes(sizes[i], static_cast<unsigned>(2 * i) + slot));
      back[slot].emplace_back(sent[slot][i].size());
      inputs.push_back(sent[slot][i].data()), outputs.push_back(back[slot][i].data());
    }
    sequence->submit(slot, states[slot], inputs, outputs);
    sequence->wait(slot);
    EXPECT_EQ(sent[slot], back[slot]) << "slot " << slot << ", seed " << seed;
  }
}

TEST(CudaTransfers, EverySizeArrives) {
  std::vector<std::int64_t> sizes;
  for (std::int64_t bytes = 1; bytes < 40; ++bytes) sizes.push_back(bytes);  // more than one list
  for (const std::int64_t bytes : {4095, 4096, 4097, 8192, 12289}) sizes.push_back(bytes);
  for (const std::uint32_t seed : {0u, 5u}) expect_the_bytes_back(sizes, seed);
}

TEST(CudaTransfers, LargeInputsArriveWholeAcrossPieces) {
  constexpr std::int64_t mega = 1 << 20;
  for (const std::uint32_t seed : {0u, 5u}) {
    expect_the_bytes_back({3 * mega + 7, 100, mega - 300, 200, 5000, mega, 2 * mega}, seed);
    expect_the_bytes_back({mega - 255, mega - 256, 300 * 1024 + 1}, seed);
  }
}

/// What the host and the copy stream did: w for a write of staging, u for an upload.
std::string calls_of_a_step;
DriverTable fake;

TEST(CudaTransfers, APieceGoesUpBeforeTheNextIsStaged) {
  DriverCalls calls = make_fake_driver();
  fake = calls.table;
  calls.table.host_access = [](DriverState& s, const Access& access) {
    calls_of_a_step += access.kind == Access::Kind::write ? 'w' : 'r';
    return fake.host_access(s, access);
  };
  calls.table.copy_to_device = [](DriverState& s, void* to, const void* from, std::int64_t bytes,
                                  Stream stream) {
    calls_of_a_step += 'u';
    return fake.copy_to_device(s, to, from, bytes, stream);
  };
  const auto backend = std::make_shared<CudaBackend>(calls, BackendOptions{});
  const std::int64_t bytes = (3 << 20) + 5;
  const DeviceMemory memory(backend, bytes);
  Commands commands(static_cast<std::byte*>(memory.get()));
  commands.upload(0, bytes);
  const auto sequence = backend->record(commands.list(), {1, 0, true});
  const auto sent = random_bytes(bytes, 1);
  const void* inputs[] = {sent.data()};
  kernels::StepState state{};
  calls_of_a_step.clear();
  sequence->run(state, inputs, {});
  EXPECT_EQ(calls_of_a_step, "wuwuwuwuwr") << "four pieces; StepState; flags";
  EXPECT_TRUE(fake_report(*calls.state).faults.empty()) << to_string(fake_report(*calls.state));
}

}  // namespace
