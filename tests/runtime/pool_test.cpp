// The memory pool: against a shadow map, order between streams, limits, what its errors say.
#include "runtime/memory/pool.h"

#include <fornax/error.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <vector>

namespace {

using namespace fornax;
using namespace fornax::memory;

/// Addresses without memory behind them; notes what is given back and which streams were ordered.
class Upstream final : public Resource {
 public:
  explicit Upstream(std::int64_t bytes) : left_(bytes) {}
  ~Upstream() override { EXPECT_TRUE(live_.empty()) << "chunks were not given back"; }

  void* allocate(std::int64_t bytes, Stream) override {
    if (bytes > left_) throw Error(ErrorCode::out_of_memory, "upstream is empty");
    left_ -= bytes;
    const std::uintptr_t address = next_;
    next_ += static_cast<std::uintptr_t>(bytes);  // chunks touch: they must not be joined
    live_[address] = bytes;
    return reinterpret_cast<void*>(address);
  }
  void deallocate(void* memory, std::int64_t bytes, Stream) noexcept override {
    const auto found = live_.find(reinterpret_cast<std::uintptr_t>(memory));
    EXPECT_TRUE(found != live_.end() && found->second == bytes) << "not a chunk: " << memory;
    if (found == live_.end()) return;
    live_.erase(found);
    left_ += bytes;
  }
  void order(Stream earlier, Stream later) override { orders.emplace_back(earlier, later); }

  std::vector<std::pair<Stream, Stream>> orders;

 private:
  std::int64_t left_;
  std::uintptr_t next_ = 1 << 20;
  std::map<std::uintptr_t, std::int64_t> live_;
};

Stream stream(int number) { return reinterpret_cast<Stream>(static_cast<std::intptr_t>(number)); }
std::uintptr_t address(void* memory) { return reinterpret_cast<std::uintptr_t>(memory); }

TEST(Pool, RandomUseAgreesWithAShadowMap) {
  for (const unsigned seed : {1u, 2u, 3u, 4u}) {
    Upstream upstream(std::int64_t{1} << 30);
    Pool pool(upstream, {.chunk_bytes = 1 << 16});
    std::mt19937 random(seed);
    std::map<std::uintptr_t, std::int64_t> shadow;
    std::int64_t in_use = 0, peak = 0;
    for (int i = 0; i < 4000; ++i) {
      const Stream on = stream(1 + static_cast<int>(random() % 3));
      if (shadow.empty() || random() % 100 < 52) {
        const std::int64_t bytes = random() % (random() % 8 ? 5000 : 200000);
        const std::uintptr_t at = address(pool.allocate(bytes, on));
        ASSERT_EQ(at % 256, 0u);
        const auto after = shadow.lower_bound(at);
        const std::int64_t size = std::max<std::int64_t>((bytes + 255) / 256 * 256, 256);
        ASSERT_TRUE(after == shadow.end() ||
                    at + static_cast<std::uintptr_t>(size) <= after->first);
        ASSERT_TRUE(
            after == shadow.begin() ||
            std::prev(after)->first + static_cast<std::uintptr_t>(std::prev(after)->second) <= at);
        shadow[at] = size;
        in_use += size, peak = std::max(peak, in_use);
      } else {
        auto victim = shadow.begin();
        std::advance(victim, random() % shadow.size());
        pool.deallocate(reinterpret_cast<void*>(victim->first), victim->second, on);
        in_use -= victim->second;
        shadow.erase(victim);
      }
      const PoolStatistics statistics = pool.statistics();
      ASSERT_EQ(statistics.in_use_bytes, in_use);
      ASSERT_EQ(statistics.peak_in_use_bytes, peak);
      ASSERT_LE(statistics.in_use_bytes + statistics.largest_free_bytes, statistics.reserved_bytes);
      ASSERT_GE(statistics.fragmentation(), 0);
      ASSERT_LE(statistics.fragmentation(), 1);
    }
    for (const auto& [at, bytes] : shadow)
      pool.deallocate(reinterpret_cast<void*>(at), bytes, stream(1));
    pool.release_unused();
    // Blocks that were last used by different streams stay apart until somebody needs them joined.
    pool.deallocate(pool.allocate(std::int64_t{100} << 20, stream(1)), 0, stream(1));
    pool.release_unused();
    EXPECT_EQ(pool.statistics().reserved_bytes, 0);
    EXPECT_EQ(pool.statistics().in_use_bytes, 0);
  }
}

TEST(Pool, TakesTheBestFitAndJoinsNeighbours) {
  Upstream upstream(1 << 20);
  Pool pool(upstream, {.chunk_bytes = 1 << 16});
  void* a = pool.allocate(4096, stream(1));
  void* wall_a = pool.allocate(256, stream(1));
  void* b = pool.allocate(1024, stream(1));
  void* wall_b = pool.allocate(256, stream(1));
  pool.deallocate(a, 4096, stream(1)), pool.deallocate(b, 1024, stream(1));
  EXPECT_EQ(pool.allocate(1000, stream(1)), b);  // the smaller hole, not the first
  pool.deallocate(b, 1000, stream(1));
  pool.deallocate(wall_a, 256, stream(1));  // a, wall and b are one hole now
  EXPECT_EQ(pool.allocate(4096 + 256 + 1024, stream(1)), a);
  EXPECT_EQ(pool.statistics().reservations, 1);
  pool.deallocate(wall_b, 256, stream(1));
}

TEST(Pool, OrdersStreamsBeforeAnotherOneReusesABlock) {
  Upstream upstream(1 << 16);
  Pool pool(upstream, {.chunk_bytes = 1 << 16});
  void* block = pool.allocate(1 << 16, stream(1));
  pool.deallocate(block, 1 << 16, stream(1));
  EXPECT_EQ(pool.allocate(1 << 16, stream(1)), block);
  EXPECT_TRUE(upstream.orders.empty()) << "the stream itself needs no order";
  pool.deallocate(block, 1 << 16, stream(1));
  EXPECT_EQ(pool.allocate(1 << 16, stream(2)), block);
  ASSERT_EQ(upstream.orders.size(), 1u);
  EXPECT_EQ(upstream.orders[0], std::pair(stream(1), stream(2)));
}

TEST(Pool, JoinsBlocksOfDifferentStreamsWhenNothingElseFits) {
  Upstream upstream(1 << 16);
  Pool pool(upstream, {.chunk_bytes = 1 << 16});
  void* low = pool.allocate(1 << 15, stream(1));
  void* high = pool.allocate(1 << 15, stream(1));
  pool.deallocate(low, 1 << 15, stream(1)), pool.deallocate(high, 1 << 15, stream(2));
  EXPECT_EQ(pool.allocate(1 << 16, stream(3)), low);
  const std::set<std::pair<Stream, Stream>> orders(upstream.orders.begin(), upstream.orders.end());
  EXPECT_EQ(orders,
            (std::set<std::pair<Stream, Stream>>{{stream(1), stream(3)}, {stream(2), stream(3)}}));
}

std::string refusal(Pool& pool, std::int64_t bytes, ErrorCode code) {
  try {
    pool.allocate(bytes, stream(1));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << bytes << " bytes were given";
  return {};
}

TEST(Pool, SaysWhatIsMissing) {
  Upstream upstream(1 << 20);
  Pool pool(upstream, {.limit_bytes = 10240, .chunk_bytes = 4096});
  void* kept = pool.allocate(1024, stream(1));
  const std::string text = refusal(pool, 7168, ErrorCode::out_of_memory);
  for (const char* part : {"7168 bytes requested", "in use 1024", "reserved 4096",
                           "largest free block 3072", "limit 10240"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " is missing in: " << text;
  EXPECT_NE(pool.allocate(6144, stream(1)), nullptr) << "the limit itself may be reached";
  pool.deallocate(kept, 1024, stream(1));
  refusal(pool, -1, ErrorCode::invalid_argument);
  refusal(pool, std::numeric_limits<std::int64_t>::max(), ErrorCode::invalid_argument);
}

TEST(Pool, GivesUnusedChunksBackBeforeItFails) {
  Upstream upstream(8192);
  Pool pool(upstream, {.chunk_bytes = 4096});
  pool.deallocate(pool.allocate(4096, stream(1)), 4096, stream(1));
  void* all = pool.allocate(8192, stream(1));  // needs the first chunk's bytes
  EXPECT_EQ(pool.statistics().reserved_bytes, 8192);
  EXPECT_NE(refusal(pool, 256, ErrorCode::out_of_memory).find("upstream is empty"),
            std::string::npos);
  pool.deallocate(all, 8192, stream(1));
}

}  // namespace
