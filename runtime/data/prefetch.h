// A thread that prepares the next item while its caller uses the last one.
#pragma once
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "kernels/host/parallel.h"

namespace fornax {

/// Calls prepare(set) for set 0, 1, 0, ... one call ahead of next(). The two sets are the caller's:
/// prepare() fills one while what next() returned of the other is used. Used by one thread at a
/// time; its own thread joins in the destructor.
template <class Item>
class Prefetch {
 public:
  using Prepare = std::function<const Item*(int set)>;

  explicit Prefetch(Prepare prepare) : prepare_(std::move(prepare)), thread_([this] { loop(); }) {}
  ~Prefetch() {
    say(Order::stop);
    thread_.join();
  }
  Prefetch(const Prefetch&) = delete;
  Prefetch& operator=(const Prefetch&) = delete;

  /// What prepare() returned, after that call asked for the next item. What prepare() threw is
  /// thrown here; the item after it is asked for by the next call.
  const Item* next() {
    if (!asked_) ask();
    wait();
    asked_ = false;
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    const Item* item = item_;
    if (item) ask();
    return item;
  }

  /// Waits for the call under way and forgets its item: prepare() may then begin elsewhere.
  void forget() {
    if (!asked_) return;
    wait();
    asked_ = false, error_ = nullptr;
  }

 private:
  enum class Order { none, prepare, stop };

  void say(Order order) {
    {
      const std::lock_guard lock(mutex_);
      order_ = order;
    }
    changed_.notify_all();
  }
  void ask() {
    asked_ = true;
    say(Order::prepare);
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return order_ == Order::none; });
  }

  void loop() {
    for (int set = 0;; set = 1 - set) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return order_ != Order::none; });
        if (order_ == Order::stop) return;
      }
      try {
        item_ = prepare_(set);
      } catch (...) {
        error_ = std::current_exception();
      }
      const std::lock_guard lock(mutex_);
      if (order_ == Order::stop) return;
      order_ = Order::none;
      changed_.notify_all();
    }
  }

  Prepare prepare_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Order order_ = Order::none;       ///< guarded
  const Item* item_ = nullptr;      ///< of the side that `order_` names: thread or caller
  std::exception_ptr error_;        ///< likewise
  bool asked_ = false;              ///< the caller's
  const host::BesidePool counted_;  ///< the thread takes a CPU from the pool's spinning
  std::thread thread_;
};

}  // namespace fornax
