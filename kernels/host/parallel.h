// The one thread pool of the process and how kernels share work over it.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <type_traits>

namespace fornax::host {

struct ShareRange {
  std::int64_t begin, end;
  bool empty() const { return begin >= end; }
};

/// Hands [0, count) out in whole grains to `threads` threads that come for more. Each has a home,
/// an equal share that is the same for every call with the same count, so that what it wrote lies
/// in its caches when the next kernel comes for it; it takes half of what is left of it each time.
/// Whose home is empty takes from the end of the fullest: parts shrink, and a late thread keeps the
/// others waiting for a small one only. Sources: Polychronopoulos, Kuck 1987
/// (doi:10.1109/TC.1987.5009495); Markatos, LeBlanc 1994 (doi:10.1109/71.273046).
class GuidedShares {
 public:
  GuidedShares(std::int64_t count, std::int64_t grain, int threads);
  /// For the thread of that number, below `threads`. Empty when nothing is left.
  ShareRange next(int thread);
  /// The longest range that next() gives.
  static std::int64_t most(std::int64_t count, std::int64_t grain, int threads);

 private:
  static constexpr int kMostHomes = 64;  // more threads than that share them
  struct alignas(64) Home {
    std::atomic<std::uint64_t> left;  ///< grains [low half, high half)
  };
  int fullest() const;

  const std::int64_t count_, grain_;
  const int homes_;
  Home home_[kMostHomes];
};

/// Calls body(context, begin, end) for parts of [0, count) on at most `threads` threads, the caller
/// among them, and returns when all are done. Parts are multiples of `grain` (the last may be
/// short). Runs inline when threads <= 1 or count <= grain, and when called from inside a part.
/// Allocates nothing after the pool has grown. Which thread runs a part never shows in a result:
/// kernels split outputs, never sums. An exception of a part is rethrown here.
void parallel_for(std::int64_t count, std::int64_t grain, int threads, void* context,
                  void (*body)(void* context, std::int64_t begin, std::int64_t end));

/// The same for a callable body(begin, end), kept on the caller's stack.
template <class Body>
void parallel_for(std::int64_t count, std::int64_t grain, int threads, Body&& body) {
  parallel_for(count, grain, threads, &body,
               [](void* context, std::int64_t begin, std::int64_t end) {
                 (*static_cast<std::remove_reference_t<Body>*>(context))(begin, end);
               });
}

/// While it lives, a thread of the library works beside the pool, such as a loader's. It counts as
/// one of the threads: workers spin before they sleep only where all have a CPU each.
class BesidePool {
 public:
  BesidePool();
  ~BesidePool();
  BesidePool(const BesidePool&) = delete;
  BesidePool& operator=(const BesidePool&) = delete;
};

/// Whether workers spin before they sleep; as of the last change of their number or of those
/// beside.
bool workers_spin();

/// FORNAX_NUM_THREADS, else the number of CPUs this process may run on.
int default_threads();

}  // namespace fornax::host
