// The column sum of the CPU, whose end linear_dgrad shares.
#pragma once
#include "kernels/op.h"

namespace fornax::kernels {

/// y[c] = (sum over rows of x[r * stride + c]) / divisor.
struct ColumnSum {
  const float* x;
  std::int64_t rows, columns, stride;
  float divisor;
  float* y;
};

/// Adds the sums of the chunks of column_sum.h, a row of x each, in order.
void add_column_sums_cpu(const ColumnSum& chunk_sums);

extern const Kernel kColumnSumCpu;

}  // namespace fornax::kernels
