// A recorded step on a driver's streams: enqueued command by command, or captured once and replayed
// as one graph. Both go through the same enqueue().
#pragma once
#include "runtime/cuda/driver.h"
#include "runtime/device/backend.h"
#include "runtime/memory/pool.h"

namespace fornax::cuda {

class CudaSequence final : public Sequence {
 public:
  /// `pool_stream` outlives the pool: a block's last use is on it, as far as the pool knows.
  CudaSequence(std::shared_ptr<Driver> driver, memory::Pool& pool, Stream pool_stream,
               std::vector<Command> commands, const RecordOptions& options);
  ~CudaSequence() override;
  CudaSequence(const CudaSequence&) = delete;
  CudaSequence& operator=(const CudaSequence&) = delete;

  void run(kernels::StepState& step, std::span<const void* const> inputs,
           std::span<void* const> outputs) override;

 private:
  /// Where a command's launches go: its stream, or nowhere while kernels are only loaded.
  struct Context {
    Driver* driver = nullptr;
    bool loading = false;
  };
  /// One command with what its enqueueing needs, made at record().
  struct Entry {
    Command command;
    void* staging = nullptr;       ///< upload, download: pinned
    std::vector<Access> accesses;  ///< launch
  };

  static const device::LaunchTable& launch_table();
  static void launch(const device::Queue&, const device::KernelLaunch&);
  static void fill_zero(const device::Queue&, void* to, std::size_t bytes);
  static void copy(const device::Queue&, void* to, const void* from, std::size_t bytes);

  void plan_staging();
  void list_accesses(Entry& entry) const;
  void load_kernels();
  void capture();
  void enqueue();
  void enqueue(Entry& entry);
  void fork();
  void join();
  Stream stream(int index) const { return streams_[static_cast<std::size_t>(index)].get(); }
  std::byte* pinned() const { return static_cast<std::byte*>(pinned_.get()); }

  std::shared_ptr<Driver> driver_;
  memory::Pool& pool_;
  Stream pool_stream_;
  Context context_;
  std::vector<Entry> entries_;
  std::vector<OwnedStream> streams_;
  std::vector<OwnedEvent> events_, joins_;
  OwnedEvent forked_, done_;
  kernels::StepState* step_ = nullptr;  ///< device memory
  PinnedMemory pinned_;                 ///< StepState, then inputs and outputs
  OwnedGraphExec graph_;
};

}  // namespace fornax::cuda
