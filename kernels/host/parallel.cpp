// The one thread pool of the process. A call hands its job to workers, each through one atomic
// word, works along, takes the job back from workers that have not begun, and waits for the others.
#include "kernels/host/parallel.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "kernels/host/float_environment.h"
#include "runtime/support/environment.h"

namespace fornax::host {
namespace {

constexpr int kMaxThreads = 1024;
constexpr std::int64_t kMostGrains = std::int64_t{1} << 31;  // of GuidedShares
constexpr int kSpins = 2000;  // about 50 us; then the thread yields to any other that waits,
constexpr auto kYields = std::chrono::microseconds(400);  // then it sleeps
thread_local bool inside_part = false;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

int cpus_of_process() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

constexpr int kNoCpu = -1;

/// Lets a thread run on every CPU of the caller's but `cpu`. A scheduler that wakes a thread beside
/// the one that woke it leaves it waiting there as long as that one works: seen on a virtual
/// machine whose second CPU stayed idle through calls of 2 ms.
void keep_off(std::thread& thread, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return;
  if (cpu != kNoCpu) CPU_CLR(static_cast<unsigned>(cpu), &set);
  if (CPU_COUNT(&set) > 0) pthread_setaffinity_np(thread.native_handle(), sizeof(set), &set);
}

/// Grains [begin, end) as one word, so that both ends change at once.
struct Grains {
  std::uint32_t begin, end;
  explicit Grains(std::uint64_t word)
      : begin(static_cast<std::uint32_t>(word)), end(static_cast<std::uint32_t>(word >> 32)) {}
  Grains(std::int64_t from, std::int64_t to)
      : begin(static_cast<std::uint32_t>(from)), end(static_cast<std::uint32_t>(to)) {}
  std::uint64_t word() const { return std::uint64_t{end} << 32 | begin; }
  std::int64_t count() const { return std::int64_t{end} - begin; }
};

struct Job {
  GuidedShares shares;
  void* context;
  void (*body)(void*, std::int64_t, std::int64_t);
  std::atomic<bool> failed{false};
  std::exception_ptr error{};  // written by the one that set `failed`, read after all are done

  void run(int thread) {
    inside_part = true;
    for (;;) {
      const ShareRange part = shares.next(thread);
      if (part.empty() || failed.load(std::memory_order_relaxed)) break;
      try {
        body(context, part.begin, part.end);
      } catch (...) {
        if (!failed.exchange(true, std::memory_order_relaxed)) error = std::current_exception();
      }
    }
    inside_part = false;
  }
};

/// One thread and the word through which it gets jobs. idle -> assigned (caller) -> running
/// (worker)
/// -> idle (worker), or assigned -> idle when the caller takes the job back.
class alignas(64) Worker {
 public:
  Worker(int thread, const std::atomic<bool>& may_spin) : number_(thread), may_spin_(may_spin) {
    thread_ = std::thread([this] { loop(); });
  }
  ~Worker() {
    state_.store(kStop, std::memory_order_release);
    state_.notify_one();
    thread_.join();
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// `here`: the CPU of the caller. Where threads must share CPUs, every thread may use each.
  void assign(Job* job, int here) {
    job_ = job;
    const int off = may_spin_.load(std::memory_order_relaxed) ? here : kNoCpu;
    if (kept_off_ != off) keep_off(thread_, off);
    kept_off_ = off;
    state_.store(kAssigned, std::memory_order_release);
    state_.notify_one();
  }
  /// Returns when the worker has nothing to do with the job any more.
  void finish() {
    int expected = kAssigned;
    if (state_.compare_exchange_strong(expected, kIdle, std::memory_order_acquire)) return;
    wait_while(kRunning);
  }

 private:
  enum : int { kIdle, kAssigned, kRunning, kStop };

  /// Whether the state is another one before the thread has spun for long enough to sleep.
  bool spin_while(int value) {
    for (int i = 0; i < kSpins; ++i) {
      if (state_.load(std::memory_order_acquire) != value) return true;
      pause();
    }
    const auto end = std::chrono::steady_clock::now() + kYields;
    while (std::chrono::steady_clock::now() < end) {
      if (state_.load(std::memory_order_acquire) != value) return true;
      sched_yield();
    }
    return false;
  }
  void wait_while(int value) {
    if (may_spin_.load(std::memory_order_relaxed) && spin_while(value)) return;
    while (state_.load(std::memory_order_acquire) == value)
      state_.wait(value, std::memory_order_acquire);
  }
  void loop() {
    const ExactFloatScope exact;
    for (;;) {
      wait_while(kIdle);
      int expected = kAssigned;
      if (state_.compare_exchange_strong(expected, kRunning, std::memory_order_acquire)) {
        job_->run(number_);
        state_.store(kIdle, std::memory_order_release);
        state_.notify_one();
      } else if (expected == kStop) {
        return;
      }
    }
  }

  const int number_;  ///< among the threads of a job; the caller's is 0
  const std::atomic<bool>& may_spin_;
  std::atomic<int> state_{kIdle};
  Job* job_ = nullptr;
  int kept_off_ = kNoCpu;  ///< the CPU that the thread may not run on
  std::thread thread_;
};

class Pool {
 public:
  /// False when another thread has the pool: the caller then works alone.
  bool run(Job& job, int threads) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock()) return false;
    const auto helpers = static_cast<std::size_t>(threads - 1);
    grow(helpers);
    const std::size_t used = std::min(helpers, workers_.size());
    const int here = sched_getcpu();
    for (std::size_t i = 0; i < used; ++i) workers_[i]->assign(&job, here);
    job.run(0);
    for (std::size_t i = 0; i < used; ++i) workers_[i]->finish();
    return true;
  }

  /// Threads that work beside the pool come or go.
  void count_beside(int change) {
    const std::lock_guard lock(mutex_);
    beside_ += change;
    decide_spinning(workers_.size());
  }
  bool may_spin() const { return may_spin_.load(std::memory_order_relaxed); }

 private:
  /// With the caller and those beside, no thread must lack a CPU.
  void decide_spinning(std::size_t workers) {
    may_spin_.store(static_cast<int>(workers) + beside_ < cpus_of_process(),
                    std::memory_order_relaxed);
  }
  void grow(std::size_t wanted) {
    if (workers_.size() >= wanted) return;
    decide_spinning(wanted);
    try {
      workers_.reserve(wanted);
      while (workers_.size() < wanted)
        workers_.push_back(
            std::make_unique<Worker>(static_cast<int>(workers_.size()) + 1, may_spin_));
    } catch (const std::system_error&) {
      // The system gives no more threads: those that are there share the parts.
    }
  }

  std::mutex mutex_;
  std::atomic<bool> may_spin_{true};
  int beside_ = 0;
  std::vector<std::unique_ptr<Worker>> workers_;
};

/// Owns the pool. A forked child has none of its threads: it leaves the old pool alone, gets a new
/// one.
class PoolOwner {
 public:
  PoolOwner() : pool_(new Pool) {
    pthread_atfork(nullptr, nullptr, [] { owner().pool_ = new Pool; });
  }
  ~PoolOwner() { delete pool_; }
  PoolOwner(const PoolOwner&) = delete;
  PoolOwner& operator=(const PoolOwner&) = delete;
  static PoolOwner& owner() {
    static PoolOwner only;
    return only;
  }
  Pool& pool() { return *pool_; }

 private:
  Pool* pool_;
};

}  // namespace

std::int64_t GuidedShares::most(std::int64_t count, std::int64_t grain, int threads) {
  if (threads <= 1) return count;
  const std::int64_t grains = (count - 1) / grain + 1;
  const std::int64_t home = (grains - 1) / std::min(threads, kMostHomes) + 1;
  return std::max<std::int64_t>(home / 2, 1) * grain;
}

GuidedShares::GuidedShares(std::int64_t count, std::int64_t grain, int threads)
    : count_(count),
      grain_(grain * (count / grain / kMostGrains + 1)),
      homes_(std::clamp(threads, 1, kMostHomes)) {
  const std::int64_t grains = (count + grain_ - 1) / grain_;
  for (int h = 0; h < homes_; ++h)
    home_[h].left.store(Grains(grains * h / homes_, grains * (h + 1) / homes_).word(),
                        std::memory_order_relaxed);
}

int GuidedShares::fullest() const {
  int found = -1;
  std::int64_t most = 0;
  for (int h = 0; h < homes_; ++h) {
    const std::int64_t left = Grains(home_[h].left.load(std::memory_order_relaxed)).count();
    if (left > most) most = left, found = h;
  }
  return found;
}

ShareRange GuidedShares::next(int thread) {
  const int own = thread % homes_;
  for (int h = own; h >= 0; h = fullest()) {
    std::uint64_t word = home_[h].left.load(std::memory_order_relaxed);
    const Grains left(word);
    if (left.count() == 0) continue;
    const std::int64_t share = homes_ == 1 ? left.count() : left.count() / (h == own ? 2 : 4);
    const std::int64_t taken = std::max<std::int64_t>(share, 1);
    const Grains part =
        h == own ? Grains(left.begin, left.begin + taken) : Grains(left.end - taken, left.end);
    const Grains rest = h == own ? Grains(part.end, left.end) : Grains(left.begin, part.begin);
    if (home_[h].left.compare_exchange_strong(word, rest.word(), std::memory_order_relaxed))
      return {part.begin * grain_, std::min(count_, part.end * grain_)};
  }
  return {count_, count_};
}

void parallel_for(std::int64_t count, std::int64_t grain, int threads, void* context,
                  void (*body)(void* context, std::int64_t begin, std::int64_t end)) {
  if (count <= 0) return;
  grain = std::max<std::int64_t>(grain, 1);
  const std::int64_t grains = (count - 1) / grain + 1;
  threads = static_cast<int>(std::min<std::int64_t>({threads, grains, kMaxThreads}));
  if (threads <= 1 || inside_part) return body(context, 0, count);
  Job job{{count, grain, threads}, context, body};
  if (!PoolOwner::owner().pool().run(job, threads)) return body(context, 0, count);
  if (job.error) std::rethrow_exception(job.error);
}

BesidePool::BesidePool() { PoolOwner::owner().pool().count_beside(1); }
BesidePool::~BesidePool() { PoolOwner::owner().pool().count_beside(-1); }
bool workers_spin() { return PoolOwner::owner().pool().may_spin(); }

int default_threads() {
  const auto wanted = environment_integer("FORNAX_NUM_THREADS", 1, kMaxThreads);
  return wanted ? static_cast<int>(*wanted) : std::min(cpus_of_process(), kMaxThreads);
}

}  // namespace fornax::host
