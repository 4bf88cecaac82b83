// Checkpoints: exact round trips, any damage found and named, kills while saving.
#include <fornax/error.h>
#include <fornax/log.h>
#include <fornax/storage.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <random>
#include <thread>

#include "tests/runtime/temporary_folder.h"

namespace fornax {
namespace {

Checkpoint example(std::int64_t elements = 5) {
  Checkpoint checkpoint;
  checkpoint.step = 12345678901234;
  checkpoint.seed = ~std::uint64_t{0};
  checkpoint.scalars = {{"learning_rate", 0.1}, {"scale", HUGE_VAL}, {"tiny", 5e-324}};
  checkpoint.notes = {{"loader", "epoch 3\nindex 7"}, {"empty", ""}};
  checkpoint.op_versions = {{"linear", 1}, {"gelu", 2}};
  Tensor weights(DType::f32, {elements});
  for (std::int64_t i = 0; i < elements; ++i)
    weights.as<float>()[static_cast<std::size_t>(i)] = static_cast<float>(i) * 0.37f;
  checkpoint.tensors.emplace("w", std::move(weights));
  checkpoint.tensors.emplace("count", Tensor({1}, {std::int64_t{9}}));
  return checkpoint;
}

bool same(const Checkpoint& a, const Checkpoint& b) {
  const bool tensors = std::equal(a.tensors.begin(), a.tensors.end(), b.tensors.begin(),
                                  b.tensors.end(), [](const auto& x, const auto& y) {
                                    const auto p = x.second.bytes(), q = y.second.bytes();
                                    return x.first == y.first &&
                                           x.second.shape() == y.second.shape() &&
                                           std::equal(p.begin(), p.end(), q.begin(), q.end());
                                  });
  return tensors && a.step == b.step && a.seed == b.seed && a.scalars == b.scalars &&
         a.notes == b.notes && a.op_versions == b.op_versions;
}

class CheckpointTest : public TemporaryFolder {
 protected:
  std::string verdict(const std::string& bytes) const {
    try {
      read_checkpoint(file("x", bytes));
    } catch (const Error& error) {
      return std::string(name(error.code())) + ": " + error.what();
    }
    return "accepted";
  }
};

TEST_F(CheckpointTest, RoundTrip) {
  for (const std::int64_t elements : {0, 1, 5, 262144, 262143, 1000000}) {
    write_checkpoint(path("c"), example(elements));
    EXPECT_TRUE(same(read_checkpoint(path("c")), example(elements))) << elements;
    EXPECT_EQ(load_safetensors(path("c")).size(), 2u);
  }
  write_checkpoint(path("c"), {});
  EXPECT_TRUE(same(read_checkpoint(path("c")), {}));
}

TEST_F(CheckpointTest, EveryBitFlipAndTruncationIsFound) {
  write_checkpoint(path("c"), example());
  const std::string bytes = text_of("c");
  ASSERT_EQ(verdict(bytes), "accepted");
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    const std::string said = verdict(bytes.substr(0, at));
    ASSERT_TRUE(said.starts_with("corrupt: ")) << at << ' ' << said;
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ 1 << bit);
      ASSERT_TRUE(verdict(changed).starts_with("corrupt: ")) << at << ' ' << bit;
    }
  }
  EXPECT_NE(verdict(bytes + 'x').find("corrupt"), std::string::npos);
}

TEST_F(CheckpointTest, DamageIsNamedByItsRange) {
  write_checkpoint(path("c"), example(1'000'000));  // 8 + 4 000 000 bytes: 4 chunks
  const std::string bytes = text_of("c");
  const std::size_t data = bytes.size() - 4'000'008;
  std::string changed = bytes;
  changed[data + (2 << 20)] ^= 1;
  EXPECT_NE(verdict(changed).find("bytes " + std::to_string(data + (2 << 20)) + ".." +
                                  std::to_string(data + (3 << 20) - 1) + ": CRC-32C is "),
            std::string::npos)
      << verdict(changed);
  changed = bytes;
  changed[data + 4'000'007] ^= 1;
  EXPECT_NE(verdict(changed).find(".." + std::to_string(bytes.size() - 1)), std::string::npos);
  std::string swapped = bytes;
  std::swap_ranges(swapped.begin() + static_cast<std::ptrdiff_t>(data),
                   swapped.begin() + static_cast<std::ptrdiff_t>(data + (1 << 20)),
                   swapped.begin() + static_cast<std::ptrdiff_t>(data + (1 << 20)));
  EXPECT_NE(verdict(swapped).find("CRC-32C"), std::string::npos);
  save_safetensors(path("plain"), {{"w", Tensor({1}, {1.f})}});
  EXPECT_NE(verdict(text_of("plain")).find("no checkpoint of fornax"), std::string::npos);
}

TEST_F(CheckpointTest, KillsWhileSavingLoseNothing) {
  write_checkpoint(path("c"), example(200'000));
  std::mt19937 random(7);
  for (int kill = 0; kill < 200; ++kill) {
    const pid_t child = ::fork();
    if (child == 0)
      for (std::int64_t step = 0;; ++step) {
        Checkpoint next = example(200'000);
        next.step = step;
        write_checkpoint(path("c"), next);
      }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    Checkpoint found = read_checkpoint(path("c"));
    found.step = example().step;
    ASSERT_TRUE(same(found, example(200'000))) << kill;
    ASSERT_LE(files(), 2u);  // the next writer swept what the killed one left
  }
  write_checkpoint(path("c"), example(1));
  EXPECT_EQ(files(), 1u);
}

class StateCheckpoint : public TemporaryFolder {
 protected:
  static State make(std::int64_t width, const std::string& name = "w") {
    Graph graph(Mode::train);
    graph.parameter(name, {width, 3}, he_normal());
    graph.parameter("b", {width}, zeros());
    return initialize(graph, Device::cpu(), {.seed = 11});
  }
};

TEST_F(StateCheckpoint, RoundTripHasTheSameHash) {
  State state = make(4);
  state.set_step(17);
  state.set_note("loader", "epoch 2");
  save_checkpoint(path("c"), state);
  const std::string before = state.sha256();
  State other = make(4);
  other.set("w", Tensor(DType::f32, {4, 3}));
  other.set_note("stale", "text");
  ASSERT_NE(other.sha256(), before);
  load_checkpoint(path("c"), other);
  EXPECT_EQ(other.sha256(), before);
  EXPECT_EQ(other.step(), 17);
  EXPECT_EQ(other.seed(), 11u);
  EXPECT_EQ(other.note("loader"), "epoch 2");
  EXPECT_EQ(other.note("stale"), "");
}

TEST_F(StateCheckpoint, WhatDoesNotFitChangesNothing) {
  save_checkpoint(path("c"), make(4));
  const auto refused = [&](State state, ErrorCode code) {
    const std::string before = state.sha256();
    try {
      load_checkpoint(path("c"), state);
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
    }
    EXPECT_EQ(state.sha256(), before);
  };
  refused(make(5), ErrorCode::shape);
  refused(make(4, "other"), ErrorCode::not_found);
  Checkpoint changed = read_checkpoint(path("c"));
  changed.tensors["extra"] = Tensor({1}, {1.f});
  write_checkpoint(path("c"), changed);
  refused(make(4), ErrorCode::not_found);
  changed.tensors.erase("extra");
  changed.tensors["b"] = Tensor(DType::i32, {4});
  write_checkpoint(path("c"), changed);
  refused(make(4), ErrorCode::dtype);
  changed.tensors["b"] = Tensor(DType::f32, {4});
  changed.scalars["unknown"] = 1;
  write_checkpoint(path("c"), changed);
  refused(make(4), ErrorCode::not_found);
}

TEST_F(StateCheckpoint, AnotherVersionOfAnOpIsWarnedOf) {
  State state = make(4);
  save_checkpoint(path("c"), state);
  Checkpoint changed = read_checkpoint(path("c"));
  ASSERT_FALSE(changed.op_versions.empty());
  std::string said;
  set_log_sink([&](const LogRecord& record) { said += record.message; });
  load_checkpoint(path("c"), state);
  EXPECT_EQ(said, "");
  changed.op_versions.begin()->second += 1;
  write_checkpoint(path("c"), changed);
  load_checkpoint(path("c"), state);
  EXPECT_NE(said.find("of op " + changed.op_versions.begin()->first), std::string::npos) << said;
  set_log_sink({});
}

}  // namespace
}  // namespace fornax
