// Backend: the one view of a machine. It owns memory and runs recorded commands; it knows nothing
// of graphs or plans.
#pragma once
#include <fornax/device.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/op.h"

namespace fornax {

/// One entry of a step, with every address resolved. Commands of one stream run in order.
struct Command {
  enum class Kind : std::uint8_t { upload, launch, download, wait, signal };
  Kind kind = Kind::launch;
  int stream = 0;
  int event = -1;          ///< wait, signal
  int slot = -1;           ///< upload, download: which input or output of run()
  void* device = nullptr;  ///< upload, download
  std::int64_t bytes = 0;  ///< upload, download
  std::string name;        ///< launch: the kernel's, for traces and errors
  void (*launch)(const kernels::KernelArgs&) = nullptr;
  const host::RowKernel* by_rows = nullptr;  ///< launch: the same row by row, if it can be
  bool uses_step = true;                     ///< launch: it gets the StepState
  kernels::KernelArgs args;  ///< its spans point to memory that outlives the Sequence
};

/// A recorded step: everything is allocated, so a step allocates nothing. Steps run one after
/// another in the order of their submit(), also those of other Sequences of the Backend.
class Sequence {
 public:
  static constexpr int kSlots = 2;  ///< steps that may be under way at once

  virtual ~Sequence() = default;
  /// Begins a step; no step of that slot is under way. `step` goes up first; inputs and outputs are
  /// host addresses by Command::slot. Inputs are read before it returns. wait() fills the outputs,
  /// and bad_index and bad_value of `step`: both stay where they are until then.
  virtual void submit(int slot, kernels::StepState& step, std::span<const void* const> inputs,
                      std::span<void* const> outputs) = 0;
  /// Returns when the slot's step has ended and its results are there. Once for a submit().
  virtual void wait(int slot) = 0;

  void run(kernels::StepState& step, std::span<const void* const> inputs,
           std::span<void* const> outputs) {
    submit(0, step, inputs, outputs);
    wait(0);
  }
};

struct RecordOptions {
  int streams = 1, events = 0;
  bool capture = true;              ///< replay one captured graph a step where the device can
  std::span<std::byte> arena = {};  ///< memory of the commands that holds nothing between steps
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const kernels::DeviceModel& model() const noexcept = 0;
  /// The dtype that stands for `dtype` here (f64 for f32 on the f64 reference).
  virtual DType storage(DType dtype) const noexcept { return dtype; }

  /// 256-byte aligned device memory, zero-filled. Throws Error{out_of_memory}.
  virtual void* allocate(std::int64_t bytes) = 0;
  virtual void deallocate(void* memory, std::int64_t bytes) noexcept = 0;
  /// Copies that are complete on return, and come after every step submitted before.
  virtual void upload(void* to, const void* from, std::int64_t bytes) = 0;
  virtual void download(void* to, const void* from, std::int64_t bytes) = 0;

  virtual std::unique_ptr<Sequence> record(std::vector<Command> commands,
                                           const RecordOptions& options) = 0;
};

/// A backend's memory, freed with its owner. Move-only.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  DeviceMemory(std::shared_ptr<Backend> backend, std::int64_t bytes)
      : backend_(std::move(backend)), bytes_(bytes), memory_(backend_->allocate(bytes)) {}
  DeviceMemory(DeviceMemory&& other) noexcept { swap(other); }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    swap(other);
    return *this;
  }
  ~DeviceMemory() {
    if (memory_) backend_->deallocate(memory_, bytes_);
  }
  void* get() const noexcept { return memory_; }
  std::int64_t bytes() const noexcept { return bytes_; }

 private:
  void swap(DeviceMemory& other) noexcept {
    std::swap(backend_, other.backend_), std::swap(bytes_, other.bytes_);
    std::swap(memory_, other.memory_);
  }
  std::shared_ptr<Backend> backend_;
  std::int64_t bytes_ = 0;
  void* memory_ = nullptr;
};

/// The backend of a device; one object per State. Throws Error{unsupported} saying what is missing.
std::shared_ptr<Backend> open_backend(const Device& device);

/// The CPU and reference backends.
std::shared_ptr<Backend> open_host_backend(const Device& device);

}  // namespace fornax
