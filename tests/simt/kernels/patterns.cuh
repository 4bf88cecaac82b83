// Access patterns whose sectors and bank conflicts are known.
#pragma once
#include "kernels/device/launch.cuh"

namespace fornax::simt_test {

enum class Pattern { contiguous, strided, padded, broadcast, vectors };

struct PatternArguments {
  const float* x;  // [4096]
  float* y;        // [4096]
};

/// One warp reads x and passes it through shared memory to y.
void run(Pattern pattern, const device::Queue& queue, const PatternArguments& arguments);

}  // namespace fornax::simt_test
