// The transpose of a matrix of floats or other 32-bit elements, by vectors.
#pragma once
#include <cstdint>

namespace fornax::host {

/// to[j * to_stride + i] = from[i * from_stride + j] for i < rows, j < columns.
struct Transpose {
  const float* from;
  std::int64_t from_stride;
  std::int64_t rows, columns;
  float* to;
  std::int64_t to_stride;
  bool streamed;  ///< past the caches: to and to_stride are whole lines; Writer::end() after it
  /// Columns that rows have from `from` on, for those behind this transpose that a next one goes on
  /// with: what lies ahead is asked for. 0: nothing is.
  std::int64_t source_columns = 0;
};
void transpose(const Transpose& t);

}  // namespace fornax::host
