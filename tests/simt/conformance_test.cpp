// Every primitive's twin against what the PTX manual says, written here as plain loops.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>

#include "runtime/cuda/simt/machine.h"
#include "tests/simt/conformance_words.h"
#include "tests/simt/problems.h"

namespace fornax::simt_test {
namespace {

std::vector<Primitive> all_primitives() {
  std::vector<Primitive> all = primitives_before_sm90();
  for (const Primitive& one : sm90_primitives()) all.push_back(one);
  return all;
}

class Conformance : public testing::TestWithParam<unsigned> {
 protected:
  void SetUp() override { simt::options().seed = GetParam(); }
  void TearDown() override { simt::options() = {}; }

  /// Leaves what goes in and what comes out.
  void launch(const std::string& name) {
    in = input_of(name), out = Words(kWords, 0);
    for (const Primitive& one : all_primitives())
      if (one.name == name) return run(one, queue(), {in.data(), out.data()});
    FAIL() << "no primitive " << name;
  }

  /// Word i counted from the warp of thread t.
  std::uint32_t of_warp(std::size_t t, std::size_t lane) const { return in[t / 32 * 32 + lane]; }
  std::uint32_t half(std::size_t row, std::size_t column) const {
    const std::uint32_t word = in[row * 4 + column / 2];
    return column % 2 ? word >> 16 : word & 0xffffu;
  }

  Words in, out;
};

TEST_P(Conformance, Shuffles) {
  launch("shuffles");
  for (std::size_t t = 0; t < 64; ++t) {
    const std::size_t lane = t % 32;
    EXPECT_EQ(out[t], of_warp(t, lane ^ 5));
    EXPECT_EQ(out[t + 64], of_warp(t, lane + 3 < 32 ? lane + 3 : lane));
    EXPECT_EQ(out[t + 128], of_warp(t, lane >= 9 ? lane - 9 : lane));
    EXPECT_EQ(out[t + 192], of_warp(t, (lane * 7 + 1) % 32));
    EXPECT_EQ(out[t + 256], lane % 2 ? 0u : of_warp(t, lane ^ 2));
  }
}

TEST_P(Conformance, Votes) {
  launch("votes");
  for (std::size_t t = 0; t < 64; ++t) {
    std::uint32_t votes = 0;
    for (std::size_t lane = 0; lane < 32; ++lane) votes |= (of_warp(t, lane) & 1u) << lane;
    EXPECT_EQ(out[t], votes);
    EXPECT_EQ(out[t + 64], votes != 0 ? 1u : 0u);
    EXPECT_EQ(out[t + 128], t >= 32 ? 1u : 0u);
    EXPECT_EQ(out[t + 192], t % 32 < 8 ? votes & 0xffu : 0u);
  }
}

TEST_P(Conformance, LoadMatrices) {
  launch("load_matrices");
  for (std::size_t t = 0; t < 32; ++t)
    for (std::size_t q = 0; q < 4; ++q) {
      const std::size_t row = q * 8 + t / 4, pair = t % 4 * 2, from = q * 8 + pair;
      EXPECT_EQ(out[32 * q + t], half(row, pair) | half(row, pair + 1) << 16);
      EXPECT_EQ(out[128 + 32 * q + t], half(from, t / 4) | half(from + 1, t / 4) << 16);
      EXPECT_EQ(out[256 + 32 * q + t], q < 2 ? out[32 * q + t] : out[128 + 32 * (q - 2) + t]);
    }
}

// Operands are small integers (input_of): every sum is exact, so only the layout is in question.
TEST_P(Conformance, MultiplyKeepsTheLayout) {
  const auto a = [](std::size_t m, std::size_t k) {
    return static_cast<float>((m * 3 + k * 5) % 7) - 3;
  };
  const auto b = [](std::size_t k, std::size_t n) {
    return static_cast<float>((k * 2 + n * 7) % 5) - 2;
  };
  for (const std::string format : {"bf16", "f16", "tf32"}) {
    launch("mma_" + format);
    for (std::size_t t = 0; t < 32; ++t)
      for (std::size_t r = 0; r < 4; ++r) {
        const std::size_t m = t / 4 + r / 2 * 8, n = t % 4 * 2 + r % 2;
        float sum = static_cast<float>(t + r);
        for (std::size_t k = 0; k < (format == "tf32" ? 8u : 16u); ++k) sum += a(m, k) * b(k, n);
        EXPECT_EQ(std::bit_cast<float>(out[32 * r + t]), sum) << format;
      }
  }
}

TEST_P(Conformance, CopiesFillWhatIsNotValidWithZero) {
  launch("copy_async");
  for (std::size_t t = 0; t < 64; ++t) {
    const std::size_t from = 63 - t;
    for (std::size_t i = 0; i < 4; ++i)
      EXPECT_EQ(out[4 * t + i], i < from % 5 ? in[4 * from + i] : 0u);
    EXPECT_EQ(out[256 + t], in[2 * t] ^ in[2 * t + 1]);
    EXPECT_EQ(out[320 + t], t % 2 ? in[t] : 0u);
  }
}

TEST_P(Conformance, Atomics) {
  launch("atomics");
  std::uint32_t sum = 0, largest = 0;
  int smallest = 0;
  std::uint64_t wide = 0;
  for (std::size_t t = 0; t < 64; ++t) {
    sum += in[t] & 255u;
    largest = std::max(largest, in[t]);
    smallest = std::min(smallest, static_cast<int>(in[t] >> 8) - 100);
    wide += std::uint64_t{in[t]} << 8;
  }
  EXPECT_EQ(out[0], sum);
  EXPECT_EQ(out[1], largest);
  EXPECT_EQ(static_cast<int>(out[2]), smallest);
  EXPECT_EQ(out[4] | std::uint64_t{out[5]} << 32, wide);
  EXPECT_EQ(out[6], 64u * 3u);
  EXPECT_EQ(out[7], 9u);
  EXPECT_EQ(out[8], 5u);
}

TEST_P(Conformance, Conversions) {
  const std::uint32_t f16[] = {0,      0x8000, 0x3c00,     0x7bff, 0x7bff, 0x7c00,
                               0x7c00, 0x7fff, 0x03ff + 1, 0x0001, 0x0000, 0x0001,
                               0,      0xfc00, 0x3c00,     0x3c02, 0x3c04, 0x3c0c};
  launch("conversions");
  for (std::size_t i = 0; i < std::size(f16); ++i)
    EXPECT_EQ(out[i + 64], f16[i]) << std::bit_cast<float>(in[i]);
  EXPECT_EQ(out[7], 0x7fffu);
  EXPECT_EQ(out[16], 0x3f80u);  // a tie goes to the even neighbour
  EXPECT_EQ(out[17], 0x3f82u);
  EXPECT_EQ(out[14 + 128], 0x3f802000u);  // a tie goes away from zero
  EXPECT_EQ(out[192], std::bit_cast<std::uint32_t>(0x1p-24f));
  EXPECT_EQ(out[193], std::bit_cast<std::uint32_t>(65504.0f));
  EXPECT_EQ(out[194], 0xff800000u);
  EXPECT_EQ(out[257], 0x7bff0000u);
}

TEST_P(Conformance, NamedBarrier) {
  launch("named_barrier");
  for (std::size_t t = 0; t < 32; ++t) EXPECT_EQ(out[t], in[63 - t]);
}

TEST_P(Conformance, WideShuffles) {
  launch("wide_shuffles");
  for (std::size_t t = 0; t < 64; ++t) {
    const std::size_t lane = t % 32, first = t - lane;
    const std::size_t from[] = {lane ^ 16, lane + 5 < 32 ? lane + 5 : lane,
                                lane >= 2 ? lane - 2 : lane, 31 - lane};
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(out[128 * i + t], in[first + from[i] + 64]);
      EXPECT_EQ(out[128 * i + 64 + t], in[first + from[i]]);
    }
    EXPECT_EQ(out[512 + t], in[t ^ 1]);
  }
}

TEST_P(Conformance, WarpBarriers) {
  launch("warp_barriers");
  for (std::size_t t = 0; t < 64; ++t) {
    EXPECT_EQ(out[t], t % 32 < 16 ? in[t ^ 15] : 0u);
    EXPECT_EQ(out[t + 64], in[t ^ 31]);
  }
}

TEST_P(Conformance, CopyGroupsEndInOrder) {
  launch("copy_groups");
  for (std::size_t t = 0; t < 64; ++t) {
    EXPECT_EQ(out[t], in[2 * t]);
    EXPECT_EQ(out[64 + t], 0u);
    EXPECT_EQ(out[128 + t], in[256 + t]);
    EXPECT_EQ(out[192 + t], in[320 + t]);
    EXPECT_EQ(out[256 + t], 1u);
  }
}

TEST_P(Conformance, Vectors) {
  launch("vectors");
  for (std::size_t i = 0; i < 256; ++i) EXPECT_EQ(out[i], in[i / 4 * 4 + 3 - i % 4]);
  for (std::size_t i = 0; i < 128; ++i) {
    EXPECT_EQ(out[256 + i], in[i ^ 1]);
    const std::uint32_t word = in[i ^ 1];  // four bf16 turned round
    const auto kept = [](std::uint32_t half) {
      return (half & 0x7fffu) > 0x7f80u ? 0x7fffu : half;  // every NaN becomes one
    };
    EXPECT_EQ(out[384 + i], kept(word >> 16) | kept(word & 0xffffu) << 16);
  }
}

TEST_P(Conformance, MoreAtomics) {
  launch("more_atomics");
  std::uint64_t largest = 0;
  int sum = 0, most = 0;
  std::uint32_t shared[8] = {};
  for (std::size_t t = 0; t < 64; ++t) {
    largest = std::max(largest, std::uint64_t{in[t]} << 20 | t);
    sum += static_cast<int>(in[t] >> 24) - 128;
    most = std::max(most, static_cast<int>(in[t]));
    shared[t % 4] += 1 + in[t] % 16;
    shared[4 + t % 4] = std::max(shared[4 + t % 4], in[t]);
  }
  const auto wide = [&](std::size_t i) { return out[i] | std::uint64_t{out[i + 1]} << 32; };
  EXPECT_EQ(wide(0), largest);
  EXPECT_EQ(wide(2), std::uint64_t{7} << 40);
  EXPECT_EQ(wide(4), std::uint64_t{5} << 33);
  EXPECT_EQ(static_cast<int>(out[6]), sum);
  EXPECT_EQ(static_cast<int>(out[7]), most);
  EXPECT_EQ(static_cast<int>(out[8]), -3);
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(out[16 + i], shared[i]);
}

TEST_P(Conformance, Publications) {
  launch("publications");
  for (std::size_t t = 0; t < 32; ++t) {
    EXPECT_EQ(out[128 + t], in[32 + t]);
    EXPECT_EQ(out[192 + t], ~in[32 + t]);
  }
}

TEST_P(Conformance, MbarriersCompleteByPhases) {
  launch("mbarriers");
  for (std::size_t i = 0; i < 192; ++i)
    EXPECT_EQ(out[i], i % 64 < 32 ? 0u : in[i / 64 * 64 + 63 - i % 64]) << i;
}

TEST_P(Conformance, BulkLoadsCountTheirBytes) {
  launch("bulk_loads");
  for (std::size_t i = 0; i < 64; ++i) EXPECT_EQ(out[i], in[128 + i]);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(out[64 + i], in[4 + i]);
  for (std::size_t i = 0; i < 256; ++i) EXPECT_EQ(out[128 + i], in[256 + i]);
}

TEST_P(Conformance, BulkStores) {
  launch("bulk_stores");
  for (std::size_t i = 0; i < 96; ++i) EXPECT_EQ(out[i], ~in[i]);
  for (std::size_t i = 0; i < 32; ++i) EXPECT_EQ(out[96 + i], 0u);
  for (std::size_t i = 0; i < 32; ++i) EXPECT_EQ(out[128 + i], ~in[96 + i]);
}

INSTANTIATE_TEST_SUITE_P(Simt, Conformance, testing::Values(0u, 1u, 6u));

const std::filesystem::path kStored = FORNAX_SOURCE_DIR "/tests/simt/conformance";

struct Architecture {
  simt::Architecture value;
  const char* name;
};
constexpr Architecture kArchitectures[] = {{simt::Architecture::sm_80, "sm_80"},
                                           {simt::Architecture::sm_90, "sm_90"}};

// The stored words, and those that a card wrote. The twins' own are left in the folder of the run.
TEST(StoredWords, AreThoseOfTheTwins) {
  std::vector<std::string> expected;
  for (const Architecture& architecture : kArchitectures) {
    simt::options().architecture = architecture.value;
    for (const Primitive& one : all_primitives()) {
      const Words in = input_of(one.name);
      Words out(kWords, 0);
      run(one, queue(), {in.data(), out.data()});
      const std::string file = words_file(one, architecture.name, false);
      const std::string card = words_file(one, architecture.name, true);
      write_words("conformance/" + file, "the host twin", in, out);
      EXPECT_EQ(difference_from_file(kStored / file, in, out), "") << architecture.name;
      expected.push_back(file), expected.push_back(card);
      if (!std::filesystem::exists(kStored / card)) continue;
      EXPECT_EQ(difference_from_file(kStored / card, in, out), "") << "what the GPU gave";
    }
  }
  simt::options() = {};
  for (const auto& entry : std::filesystem::directory_iterator(kStored))
    EXPECT_TRUE(std::count(expected.begin(), expected.end(), entry.path().filename().string()))
        << entry.path() << " is of no primitive";
}

TEST(StoredWords, DifferWhereArchitecturesRoundDifferently) {
  for (const Primitive& one : all_primitives()) {
    const Words in = input_of(one.name);
    Words words[2];
    for (std::size_t i = 0; i < 2; ++i) {
      simt::options().architecture = kArchitectures[i].value;
      words[i] = Words(kWords, 0);
      run(one, queue(), {in.data(), words[i].data()});
    }
    EXPECT_EQ(words[0] != words[1], one.by_architecture) << one.name;
  }
  simt::options() = {};
}

TEST(StoredWords, PlantedDifferencesAreFound) {
  const std::filesystem::path file = "conformance_planted/words.txt";
  const Words in = {1, 2, 3};
  Words out = {0, 7, 0xabcdef01u, 0, 0};
  write_words(file, "nobody", in, out);
  EXPECT_EQ(difference_from_file(file, in, out), "");
  out[2] ^= 1u;
  EXPECT_NE(difference_from_file(file, in, out).find("word 2 is abcdef01, got abcdef00"),
            std::string::npos);
  out[2] ^= 1u, out[4] = 1;
  EXPECT_NE(difference_from_file(file, in, out).find("word 4"), std::string::npos);
  EXPECT_NE(difference_from_file(file, {1, 2, 4}, out).find("another input"), std::string::npos);
  write_words(file, "nobody", in, Words(5, 0));
  EXPECT_NE(difference_from_file(file, in, Words(5, 0)).find("holds no words"), std::string::npos);
  EXPECT_NE(difference_from_file("conformance_planted/none", in, out).find("there is no"),
            std::string::npos);
}

}  // namespace
}  // namespace fornax::simt_test
