// Checked driver calls, and owners of what a driver makes. The first sticky error is kept: every
// later call throws it again, and destructors then leave the broken device alone.
#pragma once
#include <string>
#include <string_view>
#include <utility>

#include "runtime/cuda/driver_table.h"

namespace fornax::cuda {

class Driver {
 public:
  explicit Driver(DriverCalls calls) : calls_(std::move(calls)) {}
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  /// table.*entry(state, arguments...). Throws Error: out_of_memory, unsupported (no code for the
  /// architecture, no device, old driver) or device, naming the call.
  template <class... P, class... A>
  void call(const char* what, Status (*DriverTable::*entry)(DriverState&, P...), A&&... arguments) {
    if (broken()) throw_first();
    check(what, (calls_.table.*entry)(*calls_.state, std::forward<A>(arguments)...));
  }
  /// The same for destructors: does nothing on a broken device, throws nothing.
  template <class... P, class... A>
  void release(Status (*DriverTable::*entry)(DriverState&, P...), A&&... arguments) noexcept {
    if (!broken()) keep("a release", (calls_.table.*entry)(*calls_.state, arguments...));
  }

  const DriverTable& table() const noexcept { return calls_.table; }
  DriverState& state() noexcept { return *calls_.state; }
  bool broken() const noexcept { return !first_.empty(); }
  void push_range(const char* name) { calls_.table.range_push(*calls_.state, name); }
  void pop_range() { calls_.table.range_pop(*calls_.state); }

 private:
  void check(const char* what, Status status);
  std::string describe(const char* what, Status status);
  void keep(const char* what, Status status) noexcept;
  [[noreturn]] void throw_first() const;

  DriverCalls calls_;
  std::string first_;  ///< message of the first sticky error
};

/// Whether a device that returned this can go on.
bool sticky(Status status) noexcept;

/// Owns one handle of a driver: made by Create, freed by Destroy. Move-only.
template <class Handle, auto Destroy>
class Owned {
 public:
  Owned() = default;
  Owned(std::shared_ptr<Driver> driver, Handle handle)
      : driver_(std::move(driver)), handle_(handle) {}
  Owned(Owned&& other) noexcept
      : driver_(std::move(other.driver_)), handle_(std::exchange(other.handle_, nullptr)) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(driver_, other.driver_), std::swap(handle_, other.handle_);
    return *this;
  }
  ~Owned() {
    if (handle_) driver_->release(Destroy, handle_);
  }
  Handle get() const noexcept { return handle_; }

 private:
  std::shared_ptr<Driver> driver_;
  Handle handle_ = nullptr;
};
using OwnedStream = Owned<Stream, &DriverTable::stream_destroy>;
using OwnedEvent = Owned<Event, &DriverTable::event_destroy>;
using OwnedGraph = Owned<Graph, &DriverTable::graph_destroy>;
using OwnedGraphExec = Owned<GraphExec, &DriverTable::graph_exec_destroy>;
using PinnedMemory = Owned<void*, &DriverTable::deallocate_pinned>;

OwnedStream make_stream(const std::shared_ptr<Driver>& driver, int priority = 0);
OwnedEvent make_event(const std::shared_ptr<Driver>& driver);
PinnedMemory make_pinned(const std::shared_ptr<Driver>& driver, std::int64_t bytes);

}  // namespace fornax::cuda
