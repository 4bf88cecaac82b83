// Copies, updates, sums and fills of memory, and the count of what they touch.
#include "tests/bench/traffic.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/bench/traffic.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/host/dispatch.h"
// clang-format on
#include "hwy/cache_control.h"
#include "kernels/host/parallel.h"
#include "kernels/host/past_caches.h"
#include "tests/bench/arena_memory.h"
#include "tests/bench/beside_operations.h"
#include "tests/bench/ceilings.h"

HWY_BEFORE_NAMESPACE();
namespace fornax::bench::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

void invert(std::uint32_t* words, std::int64_t count) {
  const hn::ScalableTag<std::uint32_t> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v)
      hn::StoreU(hn::Not(hn::LoadU(d, words + i + v * lanes)), d, words + i + v * lanes);
  }
  for (; i < count; ++i) words[i] = ~words[i];
}

/// `to` is aligned to a vector.
void fill_streamed(std::uint32_t* to, std::int64_t count, std::uint32_t word) {
  const hn::ScalableTag<std::uint32_t> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::Stream(hn::Set(d, word), d, to + i);
  for (; i < count; ++i) to[i] = word;
  hwy::FlushStream();
}

/// The sum modulo 2^32, of `streams` parts read side by side.
template <int streams>
HWY_ATTR std::uint32_t sum_side_by_side(const std::uint32_t* from, std::int64_t count) {
  constexpr int chains = 8, vectors = chains / streams;
  const hn::ScalableTag<std::uint32_t> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t block = vectors * lanes, part = count / streams / block * block;
  hn::Vec<decltype(d)> sums[chains];
#pragma GCC unroll 8
  for (int c = 0; c < chains; ++c) sums[c] = hn::Zero(d);
  for (std::int64_t i = 0; i < part; i += block) {
#pragma GCC unroll 8
    for (int c = 0; c < chains; ++c) {
      const std::int64_t at = c / vectors * part + i + c % vectors * lanes;
      sums[c] = hn::Add(sums[c], hn::LoadU(d, from + at));
    }
  }
#pragma GCC unroll 8
  for (int c = 1; c < chains; ++c) sums[0] = hn::Add(sums[0], sums[c]);
  std::uint32_t sum = hn::GetLane(hn::SumOfLanes(d, sums[0]));
  for (std::int64_t i = streams * part; i < count; ++i) sum += from[i];
  return sum;
}

std::uint32_t sum_of_1(const std::uint32_t* from, std::int64_t count) {
  return sum_side_by_side<1>(from, count);
}
std::uint32_t sum_of_4(const std::uint32_t* from, std::int64_t count) {
  return sum_side_by_side<4>(from, count);
}
std::uint32_t sum_of_8(const std::uint32_t* from, std::int64_t count) {
  return sum_side_by_side<8>(from, count);
}

}  // namespace fornax::bench::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::bench {

namespace {

using Words = std::vector<std::uint32_t, InArena<std::uint32_t>>;
constexpr std::int64_t kWordBytes = 4, kLineWords = 16;
constexpr std::int64_t kMostOfNoStream = 8 * 80 * kLineWords;  // of 8 streams, less than 80 lines
constexpr std::int64_t kCachedWords = 4 << 20;  // fewer take so short that more repeats are needed
constexpr int kFilledByte = 0x80;

std::size_t bytes_of(std::int64_t words) { return static_cast<std::size_t>(kWordBytes * words); }

struct Memory {
  Words from, to;
  std::atomic<std::uint32_t> sum{0};
  std::atomic<std::int64_t> done{0};  ///< fma
  int fma = 0;                        ///< of a word
  bool quotient = false;

  BesideWork beside(std::int64_t begin, std::int64_t end) {
    return {from.data() + begin, to.data() + begin, end - begin, fma, quotient};
  }
  void add(const BesideResult& result) {
    sum += result.sum, done += static_cast<std::int64_t>(result.fma);
  }
};

/// How words [begin, end) are copied, updated, read or written.
struct Way {
  const char* name;
  void (*run)(Memory& memory, std::int64_t begin, std::int64_t end);
};

/// The last in place alone.
constexpr Way kBoth[] = {
    {"copy",
     [](Memory& m, std::int64_t begin, std::int64_t end) {
       std::memcpy(m.to.data() + begin, m.from.data() + begin, bytes_of(end - begin));
     }},
    {"copy past the caches",
     [](Memory& m, std::int64_t begin, std::int64_t end) {
       const host::Writer writer(true);
       writer.copy(m.from.data() + begin, m.to.data() + begin, kWordBytes * (end - begin));
       writer.end();
     }},
    {"update", [](Memory& m, std::int64_t begin, std::int64_t end) {
       FORNAX_DISPATCH(invert)(m.from.data() + begin, end - begin);
     }}};

constexpr Way kReads[] = {{"sum of one stream",
                           [](Memory& m, std::int64_t begin, std::int64_t end) {
                             m.sum += FORNAX_DISPATCH(sum_of_1)(m.from.data() + begin, end - begin);
                           }},
                          {"sum of 4 streams",
                           [](Memory& m, std::int64_t begin, std::int64_t end) {
                             m.sum += FORNAX_DISPATCH(sum_of_4)(m.from.data() + begin, end - begin);
                           }},
                          {"sum of 8 streams", [](Memory& m, std::int64_t begin, std::int64_t end) {
                             m.sum += FORNAX_DISPATCH(sum_of_8)(m.from.data() + begin, end - begin);
                           }}};

constexpr Way kWrites[] = {
    {"fill",
     [](Memory& m, std::int64_t begin, std::int64_t end) {
       std::memset(m.to.data() + begin, kFilledByte, bytes_of(end - begin));
     }},
    {"fill past the caches", [](Memory& m, std::int64_t begin, std::int64_t end) {
       FORNAX_DISPATCH(fill_streamed)(m.to.data() + begin, end - begin, 0x01010101u * kFilledByte);
     }}};

constexpr Way kBothBeside[] = {
    {"copy beside operations", [](Memory& m, std::int64_t begin,
                                  std::int64_t end) { m.add(copy_beside(m.beside(begin, end))); }},
    {"copy past the caches beside operations", [](Memory& m, std::int64_t begin, std::int64_t end) {
       m.add(stream_beside(m.beside(begin, end)));
     }}};
constexpr Way kReadsBeside[] = {
    {"sum of 4 streams beside operations",
     [](Memory& m, std::int64_t begin, std::int64_t end) {
       m.add(read_of_4(m.beside(begin, end)));
     }},
    {"sum of 8 streams beside operations", [](Memory& m, std::int64_t begin, std::int64_t end) {
       m.add(read_of_8(m.beside(begin, end)));
     }}};

/// One of the parts that a step's traffic is made of.
struct Part {
  std::int64_t words;
  bool read, written;
  std::span<const Way> ways;
  int fma = 0;  ///< of a word
  bool quotient = false;
};

std::function<void()> on_threads(const std::shared_ptr<Memory>& memory, const Way& way,
                                 std::int64_t words, int threads) {
  const std::int64_t lines = (words / threads + kLineWords - 1) / kLineWords;
  const std::int64_t grain = kLineWords * std::max<std::int64_t>(lines, 1);
  return [=] {
    host::parallel_for(words, grain, threads,
                       [&](std::int64_t begin, std::int64_t end) { way.run(*memory, begin, end); });
  };
}

std::uint32_t word_of(std::size_t i) { return static_cast<std::uint32_t>(i) + 1; }

/// What one run of `work` reads and writes of `memory`, in words.
Traffic touched(Memory& memory, const std::function<void()>& work) {
  for (std::size_t i = 0; i < memory.from.size(); ++i) memory.from[i] = word_of(i);
  std::fill(memory.to.begin(), memory.to.end(), 0u);
  memory.sum = 0, memory.done = 0;
  work();
  Traffic words;
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < memory.from.size(); ++i) {
    const std::uint32_t was = word_of(i), is = memory.from[i];
    words.read += is == ~was, words.written += is != was, sum += was;
  }
  for (std::size_t i = 0; i < memory.to.size(); ++i)
    words.read += memory.to[i] == word_of(i), words.written += memory.to[i] != 0;
  if (memory.sum == sum) words.read += static_cast<std::int64_t>(memory.from.size());
  return words;
}

void check(const Part& part, const Way& way, Memory& memory, int threads,
           const std::function<void()>& work) {
  const Traffic words = touched(memory, work);
  const std::int64_t read = part.read * part.words, written = part.written * part.words;
  const auto said = [](std::int64_t some, std::int64_t all, const char* what) {
    return std::to_string(some) + " of " + std::to_string(all) + what;
  };
  if (words.read != read || words.written != written)
    throw std::runtime_error(std::string(way.name) + ": reads " +
                             said(words.read, read, " words and writes ") +
                             said(words.written, written, " words"));
  // What is left of whole lines of every stream goes without operations.
  const std::int64_t done = memory.done, asked = part.fma * part.words;
  if (asked / threads <= kMostCounted &&
      std::abs(done - asked) > part.fma * threads * kMostOfNoStream)
    throw std::runtime_error(std::string(way.name) + ": does " + said(done, asked, " fma"));
}

struct Chosen {
  std::shared_ptr<Memory> memory = std::make_shared<Memory>();
  std::function<void()> work = [] {};
};

Chosen fastest(const Part& part, int threads, const LeftOut& left_out) {
  Chosen chosen;
  if (part.words == 0) return chosen;
  const auto& memory = chosen.memory;
  const auto words = static_cast<std::size_t>(part.words);
  if (part.read) memory->from.resize(words);
  if (part.written) memory->to.resize(words);
  memory->fma = std::max(part.fma - left_out.fma, 0), memory->quotient = part.quotient;
  double least = 1e30;
  for (const int some : {1, threads}) {
    for (const Way& way : part.ways) {
      const auto work = on_threads(memory, way, part.words - left_out.words, some);
      check(part, way, *memory, some, work);
      const double seconds = best_seconds(part.words < kCachedWords ? 40 : 8, work);
      if (seconds < least) least = seconds, chosen.work = work;
    }
  }
  return chosen;
}

}  // namespace

TrafficWork traffic_work(int threads, Traffic traffic, const LeftOut& left_out) {
  const std::int64_t read = traffic.read / kWordBytes, written = traffic.written / kWordBytes;
  const std::int64_t both = std::min(read, written);
  const bool beside = traffic.operations > 0;
  const double each = 1.0 / static_cast<double>(std::max<std::int64_t>(read, 1));
  const bool quotient = traffic.quotients * each >= 1;
  const double least = traffic.operations * each - quotient;
  const auto fma_of = [](double operations) {
    return std::clamp(static_cast<int>(operations), 0, kMostFma);
  };
  std::span<const Way> ways(kBoth, std::size(kBoth) - (traffic.in_place ? 0 : 1));
  if (beside) ways = kBothBeside;
  const std::span<const Way> reads =
      beside ? std::span(kReadsBeside) : std::span<const Way>(kReads);
  const Chosen first =
      fastest({both, true, true, ways, fma_of(least), quotient}, threads, left_out);
  // What is only read is summed: an operation, too.
  const auto rest = read > written
                        ? Part{read - both, true, false, reads, fma_of(least - 1), quotient}
                        : Part{written - both, false, true, kWrites};
  const Chosen second = fastest(rest, threads, left_out);
  TrafficWork made{[=] { first.work(), second.work(); }, {}};
  for (const Chosen& part : {first, second}) {
    const Traffic words = touched(*part.memory, made.step);
    made.touched.read += kWordBytes * words.read;
    made.touched.written += kWordBytes * words.written;
  }
  return made;
}

}  // namespace fornax::bench
#endif
