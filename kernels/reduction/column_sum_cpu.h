// The column sum of the CPU backend, which linear_dgrad runs after its product.
#pragma once
#include <cstdint>

namespace fornax::kernels {

/// y[c] = (sum over rows of x[r * stride + c], in the order of column_sum.h) / divisor.
struct ColumnSum {
  const float* x;
  std::int64_t rows, columns, stride;
  float divisor;
  float* y;
};

/// Bytes of workspace: chunk sums where threads split chunks of rows, 0 where they split columns.
std::int64_t column_sum_cpu_workspace_bytes(std::int64_t rows, std::int64_t columns);

/// Reads x once. `workspace` has column_sum_cpu_workspace_bytes() and is aligned for floats.
void column_sum_cpu(const ColumnSum& sum, void* workspace, int threads);

}  // namespace fornax::kernels
