// Small kernels, one for each primitive, whose results a GPU must give too. Each writes 32-bit
// words; run() starts them through any driver's launch table.
#pragma once
#include "kernels/device/launch.cuh"

namespace fornax::simt_test {

enum class Primitive {
  shuffles,
  votes,
  load_matrices,
  mma_bf16,
  mma_f16,
  mma_tf32,
  copy_async,
  atomics,
  conversions,
  named_barrier
};

struct ConformanceArguments {
  const std::uint32_t* in;  // [1024]
  std::uint32_t* out;       // [1024], zero before
};

/// One block of 64 threads.
void run(Primitive primitive, const device::Queue& queue, const ConformanceArguments& arguments);

}  // namespace fornax::simt_test
