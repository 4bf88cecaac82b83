// Philox against published vectors, its vector form, the distributions; pow_int.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/kernels/philox_test.cpp"
#include "hwy/foreach_target.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/vector.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace fornax::philox_test::HWY_NAMESPACE {
namespace num = numeric::HWY_NAMESPACE;
/// words of the elements 4 first_block .. + 511.
void vector_words(const numeric::RandomStream& stream, std::uint64_t first_block,
                  std::int32_t* words) {
  for (int block = 0; block < 128; block += num::kRandomBlocks)
    num::random_words(stream, first_block + static_cast<std::uint64_t>(block), words + 4 * block);
}
}  // namespace fornax::philox_test::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "tests/kernels/every_isa.h"

namespace fornax::philox_test {
namespace {

using Words = std::array<std::uint32_t, 4>;

Words philox(const Words& counter, std::uint32_t key0, std::uint32_t key1) {
  numeric::PhiloxBlock<std::uint32_t> block[1] = {
      {{counter[0], counter[1], counter[2], counter[3]}}};
  numeric::philox4x32_10(block, key0, key1);
  const auto& word = block[0].word;
  return {word[0], word[1], word[2], word[3]};
}

TEST(Philox, GivesThePublishedVectors) {  // kat_vectors of Random123
  EXPECT_EQ(philox({0, 0, 0, 0}, 0, 0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const std::uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox({ones, ones, ones, ones}, ones, ones),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0xa4093822, 0x299f31d0),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, VectorsGiveTheWordsOfTheScalarForm) {
  const IsaRestorer restore;
  const numeric::RandomStream stream{0x123456789abcdef0u, 0xdeadbeefu, 77};
  // From the last on, the low word of the block number wraps.
  for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{1024}, std::uint64_t{7} << 33,
                                    (std::uint64_t{1} << 32) - 64})
    for (const host::Isa isa : available_isas()) {
      host::use_isa(isa);
      std::int32_t words[512];
      FORNAX_DISPATCH(vector_words)(stream, first, words);
      for (std::uint64_t i = 0; i < 512; ++i)
        ASSERT_EQ(static_cast<std::uint32_t>(words[i]),
                  numeric::random_word(stream, 4 * first + i));
    }
}

TEST(Philox, EveryPartOfAStreamChangesTheNumbers) {
  const numeric::RandomStream stream{1, 2, 3};
  const std::uint32_t word = numeric::random_word(stream, 4);
  EXPECT_NE(word, numeric::random_word({2, 2, 3}, 4));
  EXPECT_NE(word, numeric::random_word({1 + (std::uint64_t{1} << 32), 2, 3}, 4));
  EXPECT_NE(word, numeric::random_word({1, 3, 3}, 4));
  EXPECT_NE(word, numeric::random_word({1, 2, 4}, 4));
  EXPECT_NE(word, numeric::random_word(stream, 4 + (std::uint64_t{1} << 40)));
  EXPECT_NE(numeric::purpose_id("block0.drop", 11), numeric::purpose_id("block1.drop", 11));
  EXPECT_EQ(numeric::purpose_id("a", 1), 0xe40c292cu);  // FNV-1a's published value
}

TEST(Philox, DistributionsHaveTheirMoments) {
  const numeric::RandomStream stream{42, 7, 0};
  constexpr int count = 400000;
  double uniform = 0, uniform2 = 0, normal = 0, normal2 = 0, normal4 = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const double u = numeric::random_uniform(stream, i), n = numeric::random_normal(stream, i);
    ASSERT_TRUE(u >= 0 && u < 1 && std::abs(n) < 5.8);
    uniform += u, uniform2 += u * u;
    normal += n, normal2 += n * n, normal4 += n * n * n * n;
  }
  EXPECT_NEAR(uniform / count, 0.5, 0.002);
  EXPECT_NEAR(uniform2 / count, 1.0 / 3, 0.002);
  EXPECT_NEAR(normal / count, 0, 0.007);
  EXPECT_NEAR(normal2 / count, 1, 0.01);
  EXPECT_NEAR(normal4 / count, 3, 0.08);
}

/// Bits fixed, so that no compiler or system may give others.
TEST(Philox, NormalsHaveFixedBits) {
  std::uint32_t hash = 0x811c9dc5u;
  for (std::uint64_t i = 0; i < 1000; ++i)
    hash = (hash ^ canonical_bits(numeric::random_normal({42, 7, 3}, i))) * 0x01000193u;
  EXPECT_EQ(hash, 3837117649u);
}

TEST(Philox, ExtremesOfNormalsAreFinite) {
  const auto widest = numeric::box_muller(0, 0);
  EXPECT_NEAR(widest.first, std::sqrt(48 * std::log(2.0)), 1e-5);
  EXPECT_EQ(widest.second, 0.0f);
  const auto narrowest = numeric::box_muller(0xffffffffu, 0x40000000u);
  EXPECT_EQ(std::abs(narrowest.first) + std::abs(narrowest.second), 0.0f);
}

TEST(PowInt, SquaresInDouble) {
  EXPECT_EQ(numeric::pow_int(0.9, 0), 1.0);
  EXPECT_EQ(numeric::pow_int(2.0, 62), 0x1p62);
  EXPECT_EQ(numeric::pow_int(-3.0, 3), -27.0);
  EXPECT_NEAR(numeric::pow_int(0.999, 12345), std::pow(0.999, 12345), 1e-18);
  EXPECT_EQ(numeric::pow_int(0.9, std::int64_t{1} << 40), 0.0);
}

}  // namespace
}  // namespace fornax::philox_test
#endif
