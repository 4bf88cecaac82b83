// What a block of the matrix product asks of memory for the next.
#pragma once
#include "kernels/host/gemm_blocking.h"

namespace fornax::host {

/// Hardware sees no stream in rows of which a tile reads a part, and packing that waits for memory
/// would leave the FMAs idle.
struct Ahead {
  static constexpr std::int64_t line = 16;  // floats
  FetchAhead range[GemmEpilogue::most_beside + 1];
  int count = 0;

  /// `rows` rows of `floats` floats, `stride` apart, in the time of `steps` requests.
  void add(const float* from, std::int64_t rows, std::int64_t floats, std::int64_t stride,
           std::int64_t steps) {
    if (rows <= 0 || floats <= 0) return;
    if (floats == stride) floats *= rows, rows = 1;
    const std::int64_t row_lines = divide_up(floats, line);
    const std::int64_t lines = rows * row_lines;
    range[count++] = {
        from, lines, row_lines, row_lines, stride - row_lines * line, divide_up(lines, steps)};
  }
  /// Elements (i, k) for i < count_of_i, k < depth.
  void add(const GemmOperand& operand, std::int64_t count_of_i, std::int64_t depth,
           std::int64_t steps) {
    if (operand.row_stride == 1)
      add(operand.data, depth, count_of_i, operand.column_stride, steps);
    else
      add(operand.data, count_of_i, depth, operand.row_stride, steps);
  }
};

}  // namespace fornax::host
