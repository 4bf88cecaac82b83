// The simt filling: host memory, kernels built by the host compiler on the simt machine, work of
// different streams in seeded random legal orders (FORNAX_SIMT_SEED; 0: in order).
#pragma once
#include "runtime/cuda/driver_table.h"

namespace fornax::cuda {

/// A driver of its own: one device, host memory.
DriverCalls make_simt_driver();

}  // namespace fornax::cuda
