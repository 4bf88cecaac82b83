// A fused linear layer on tensor cores, to try the simt machine on. `LinearFault` is a mistake put
// in on purpose, to see who finds it.
#pragma once
#include "kernels/device/launch.cuh"
#include "kernels/device/types.cuh"

namespace fornax::simt_test {

enum class LinearFault {
  none,
  no_wait,
  late_wait,
  no_barrier,
  load_before_barrier,
  divergent_barrier,
  unguarded_rows,
  unguarded_store,
  blocks_share_element,
  misaligned_copy
};

struct LinearArguments {
  const device::bf16* x;  // [m, k]
  const device::bf16* w;  // [n, k]
  const float* bias;      // [n]
  device::bf16* y;        // [m, n]
  int m, n, k;
};

/// y = x w^T + bias, bf16 with f32 sums; k % 8 == 0.
template <LinearFault fault = LinearFault::none>
void linear(const device::Queue& queue, const LinearArguments& arguments);

}  // namespace fornax::simt_test
