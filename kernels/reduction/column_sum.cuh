// The column sum of the CUDA backend, which linear_dgrad runs after its product.
#pragma once
#include <cstdint>

#include "kernels/device/launch_table.h"
#include "kernels/op.h"

namespace fornax::kernels {

/// Bytes of partial sums for column_sum_cuda.
std::int64_t column_sum_workspace_bytes(std::int64_t rows, std::int64_t columns);

/// y[c] = (sum over rows of x[r, c], in the order of column_sum.h) / divisor; x, y of `dtype`.
void column_sum_cuda(const device::Queue& queue, const ConstTensorView& x, const TensorView& y,
                     float divisor, std::span<std::byte> workspace);

}  // namespace fornax::kernels
