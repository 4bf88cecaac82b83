// A recorded step on a driver's streams: enqueued command by command, or captured once and replayed
// as one graph. Both go through the same enqueue(). What a step takes from the host is staged one
// step ahead: docs/streams.md.
#pragma once
#include <array>

#include "kernels/device/transfer.h"
#include "runtime/cuda/driver.h"
#include "runtime/cuda/step_transfers.h"
#include "runtime/device/backend.h"
#include "runtime/memory/pool.h"

namespace fornax::cuda {

/// What a backend's Sequences share; the streams outlive its pool.
struct BackendStreams {
  Stream compute = nullptr;  ///< steps, in order; to the pool every block's last use is here
  Stream copy = nullptr;     ///< large uploads of the steps to come
  std::int64_t transfer_bytes = kTransferBytes;  ///< place_transfers()
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
    StepTransfers::Place staged;   ///< upload, download: in a Slot's pinned memory
    std::vector<Access> accesses;  ///< launch; the last ones are the StepState's
  };
  /// What one kernel moves, and what that touches.
  struct Transfers {
    std::vector<device::Transfer> list;
    std::vector<Access> accesses;
    void add(void* to, const void* from, std::int64_t bytes);
  };
  /// Staging of one step under way.
  struct Slot {
    PinnedMemory pinned;          ///< as StepTransfers says
    std::byte* device = nullptr;  ///< the StepState that kernels see, then large inputs
    Transfers taken, given;       ///< by the step's first kernel and its last
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
  void make_slots();
  void prepare_transfers(Slot& slot);
  void prepare_launches();
  void load_kernels();
  void capture(Slot& slot);
  void enqueue(Slot& slot);
  void enqueue(Entry& entry, Slot& slot);
  void enqueue_launch(Entry& entry, Slot& slot);
  void enqueue_transfers(const char* name, const Transfers& transfers);
  void upload(Slot& slot, std::span<const void* const> inputs);
  std::int64_t send(Slot& slot, std::int64_t from, std::int64_t end);
  void copy_on_host(void* to, const void* from, std::int64_t bytes) const;
  void fork();
  void join();
  void touch(const void* address, std::int64_t bytes, Access::Kind kind);
  Stream stream(int index) const { return streams_[static_cast<std::size_t>(index)]; }
  static std::byte* pinned(const Slot& slot) { return static_cast<std::byte*>(slot.pinned.get()); }
  /// Of a large input at `at` in pinned memory.
  std::byte* on_device(const Slot& slot, std::int64_t at) const {
    return slot.device + padded(sizeof(kernels::StepState)) + (at - transfers_.copied_at);
  }
  std::int64_t device_bytes() const {
    return padded(sizeof(kernels::StepState)) + transfers_.copied_end - transfers_.copied_at;
  }

  std::shared_ptr<Driver> driver_;
  memory::Pool& pool_;
  BackendStreams backend_;
  Context context_;
  std::vector<Entry> entries_;
  bool uses_step_ = false;  ///< some launch does
  std::vector<OwnedStream> owned_streams_;
  std::vector<Stream> streams_;  ///< by Command::stream; the first is captured or the backend's
  std::vector<OwnedEvent> events_, joins_;
  OwnedEvent forked_;
  StepTransfers transfers_;
  int threads_;             ///< that copy large inputs and outputs on the host
  void* staged_ = nullptr;  ///< device memory of all slots
  std::array<Slot, kSlots> slots_;
};

}  // namespace fornax::cuda
