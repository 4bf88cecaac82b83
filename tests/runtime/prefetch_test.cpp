// A thread that prepares one item ahead: order, ends, errors, what is forgotten.
#include "runtime/data/prefetch.h"

#include <fornax/error.h>
#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

namespace fornax {
namespace {

/// Numbers 0 to end - 1 in two sets.
class Numbers {
 public:
  explicit Numbers(int end) : end_(end) {}
  const int* prepare(int set) {
    ++calls;
    if (number == end_) return nullptr;
    if (number == throws_at) {
      ++number;
      throw std::runtime_error("number " + std::to_string(number - 1));
    }
    sets_[set] = number++;
    return &sets_[set];
  }

  std::atomic<int> calls{0};
  int number = 0, throws_at = -1;

 private:
  int end_;
  int sets_[2] = {};
};

TEST(Prefetch, GivesEveryItemInOrderAndKeepsTheLastOne) {
  Numbers numbers(1000);
  Prefetch<int> prefetch([&](int set) { return numbers.prepare(set); });
  for (int i = 0; i < 1000; ++i) {
    const int* item = prefetch.next();
    ASSERT_NE(item, nullptr);
    while (numbers.calls < i + 2) std::this_thread::yield();  // the next one is asked for already
    ASSERT_EQ(*item, i);
  }
  EXPECT_EQ(prefetch.next(), nullptr);
  EXPECT_EQ(prefetch.next(), nullptr) << "asked again, for there may be more by now";
}

TEST(Prefetch, ThrowsTheThreadsErrorAndGoesOn) {
  Numbers numbers(5);
  numbers.throws_at = 2;
  Prefetch<int> prefetch([&](int set) { return numbers.prepare(set); });
  EXPECT_EQ(*prefetch.next(), 0);
  EXPECT_EQ(*prefetch.next(), 1);
  try {
    prefetch.next();
    FAIL() << "the error was lost";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "number 2");
  }
  EXPECT_EQ(*prefetch.next(), 3);
}

TEST(Prefetch, ForgetsWhatWasPrepared) {
  Numbers numbers(100);
  Prefetch<int> prefetch([&](int set) { return numbers.prepare(set); });
  prefetch.forget();
  EXPECT_EQ(*prefetch.next(), 0);
  prefetch.forget();
  numbers.number = 50, numbers.throws_at = 52;  // no call is under way
  EXPECT_EQ(*prefetch.next(), 50);
  EXPECT_EQ(*prefetch.next(), 51);
  prefetch.forget();  // an error, too
  EXPECT_EQ(*prefetch.next(), 53);
}

TEST(Prefetch, EndsWithAnItemUnderWayOrNeverAsked) {
  Numbers numbers(100);
  for (int i = 0; i < 50; ++i) {
    Prefetch<int> prefetch([&](int set) { return numbers.prepare(set); });
    if (i % 2) prefetch.next();
  }
  EXPECT_GE(numbers.calls, 25);
}

}  // namespace
}  // namespace fornax
