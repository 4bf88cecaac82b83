// The first CUDA device, for tests that run kernels of libfornax_cuda there.
#pragma once
#include <memory>

#include "runtime/device/backend.h"
#include "tests/kernels/reference_run.h"

namespace fornax {

/// Null where libfornax_cuda is not built (FORNAX_MODULE_DIR says where), or finds no driver or no
/// device. Opened once.
const std::shared_ptr<Backend>& card();

/// A launch whose operands are in host memory.
struct HostLaunch {
  const kernels::Kernel& kernel;
  const kernels::KernelArgs& args;
  const NodeOperands& operands;  ///< own the memory of args.in and args.out
  GuardedMemory& workspace;
};

/// Takes every memory of the operands and the workspace to the device, red zones and all, launches
/// the kernel there, eagerly or in a captured graph, and brings all of it back.
void launch_on_device(const std::shared_ptr<Backend>& device, const HostLaunch& launch,
                      bool capture);

}  // namespace fornax
