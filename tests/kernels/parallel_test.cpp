// parallel_for: every index once, any number of threads, nested, concurrent, with exceptions, and
// without a heap allocation once the pool has grown.
#include "kernels/host/parallel.h"

#include <fornax/error.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/allocation_count.h"

namespace fornax::host {
namespace {

const int kThreadCounts[] = {1, 2, 3, 7};

void expect_every_index_once(int threads, std::int64_t count, std::int64_t grain) {
  std::vector<std::atomic<int>> calls(static_cast<std::size_t>(count));
  std::atomic<int> wrong_parts{0};
  parallel_for(count, grain, threads, [&](std::int64_t begin, std::int64_t end) {
    if (begin % grain != 0 || (end % grain != 0 && end != count)) ++wrong_parts;
    for (std::int64_t i = begin; i < end; ++i) ++calls[static_cast<std::size_t>(i)];
  });
  EXPECT_EQ(wrong_parts, 0);
  for (const auto& c : calls) ASSERT_EQ(c, 1) << threads << ' ' << count << ' ' << grain;
}

TEST(Parallel, CallsEveryIndexOnceInPartsOfWholeGrains) {
  for (const int threads : kThreadCounts)
    for (const std::int64_t count : {0, 1, 5, 64, 1000, 100003})
      for (const std::int64_t grain : {1, 7, 64, 5000})
        expect_every_index_once(threads, count, grain);
}

/// What `thread` gets until nothing is left.
std::vector<ShareRange> taken_by(GuidedShares& shares, int thread) {
  std::vector<ShareRange> taken;
  for (ShareRange range = shares.next(thread); !range.empty(); range = shares.next(thread))
    taken.push_back(range);
  return taken;
}

void expect_cover(std::vector<ShareRange> ranges, std::int64_t count) {
  std::ranges::sort(ranges, {}, &ShareRange::begin);
  std::int64_t next = 0;
  for (const ShareRange& range : ranges) {
    EXPECT_EQ(range.begin, next);
    next = range.end;
  }
  EXPECT_EQ(next, count);
}

TEST(GuidedShares, AThreadTakesHalfOfItsHomeAndThenFromTheEndOfTheFullest) {
  GuidedShares shares(103, 5, 2);  // 10 and 11 grains, the last of 3
  const std::vector<ShareRange> taken = taken_by(shares, 0);
  std::vector<std::int64_t> begins;
  for (const ShareRange& range : taken) begins.push_back(range.begin);
  EXPECT_EQ(begins,
            (std::vector<std::int64_t>{0, 25, 35, 40, 45, 95, 85, 80, 75, 70, 65, 60, 55, 50}));
  expect_cover(taken, 103);
  EXPECT_EQ(taken.front().end, GuidedShares::most(103, 5, 2));
}

TEST(GuidedShares, AThreadBeginsAtItsHome) {
  for (const int threads : {2, 3, 64, 65, 200}) {
    const std::int64_t count = 7 * 64 * 11 + 3;
    GuidedShares shares(count, 7, threads);
    std::vector<ShareRange> taken;
    const int homes = std::min(threads, 64);
    for (int thread = 0; thread < homes; ++thread) {
      taken.push_back(shares.next(thread));
      EXPECT_EQ(taken.back().begin, (count + 6) / 7 * thread / homes * 7);
      EXPECT_LE(taken.back().end - taken.back().begin, GuidedShares::most(count, 7, threads));
    }
    for (const ShareRange& range : taken_by(shares, threads - 1)) taken.push_back(range);
    expect_cover(taken, count);
  }
}

TEST(GuidedShares, CountsPastWhatAWordHolds) {
  const std::int64_t count = (std::int64_t{1} << 40) + 1;
  GuidedShares shares(count, 1, 2);
  std::vector<ShareRange> taken = taken_by(shares, 1);
  EXPECT_LE(taken.front().end - taken.front().begin, GuidedShares::most(count, 1, 2));
  expect_cover(taken, count);
}

TEST(GuidedShares, OneThreadTakesAllAtOnce) {
  GuidedShares shares(103, 5, 1);
  const ShareRange all = shares.next(0);
  EXPECT_EQ(all.begin, 0);
  EXPECT_EQ(all.end, 103);
  EXPECT_TRUE(shares.next(0).empty());
}

TEST(Parallel, UsesMoreThanOneThreadAndNoMoreThanAsked) {
  for (const int threads : {2, 3}) {
    std::set<std::thread::id> seen;
    std::mutex mutex;
    for (int repeat = 0; repeat < 200 && seen.size() < 2; ++repeat) {
      seen.clear();
      parallel_for(64, 1, threads, [&](std::int64_t, std::int64_t) {
        std::this_thread::sleep_for(std::chrono::microseconds(50));
        const std::lock_guard lock(mutex);
        seen.insert(std::this_thread::get_id());
      });
      EXPECT_LE(seen.size(), static_cast<std::size_t>(threads));
    }
    EXPECT_GE(seen.size(), 2u);
  }
}

TEST(Parallel, RunsInlineInsideAPart) {
  std::atomic<std::int64_t> sum{0};
  std::atomic<int> elsewhere{0};
  parallel_for(16, 1, 3, [&](std::int64_t begin, std::int64_t end) {
    const auto outer = std::this_thread::get_id();
    for (std::int64_t i = begin; i < end; ++i)
      parallel_for(100, 1, 3, [&](std::int64_t b, std::int64_t e) {
        if (std::this_thread::get_id() != outer) ++elsewhere;
        sum += e - b;
      });
  });
  EXPECT_EQ(sum, 1600);
  EXPECT_EQ(elsewhere, 0);
}

TEST(Parallel, RethrowsAnExceptionAndWorksAgain) {
  for (const int threads : kThreadCounts) {
    for (int repeat = 0; repeat < 50; ++repeat) {
      try {
        parallel_for(1000, 1, threads, [&](std::int64_t begin, std::int64_t end) {
          if (begin <= 500 && 500 < end) throw std::runtime_error("part with 500");
        });
        FAIL() << "no exception arrived";
      } catch (const std::runtime_error& error) {
        EXPECT_STREQ(error.what(), "part with 500");
      }
    }
    std::atomic<std::int64_t> sum{0};
    parallel_for(1000, 1, threads, [&](std::int64_t b, std::int64_t e) { sum += e - b; });
    EXPECT_EQ(sum, 1000);
  }
}

TEST(Parallel, SeveralThreadsMayCallAtOnce) {
  std::vector<std::thread> callers;
  std::atomic<std::int64_t> sum{0};
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 300; ++repeat)
        parallel_for(500, 3, 3, [&](std::int64_t b, std::int64_t e) { sum += e - b; });
    });
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(sum, 4 * 300 * 500);
}

TEST(Parallel, ResultsOfPartsAreSeenByTheCaller) {
  std::vector<std::int64_t> values(10000);
  for (std::int64_t repeat = 0; repeat < 300; ++repeat) {
    parallel_for(10000, 16, 3, [&](std::int64_t b, std::int64_t e) {
      for (std::int64_t i = b; i < e; ++i) values[static_cast<std::size_t>(i)] = i + repeat;
    });
    for (std::size_t i = 0; i < values.size(); i += 97)
      ASSERT_EQ(values[i], static_cast<std::int64_t>(i) + repeat);
  }
}

TEST(Parallel, AllocatesNothingOnceThePoolHasGrown) {
  std::atomic<std::int64_t> sum{0};
  const auto work = [&] {
    parallel_for(1000, 1, 7, [&](std::int64_t b, std::int64_t e) { sum += e - b; });
  };
  work();
  const std::int64_t before = allocation_count();
  for (int repeat = 0; repeat < 100; ++repeat) work();
  EXPECT_EQ(allocation_count() - before, 0);
  EXPECT_EQ(sum, 101 * 1000);
}

TEST(Parallel, WorkersSpinOnlyWhereEveryThreadHasACpu) {
  const auto work = [] { parallel_for(1000, 1, 2, [](std::int64_t, std::int64_t) {}); };
  work();
  const bool before = workers_spin();
  {
    std::vector<std::unique_ptr<BesidePool>> beside;
    for (unsigned i = 0; i < std::thread::hardware_concurrency(); ++i)
      beside.push_back(std::make_unique<BesidePool>());
    EXPECT_FALSE(workers_spin()) << "the caller has no CPU left";
    work();
    EXPECT_FALSE(workers_spin());
  }
  EXPECT_EQ(workers_spin(), before);
}

/// The CPUs that a worker may use, told by itself; empty when the caller was moved meanwhile.
std::set<int> cpus_of_worker(int* caller_cpu) {
  const auto caller = std::this_thread::get_id();
  *caller_cpu = sched_getcpu();
  std::set<int> cpus;
  std::atomic<int> arrived{0};
  parallel_for(2, 1, 2, [&](std::int64_t, std::int64_t) {
    ++arrived;
    // Neither thread takes both parts; where no second one comes, the test fails and does not hang.
    for (int wait = 0; arrived < 2 && wait < 50'000; ++wait)
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    cpu_set_t set;
    if (std::this_thread::get_id() == caller || sched_getaffinity(0, sizeof(set), &set) != 0)
      return;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(static_cast<unsigned>(cpu), &set)) cpus.insert(cpu);
  });
  if (sched_getcpu() != *caller_cpu) cpus.clear();
  return cpus;
}

TEST(Parallel, WorkersKeepOffTheCpuOfTheCaller) {
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "one CPU";
  parallel_for(100, 1, 2, [](std::int64_t, std::int64_t) {});
  if (!workers_spin()) GTEST_SKIP() << "the pool has more threads than there are CPUs";
  const auto try_often = [] {
    std::set<int> cpus;
    int here = 0;
    for (int repeat = 0; repeat < 100 && cpus.empty(); ++repeat) cpus = cpus_of_worker(&here);
    return std::pair(cpus, here);
  };
  const auto [alone, here] = try_often();
  EXPECT_FALSE(alone.empty());
  EXPECT_EQ(alone.count(here), 0u);
  std::vector<std::unique_ptr<BesidePool>> beside;
  for (unsigned i = 0; i < std::thread::hardware_concurrency(); ++i)
    beside.push_back(std::make_unique<BesidePool>());
  const auto [shared, there] = try_often();
  EXPECT_EQ(shared.count(there), 1u) << "threads that must share CPUs may use each";
}

TEST(Parallel, DefaultThreadsComeFromTheEnvironmentOrTheMachine) {
  const char* old = std::getenv("FORNAX_NUM_THREADS");
  const std::string saved = old == nullptr ? "" : old;
  ::setenv("FORNAX_NUM_THREADS", "5", 1);
  EXPECT_EQ(default_threads(), 5);
  for (const char* wrong : {"0", "-3", "many", "4x", "99999"}) {
    ::setenv("FORNAX_NUM_THREADS", wrong, 1);
    EXPECT_THROW(default_threads(), Error) << wrong;
  }
  ::unsetenv("FORNAX_NUM_THREADS");
  EXPECT_GE(default_threads(), 1);
  if (!saved.empty()) ::setenv("FORNAX_NUM_THREADS", saved.c_str(), 1);
}

}  // namespace
}  // namespace fornax::host
