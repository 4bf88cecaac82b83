// The one thread pool of the process and how kernels share work over it.
#pragma once
#include <cstdint>
#include <type_traits>

namespace fornax::host {

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
