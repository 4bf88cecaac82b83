// A warp-specialised ring on mbarriers and bulk copies, and mistakes put in on purpose.
#pragma once
#include "kernels/device/launch.cuh"

namespace fornax::simt_test {

enum class RingFault { none, no_empty_wait, no_full_wait, no_fence, wrong_count, never_arrives };

struct RingArguments {
  const float* x;  // [blocks, tiles, 64]
  float* y;        // [blocks, 64]
  int blocks, tiles;
};

/// y[b] = the sum of the block's tiles, in order.
template <RingFault fault = RingFault::none>
void sum_tiles(const device::Queue& queue, const RingArguments& arguments);

}  // namespace fornax::simt_test
