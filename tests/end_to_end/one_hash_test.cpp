// The ugly network of samples/one_hash.cpp has one SHA-256 everywhere:
// reference, CPU with every instruction set and number of threads, CUDA kernels
// on the simt machine, fused or not, captured or not, resumed anywhere.
#include <fornax/fornax.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "kernels/host/isa.h"
#include "tests/end_to_end/process.h"
#include "tests/kernels/card.h"

namespace fornax {
namespace {

std::string committed_hash() {
  std::ifstream file(FORNAX_SOURCE_DIR "/tests/end_to_end/one_hash.sha256");
  std::string hash;
  file >> hash;
  EXPECT_EQ(hash.size(), 64u) << "tests/end_to_end/one_hash.sha256";
  return hash;
}

std::string hash_of(const std::string& flags, const std::string& environment = "") {
  const ProcessResult result = run_process(environment, sample("one_hash") + ' ' + flags);
  EXPECT_EQ(result.status, 0) << result.output;
  return result.output.substr(0, result.output.find('\n'));
}

TEST(OneHash, Reference) { EXPECT_EQ(hash_of("--device reference"), committed_hash()); }

TEST(OneHash, EveryThreadCount) {
  for (const char* threads : {"1", "2", "3", "7"})
    EXPECT_EQ(hash_of(std::string("--device cpu --threads ") + threads), committed_hash())
        << threads << " threads";
}

TEST(OneHash, EveryInstructionSet) {
  int tried = 0;
  for (const host::Isa isa : {host::Isa::avx2, host::Isa::avx512, host::Isa::neon}) {
    try {
      host::use_isa(isa);
    } catch (const Error&) {
      continue;  // this machine lacks it
    }
    ++tried;
    for (const char* threads : {"1", "2"})
      EXPECT_EQ(hash_of(std::string("--threads ") + threads,
                        std::string("FORNAX_ISA=") + host::name(isa)),
                committed_hash())
          << host::name(isa);
  }
  EXPECT_GT(tried, 0);
}

TEST(OneHash, NodeByNode) {
  EXPECT_EQ(hash_of("--unfused"), committed_hash());
  EXPECT_EQ(hash_of("--device reference --unfused"), committed_hash());
}

TEST(OneHash, StepsSubmittedAhead) {
  EXPECT_EQ(hash_of("--submit"), committed_hash());
  EXPECT_EQ(hash_of("--device reference --submit"), committed_hash());
}

// The .cu files and the CUDA backend, captured and eager, under several legal orders of streams.
TEST(OneHash, CudaKernelsOnTheSimtMachine) {
  const char* folder = std::getenv("FORNAX_MODULE_DIR");
  if (!folder || !std::filesystem::exists(std::string(folder) + "/libfornax_simt.so"))
    GTEST_SKIP() << "the simt module was not built (FORNAX_BUILD_SIMT)";
  EXPECT_EQ(hash_of("--device simt"), committed_hash());
  EXPECT_EQ(hash_of("--device simt --eager"), committed_hash());
  EXPECT_EQ(hash_of("--device simt --unfused"), committed_hash());
  EXPECT_EQ(hash_of("--device simt --submit --eager"), committed_hash());
  for (const char* seed : {"1", "2", "3"})
    EXPECT_EQ(hash_of("--device simt --submit", std::string("FORNAX_SIMT_SEED=") + seed),
              committed_hash())
        << "seed " << seed;
}

// The kernels of libfornax_cuda on the first card: captured, eager, node by node, steps ahead.
TEST(OneHash, OnACard) {
  if (!card()) GTEST_SKIP() << "no card here, or libfornax_cuda is not built";
  for (const char* flags :
       {"", " --eager", " --unfused", " --unfused --eager", " --submit", " --submit --eager"})
    EXPECT_EQ(hash_of(std::string("--device cuda:0") + flags), committed_hash()) << flags;
}

TEST(OneHash, ADeviceThatIsAbsentIsAnError) {
  const ProcessResult result =
      run_process("FORNAX_MODULE_DIR=/nowhere", sample("one_hash") + " --device cuda");
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.output.find("one_hash: device cuda"), std::string::npos) << result.output;
}

TEST(OneHash, ChangesWhenTheTrainingDoes) { EXPECT_NE(hash_of("--steps 29"), committed_hash()); }

class Resume : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        std::filesystem::temp_directory_path() / ("fornax_one_hash_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
};

// Train N, save, new process, train the rest: for every N.
TEST_F(Resume, AnywhereGivesTheSameBits) {
  const std::string file = (folder_ / "state.safetensors").string();
  const std::string whole = hash_of("--steps 50");
  for (int n = 0; n <= 50; ++n) {
    const std::string flags = "--steps 50 --checkpoint " + file;
    hash_of(flags + " --stop-after " + std::to_string(n));
    ASSERT_EQ(hash_of(flags + " --resume"), whole) << "resumed after step " << n;
  }
}

}  // namespace
}  // namespace fornax
