// The CUDA backend: a device's memory pool, its copies, and recorded steps; any filling of the
// driver table serves. One thread at a time uses it.
#pragma once
#include "runtime/cuda/device_memory.h"
#include "runtime/cuda/driver.h"
#include "runtime/cuda/step_transfers.h"
#include "runtime/device/backend.h"

namespace fornax::cuda {

struct BackendOptions {
  std::string module = "cuda";                   ///< DeviceModel::module
  int device = 0;                                ///< which one of the driver's
  std::int64_t memory_limit_bytes = 0;           ///< most that the pool reserves; 0: no limit
  std::int64_t transfer_bytes = kTransferBytes;  ///< of a step's inputs that a kernel takes
};

class CudaBackend final : public Backend {
 public:
  /// Throws Error{unsupported} when the driver is too old or has no device of that number.
  CudaBackend(DriverCalls calls, const BackendOptions& options);
  ~CudaBackend() override;

  const kernels::DeviceModel& model() const noexcept override { return model_; }
  void* allocate(std::int64_t bytes) override;
  void deallocate(void* memory, std::int64_t bytes) noexcept override;
  void upload(void* to, const void* from, std::int64_t bytes) override;
  void download(void* to, const void* from, std::int64_t bytes) override;
  /// With options.capture the commands are captured, without running, and a step replays them as
  /// one graph. Without, a step enqueues the same commands again. Both load every kernel now.
  std::unique_ptr<Sequence> record(std::vector<Command> commands,
                                   const RecordOptions& options) override;

  memory::PoolStatistics memory_statistics() const { return pool_.statistics(); }

 private:
  std::shared_ptr<Driver> driver_;
  kernels::DeviceModel model_;
  OwnedStream stream_;       ///< of allocations, uploads, downloads and every Sequence's steps
  OwnedStream copy_stream_;  ///< of a step's large inputs
  DriverMemory upstream_;
  memory::Pool pool_;
  std::int64_t transfer_bytes_;
};

}  // namespace fornax::cuda
