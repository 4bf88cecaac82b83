// The order of a sum over rows of a matrix, which bias gradients share.
#pragma once
#include <cstdint>

namespace fornax::kernels {

/// Rows of one chain of a column sum.
inline constexpr std::int64_t kColumnSumChunk = 128;

/// Rows of the chunk that begins at row `first`.
constexpr std::int64_t chunk_rows(std::int64_t first, std::int64_t rows) {
  return rows - first < kColumnSumChunk ? rows - first : kColumnSumChunk;
}

/// Sum of term(r) over rows r: a chunk of 128 rows is one chain in row order from -0.0; chunk sums
/// are added in order from -0.0. The empty sum is -0.0.
template <class T, class Term>
T column_sum(std::int64_t rows, const Term& term) {
  T total = T(-0.0);
  for (std::int64_t first = 0; first < rows; first += kColumnSumChunk) {
    T sum = T(-0.0);
    for (std::int64_t r = first; r < first + chunk_rows(first, rows); ++r) sum = sum + term(r);
    total = total + sum;
  }
  return total;
}

/// Of column[r * stride].
template <class T>
T column_sum_of(const T* column, std::int64_t rows, std::int64_t stride) {
  return column_sum<T>(rows, [=](std::int64_t r) { return column[r * stride]; });
}

}  // namespace fornax::kernels
