// A recorded step on a driver's streams: enqueued command by command, or captured once and replayed
// as one graph. Both go through the same enqueue(). What a step gets from the host is staged one
// step ahead: docs/streams.md.
#pragma once
#include <array>

#include "runtime/cuda/driver.h"
#include "runtime/device/backend.h"
#include "runtime/memory/pool.h"

namespace fornax::cuda {

/// Streams of a backend that its Sequences share; they outlive its pool.
struct BackendStreams {
  Stream compute = nullptr;  ///< steps, in order; to the pool every block's last use is here
  Stream copy = nullptr;     ///< uploads of the steps to come
};

class CudaSequence final : public Sequence {
 public:
  CudaSequence(std::shared_ptr<Driver> driver, memory::Pool& pool, const BackendStreams& streams,
               std::vector<Command> commands, const RecordOptions& options);
  /// Waits for the steps under way.
  ~CudaSequence() override;
  CudaSequence(const CudaSequence&) = delete;
  CudaSequence& operator=(const CudaSequence&) = delete;

  void submit(int slot, kernels::StepState& step, std::span<const void* const> inputs,
              std::span<void* const> outputs) override;
  void wait(int slot) override;

 private:
  /// Where a command's launches go: its stream, or nowhere while kernels are only loaded.
  struct Context {
    Driver* driver = nullptr;
    bool loading = false;
  };
  /// One command with what its enqueueing needs, made at record().
  struct Entry {
    Command command;
    std::int64_t staged_at = 0;    ///< upload, download: bytes from the start of a Slot's staging
    std::vector<Access> accesses;  ///< launch; the last ones are the StepState's
  };
  /// Staging of one step under way. In pinned memory: StepState and inputs, which one copy takes to
  /// `device`; then the flags and outputs that come back.
  struct Slot {
    PinnedMemory pinned;
    std::byte* device = nullptr;  ///< the StepState that kernels see, then inputs
    OwnedEvent uploaded, done;
    OwnedGraphExec graph;
    kernels::StepState* step = nullptr;  ///< of the step under way
    std::span<void* const> outputs;
  };

  static const device::LaunchTable& launch_table();
  static void launch(const device::Queue&, const device::KernelLaunch&);
  static void fill_zero(const device::Queue&, void* to, std::size_t bytes);
  static void copy(const device::Queue&, void* to, const void* from, std::size_t bytes);

  void make_streams(const RecordOptions& options);
  void place_staging();
  void make_slots();
  void prepare_launches();
  void load_kernels();
  void capture(Slot& slot);
  void enqueue(Slot& slot);
  void enqueue(Entry& entry, Slot& slot);
  void enqueue_launch(Entry& entry, Slot& slot);
  void fork();
  void join();
  void touch(const void* address, std::int64_t bytes, Access::Kind kind);
  Stream stream(int index) const { return streams_[static_cast<std::size_t>(index)]; }
  static std::byte* pinned(const Slot& slot) { return static_cast<std::byte*>(slot.pinned.get()); }

  std::shared_ptr<Driver> driver_;
  memory::Pool& pool_;
  BackendStreams backend_;
  Context context_;
  std::vector<Entry> entries_;
  std::vector<OwnedStream> owned_streams_;
  std::vector<Stream> streams_;  ///< by Command::stream; the first is captured or the backend's
  std::vector<OwnedEvent> events_, joins_;
  OwnedEvent forked_;
  std::int64_t upload_bytes_ = 0, staging_bytes_ = 0;  ///< of a Slot: to the device; all of it
  void* staged_ = nullptr;                             ///< device memory of all slots
  std::array<Slot, kSlots> slots_;
};

}  // namespace fornax::cuda
