// The column sum of the CPU backend, which linear_dgrad runs after its product.
#pragma once
#include <cstdint>

namespace fornax::kernels {

/// y[c] = (sum over rows of x[r, c], in the order of column_sum.h) / divisor; x [rows, columns].
/// Reads x once; threads split columns.
void column_sum_cpu(const float* x, std::int64_t rows, std::int64_t columns, float divisor,
                    float* y, int threads);

}  // namespace fornax::kernels
