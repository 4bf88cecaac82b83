// The ordered sum: scalar, vector, lane-wise and warp form against the definition, bit for bit.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/kernels/ordered_sum_test.cpp"
#include "hwy/foreach_target.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/vector.h"
// clang-format on
#include <vector>

HWY_BEFORE_NAMESPACE();
namespace fornax::ordered_sum_test::HWY_NAMESPACE {
namespace num = numeric::HWY_NAMESPACE;
float vector_sum(const float* x, std::int64_t count) {
  return num::ordered_sum<num::Vector, num::kLanes>(x, count);
}
float vector_sum_of_squares(const float* x, std::int64_t count) {
  return num::ordered_sum<num::Vector, num::kLanes>(count,
                                                    [=](std::int64_t i, auto kind) FORNAX_LAMBDA {
                                                      const auto v = num::load(x + i, kind);
                                                      return v * v;
                                                    });
}
/// The chunks' sums as threads that share them make them, the first `shared` by one of two.
float vector_sum_of_chunks(const float* x, std::int64_t count, std::int64_t shared) {
  const std::int64_t chunks = (count + num::kSumChunk - 1) / num::kSumChunk;
  std::vector<float> sums(static_cast<std::size_t>(chunks));
  num::ordered_chunk_sums<num::Vector, num::kLanes>(0, shared, count, num::Elements{x},
                                                    sums.data());
  num::ordered_chunk_sums<num::Vector, num::kLanes>(shared, chunks, count, num::Elements{x},
                                                    sums.data());
  return numeric::ordered_sum_of_chunks(sums.data(), chunks);
}
/// out[j] = sum over rows of column j, for kLanes columns at a time; columns a multiple of 16.
void column_sums(const float* x, std::int64_t rows, std::int64_t columns, float* out) {
  for (std::int64_t j = 0; j < columns; j += num::kLanes) {
    const auto row = [=](std::int64_t i) FORNAX_LAMBDA { return num::load(x + i * columns + j); };
    num::store(num::ordered_sum_lanewise<num::Vector>(rows, row), out + j);
  }
}
}  // namespace fornax::ordered_sum_test::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "tests/kernels/every_isa.h"

namespace fornax::ordered_sum_test {
namespace {

/// The definition, word for word.
float literal_sum(const float* x, std::int64_t count) {
  float total = -0.0f;
  for (std::int64_t begin = 0; begin < count; begin += 65536) {
    const std::int64_t end = std::min<std::int64_t>(count, begin + 65536);
    float chain[128];
    for (int c = 0; c < 128; ++c) {
      chain[c] = -0.0f;
      for (std::int64_t i = begin + c; i < end; i += 128) chain[c] += x[i];
    }
    for (int half = 64; half > 0; half /= 2)
      for (int c = 0; c < half; ++c) chain[c] += chain[c + half];
    total += chain[0];
  }
  return total;
}

struct Warp {
  float lane[32];
};
Warp operator+(Warp a, const Warp& b) {
  for (int l = 0; l < 32; ++l) a.lane[l] = a.lane[l] + b.lane[l];
  return a;
}
Warp shuffle_xor(const Warp& a, int mask) {
  Warp b;
  for (int l = 0; l < 32; ++l) b.lane[l] = a.lane[l ^ mask];
  return b;
}
float warp_chunk(const float* x, std::int64_t count, int result_lane) {
  Warp c[4];
  for (auto& w : c)
    for (float& v : w.lane) v = -0.0f;
  for (std::int64_t i = 0; i < count; ++i) {
    float& chain = c[i % 4].lane[i % 128 / 4];
    chain = chain + x[i];
  }
  return numeric::warp_fold(c[0], c[1], c[2], c[3], shuffle_xor).lane[result_lane];
}
float warp_sum(const float* x, std::int64_t count, int result_lane) {
  std::vector<float> sums;
  for (std::int64_t begin = 0; begin < count; begin += numeric::kSumChunk)
    sums.push_back(warp_chunk(x + begin, std::min(numeric::kSumChunk, count - begin), result_lane));
  return numeric::ordered_sum_of_chunks(sums.data(), static_cast<std::int64_t>(sums.size()));
}

std::vector<float> values(std::size_t count, int kind) {
  std::mt19937 random(static_cast<unsigned>(kind));
  std::vector<float> x(count);
  for (float& v : x) {
    const float u = static_cast<float>(static_cast<int>(random() >> 7) - (1 << 24)) * 0x1p-24f;
    if (kind == 0) v = u;
    if (kind == 1) v = std::ldexp(u, static_cast<int>(random() % 250) - 149);
    if (kind == 2) v = -0.0f;
    if (kind == 3) v = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
  }
  return x;
}

void expect_all_forms_equal(const float* x, std::int64_t count) {
  const float want = literal_sum(x, count);
  EXPECT_TRUE(same_bits(want, numeric::ordered_sum<float, 1>(x, count))) << count;
  EXPECT_TRUE(same_bits(want, warp_sum(x, count, static_cast<int>(count % 32)))) << count;
  std::vector<float> squares(x, x + count);
  for (float& v : squares) v = v * v;
  const float want_squares = literal_sum(squares.data(), count);
  for (const host::Isa isa : available_isas()) {
    host::use_isa(isa);
    EXPECT_TRUE(same_bits(want, FORNAX_DISPATCH(vector_sum)(x, count))) << count;
    EXPECT_TRUE(same_bits(want_squares, FORNAX_DISPATCH(vector_sum_of_squares)(x, count))) << count;
  }
}

TEST(OrderedSum, EveryFormGivesTheBitsOfTheDefinition) {
  const IsaRestorer restore;
  for (int kind = 0; kind < 4; ++kind) {
    const std::vector<float> x = values(1400, kind);
    for (std::int64_t count = 0; count <= 1300; ++count)
      expect_all_forms_equal(x.data() + count % 37, count);
  }
}

TEST(OrderedSum, LongSumsAreCutIntoChunks) {
  const IsaRestorer restore;
  const std::vector<float> x = values(3 * 65536 + 100, 0);
  for (const std::int64_t count : {65535, 65536, 65537, 65536 + 128, 2 * 65536, 3 * 65536 + 77})
    expect_all_forms_equal(x.data(), count);
}

TEST(OrderedSum, ChunksInTurnsHaveTheirOwnSums) {
  const IsaRestorer restore;
  const std::vector<float> x = values(10 * 65536, 1);
  for (const std::int64_t count : {0, 77, 4 * 65536 - 1, 4 * 65536, 9 * 65536 + 130, 10 * 65536}) {
    const float want = literal_sum(x.data(), count);
    for (const host::Isa isa : available_isas()) {
      host::use_isa(isa);
      for (const std::int64_t shared : {0, 1, 4, 5, 8}) {
        if (shared * 65536 > count) break;
        const float got = FORNAX_DISPATCH(vector_sum_of_chunks)(x.data(), count, shared);
        EXPECT_TRUE(same_bits(want, got)) << count << ", " << shared;
      }
    }
  }
}

TEST(OrderedSum, TheOrderMatters) {
  const std::vector<float> x = values(1000, 0);
  float in_order = 0;
  for (const float v : x) in_order += v;
  EXPECT_FALSE(same_bits(in_order, literal_sum(x.data(), 1000)))
      << "the sample cannot tell two orders apart";
}

TEST(OrderedSum, ColumnsHaveTheSumOfTheirElements) {
  const IsaRestorer restore;
  constexpr std::int64_t columns = 32;
  for (const std::int64_t rows : {0, 1, 5, 128, 129, 1000, 65536 + 3}) {
    const std::vector<float> x = values(static_cast<std::size_t>(rows * columns), 0);
    for (const host::Isa isa : available_isas()) {
      host::use_isa(isa);
      std::vector<float> sums(columns), column(static_cast<std::size_t>(rows));
      FORNAX_DISPATCH(column_sums)(x.data(), rows, columns, sums.data());
      for (std::size_t j = 0; j < columns; ++j) {
        for (std::size_t i = 0; i < column.size(); ++i) column[i] = x[i * columns + j];
        EXPECT_TRUE(same_bits(literal_sum(column.data(), rows), sums[j])) << rows << ' ' << j;
      }
    }
  }
}

TEST(OrderedSum, AnEmptySumIsNegativeZeroAndNegativeZerosStay) {
  EXPECT_TRUE(same_bits(numeric::ordered_sum<float, 1>(nullptr, 0), -0.0f));
  const std::vector<float> zeros(300, -0.0f);
  EXPECT_TRUE(same_bits(numeric::ordered_sum<float, 1>(zeros.data(), 300), -0.0f));
}

}  // namespace
}  // namespace fornax::ordered_sum_test
#endif
