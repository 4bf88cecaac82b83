// The order of a sum over rows of a matrix, which bias gradients share.
#pragma once
#include <algorithm>
#include <cstdint>

namespace fornax::kernels {

/// Rows of one chain of a column sum.
inline constexpr std::int64_t kColumnSumChunk = 128;

/// Sum of column[r * stride] over rows r: a chunk of 128 rows is one chain in row order from -0.0;
/// chunk sums are added in order from -0.0. The empty sum is -0.0.
template <class T>
T column_sum_of(const T* column, std::int64_t rows, std::int64_t stride) {
  T total = T(-0.0);
  for (std::int64_t first = 0; first < rows; first += kColumnSumChunk) {
    T sum = T(-0.0);
    for (std::int64_t r = first; r < std::min(rows, first + kColumnSumChunk); ++r)
      sum = sum + column[r * stride];
    total = total + sum;
  }
  return total;
}

}  // namespace fornax::kernels
