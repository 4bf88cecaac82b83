// Backend: the one view of a machine. It owns memory and runs plans.
#pragma once
#include <fornax/device.h>

#include <memory>
#include <span>

#include "runtime/execution/plan.h"

namespace fornax {

/// A plan bound to addresses: everything is allocated, so run() allocates nothing.
class Executable {
 public:
  virtual ~Executable() = default;
  /// Runs one step. `step` is uploaded first; inputs and outputs are host addresses in the order of
  /// Plan::inputs and Plan::outputs. Writes bad_index and bad_value of the device back to `step`.
  virtual void run(kernels::StepState& step, std::span<const void* const> inputs,
                   std::span<void* const> outputs) = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const kernels::DeviceModel& model() const noexcept = 0;
  /// The dtype that stands for `dtype` on this backend (f64 for f32 on the f64 reference).
  virtual DType storage(DType dtype) const noexcept { return dtype; }

  /// 256-byte aligned device memory, zero-filled. Throws Error{out_of_memory}.
  virtual void* allocate(std::int64_t bytes) = 0;
  virtual void deallocate(void* memory, std::int64_t bytes) noexcept = 0;
  /// Copies that are complete on return.
  virtual void upload(void* to, const void* from, std::int64_t bytes) = 0;
  virtual void download(void* to, const void* from, std::int64_t bytes) = 0;

  /// `state` has, by value id of plan.graph, the address of each parameter and state value.
  /// `capture`: replay one captured graph a step where the device can.
  virtual std::unique_ptr<Executable> bind(std::shared_ptr<const Plan> plan,
                                           std::vector<void*> state, bool capture) = 0;
};

/// The backend of a device; one object per State. Throws Error{unsupported} saying what is missing.
std::shared_ptr<Backend> open_backend(const Device& device);

}  // namespace fornax
