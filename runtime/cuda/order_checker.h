// Order of accesses by vector clocks: every pair of conflicting accesses must be ordered by a
// stream, an event, a graph edge or a wait of the host (Lamport 1978; Mattern 1989).
#pragma once
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/cuda/stream_machine.h"

namespace fornax::cuda {

class OrderChecker final : public Observer {
 public:
  void enqueued(const StreamState& stream, const Operation& operation) override;
  void synchronized(const StreamState& stream) override;
  void synchronized(const EventState& event) override;
  /// The host touches memory: conflicts with all work that it has not waited for.
  void touched_by_host(const Access& access);
  /// The bytes were freed: what touched them is forgotten.
  void forget(const void* address, std::int64_t bytes);

  /// One line per pair of names: "WRITER writes, then READER reads 0x... (N bytes) unordered".
  const std::vector<std::string>& faults() const noexcept { return faults_; }
  void clear_faults() { faults_.clear(), reported_.clear(); }

 private:
  using Clock = std::vector<std::uint32_t>;  ///< by line of execution; missing entries are 0
  struct Epoch {
    std::size_t line = 0;
    std::uint32_t count = 0;
    Access::Kind kind = Access::Kind::read;
    std::string name;
  };
  /// Since the last ordered write: that write, and what came after it.
  struct Segment {
    std::uintptr_t end = 0;
    std::vector<Epoch> epochs;
  };
  using Segments = std::map<std::uintptr_t, Segment>;  ///< by first byte; they do not overlap

  Clock& clock_of(const StreamState& stream);
  std::size_t line_of(const void* owner, int lane);
  void access(const Access& access, const Epoch& now, const Clock& clock);
  void touch(Segment& segment, const Access& access, const Epoch& now, const Clock& clock);
  void split(std::uintptr_t at);
  void report(const Epoch& before, const Epoch& now, const Access& access);
  void run_graph(const GraphState& graph, Clock& clock);

  std::map<std::pair<const void*, int>, std::size_t> lines_;
  std::unordered_map<int, Clock> streams_;
  std::map<std::pair<int, std::uint64_t>, Clock> events_;  ///< by event and recording
  std::unordered_map<int, std::uint64_t> latest_;          ///< recording of an event
  std::unordered_map<const GraphState*, Clock> graphs_;    ///< end of its last launch
  Clock host_;
  Segments segments_;
  std::vector<std::string> faults_;
  std::map<std::string, int> reported_;
};

}  // namespace fornax::cuda
