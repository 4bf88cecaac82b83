// Softmax by rows with shuffles and block barriers, and mistakes put in on purpose.
#pragma once
#include "kernels/device/launch.cuh"

namespace fornax::simt_test {

enum class SoftmaxFault {
  none,
  no_barrier,
  divergent_barrier,
  past_shared,
  past_row,
  partial_warp,
  misaligned_vector
};

struct SoftmaxArguments {
  const float* x;  // [rows, columns]
  float* y;        // [rows, columns]
  int rows, columns;
};

/// y = exp(x - max x) / sum exp(x - max x) by rows; columns % 4 == 0.
template <SoftmaxFault fault = SoftmaxFault::none>
void softmax(const device::Queue& queue, const SoftmaxArguments& arguments);

}  // namespace fornax::simt_test
