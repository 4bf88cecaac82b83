// What is written past the caches, in streams and in pieces of any size: every byte once, none
// beside; and loops over arrays that are taken in streams.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/kernels/past_caches_test.cpp"
#include "hwy/foreach_target.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/vector.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace fornax::past_caches_test::HWY_NAMESPACE {
namespace num = numeric::HWY_NAMESPACE;

/// out[i] = 2 x[i] + same[i of the row].
void fill_rows(const float* x, const float* same, float* out, std::int64_t rows,
               std::int64_t width) {
  num::fill_rows(
      out, rows, width, true,
      [=](std::int64_t row) FORNAX_LAMBDA {
        return [=](auto i, auto zero) FORNAX_LAMBDA {
          return num::load(x + row * width + i, zero) * decltype(zero)(2) +
                 num::load(same + num::in_every_stream(i), zero);
        };
      },
      x);
  num::end_streams(true);
}

void widen(const std::uint16_t* x, float* out, std::int64_t count) {
  num::fill_array(out, count, true, [=](auto i, auto zero) FORNAX_LAMBDA {
    return num::from_bf16_bits(num::load_halves(x + i, zero));
  });
  num::end_streams(true);
}

}  // namespace fornax::past_caches_test::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "kernels/host/past_caches.h"

#include <gtest/gtest.h>

#include <random>

#include "kernels/host/transpose.h"
#include "tests/kernels/every_isa.h"
#include "tests/kernels/guarded_memory.h"

namespace fornax::past_caches_test {
namespace {

/// visit() with every instruction set.
template <class Visit>
void on_every_isa(const Visit& visit) {
  const IsaRestorer restore;
  for (const host::Isa isa : available_isas()) {
    SCOPED_TRACE(host::name(isa));
    host::use_isa(isa);
    visit();
  }
}

std::vector<float> numbers(std::int64_t count) {
  std::vector<float> x(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 9973) + 1;
  return x;
}

TEST(PastCaches, StreamsHoldMostLinesAndNoMore) {
  for (std::int64_t lines = 0; lines < 5000; ++lines) {
    const std::int64_t each = host::lines_of_stream(lines);
    ASSERT_LE(host::kStreams * each, lines);
    ASSERT_TRUE(each == 0 ? lines < 64 * host::kStreams : each % 16 != 0) << lines;
    ASSERT_TRUE(each == 0 || lines - host::kStreams * each < 17 * host::kStreams) << lines;
  }
}

TEST(PastCaches, CopiesOfAnySizeAndPlaceAreWhole) {
  on_every_isa([] {
    const host::Writer writer(true);
    for (const std::int64_t bytes : {0, 1, 63, 64, 65, 4096, 16383, 16384, 16448, 100001}) {
      for (const std::int64_t from_at : {0, 3}) {
        for (const std::int64_t to_at : {0, 1, 32, 61}) {
          GuardedMemory from(bytes + from_at, 0), to(bytes + to_at, 0x55);
          for (std::int64_t i = 0; i < bytes; ++i)
            from.data()[from_at + i] = static_cast<std::byte>(i * 131 >> 3);
          writer.copy(from.data() + from_at, to.data() + to_at, bytes);
          writer.end();
          ASSERT_EQ(std::memcmp(from.data() + from_at, to.data() + to_at,
                                static_cast<std::size_t>(bytes)),
                    0);
          ASSERT_TRUE(to.intact() && (to_at == 0 || to.data()[to_at - 1] == std::byte{0x55}));
        }
      }
    }
  });
}

TEST(PastCaches, PiecesMakeOneStretch) {
  on_every_isa([] {
    std::mt19937 random(7);
    for (const std::int64_t at : {0, 1, 63}) {
      for (const std::int64_t longest : {1, 40, 64, 300, 5000}) {
        const std::int64_t room = 30000;
        GuardedMemory to(room, 0x55), from(longest + host::StreamedPieces::kAhead, 0);
        std::vector<std::byte> expected(static_cast<std::size_t>(at), std::byte{0x55});
        host::StreamedPieces pieces(to.data() + at);
        while (static_cast<std::int64_t>(expected.size()) + longest <= room) {
          const auto bytes = static_cast<std::int64_t>(random()) % (longest + 1);
          for (std::int64_t i = 0; i < bytes; ++i) from.data()[i] = std::byte(random() & 0xff);
          pieces.add(from.data(), bytes);
          expected.insert(expected.end(), from.data(), from.data() + bytes);
        }
        pieces.end();
        ASSERT_EQ(std::memcmp(expected.data(), to.data(), expected.size()), 0);
        for (std::size_t i = expected.size(); i < to.bytes(); ++i)
          ASSERT_EQ(to.data()[i], std::byte{0x55});
        ASSERT_TRUE(to.intact());
      }
    }
  });
}

TEST(PastCaches, RowsAreFilledWhereverTheyBegin) {
  on_every_isa([] {
    for (const std::int64_t rows : {1, 3, 4, 5, 8, 39}) {
      for (const std::int64_t width : {1, 16, 48, 100, 1040, 4500}) {
        for (const std::int64_t at : {0, 1, 8}) {
          const std::vector<float> x = numbers(rows * width), same = numbers(width);
          GuardedMemory memory((rows * width + at) * 4);
          float* out = reinterpret_cast<float*>(memory.data()) + at;
          FORNAX_DISPATCH(fill_rows)(x.data(), same.data(), out, rows, width);
          for (std::int64_t i = 0; i < rows * width; ++i)
            ASSERT_EQ(out[i], 2 * x[static_cast<std::size_t>(i)] +
                                  same[static_cast<std::size_t>(i % width)])
                << rows << " x " << width << " at " << at << ", element " << i;
          ASSERT_TRUE(memory.intact());
        }
      }
    }
  });
}

TEST(PastCaches, HalvesAreTakenInStreamsToo) {
  on_every_isa([] {
    for (const std::int64_t count : {4095, 4096, 9999}) {
      std::vector<std::uint16_t> x(static_cast<std::size_t>(count));
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<std::uint16_t>(i + 0x3000);
      GuardedMemory memory(count * 4);
      float* out = reinterpret_cast<float*>(memory.data());
      FORNAX_DISPATCH(widen)(x.data(), out, count);
      for (std::size_t i = 0; i < x.size(); ++i)
        ASSERT_EQ(std::bit_cast<std::uint32_t>(out[i]), std::uint32_t{x[i]} << 16);
      ASSERT_TRUE(memory.intact());
    }
  });
}

/// A transpose whose result lies in rows of `to_stride`, the rest of which stays.
void check_transpose(std::int64_t rows, std::int64_t columns, bool streamed) {
  const std::int64_t from_stride = columns + 3, to_stride = (rows + 31) / 16 * 16;
  const std::vector<float> x = numbers(rows * from_stride);
  GuardedMemory memory(columns * to_stride * 4);
  float* out = reinterpret_cast<float*>(memory.data());
  std::fill_n(out, columns * to_stride, -1.0f);
  host::transpose({x.data(), from_stride, rows, columns, out, to_stride, streamed});
  host::Writer(streamed).end();
  for (std::int64_t j = 0; j < columns; ++j)
    for (std::int64_t i = 0; i < to_stride; ++i)
      ASSERT_EQ(out[j * to_stride + i],
                i < rows ? x[static_cast<std::size_t>(i * from_stride + j)] : -1.0f)
          << rows << " x " << columns << (streamed ? " streamed" : "") << ": " << i << ", " << j;
  ASSERT_TRUE(memory.intact());
}

TEST(PastCaches, TransposesOfAnySizeAreWhole) {
  on_every_isa([] {
    for (const std::int64_t rows : {1, 3, 4, 8, 15, 16, 17, 24, 32, 40, 51})
      for (const std::int64_t columns : {1, 4, 7, 8, 16, 20, 31, 32, 100})
        for (const bool streamed : {false, true}) check_transpose(rows, columns, streamed);
  });
}

}  // namespace
}  // namespace fornax::past_caches_test
#endif
