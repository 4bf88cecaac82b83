// The loops around the register tiles of the matrix product: one part of c, on one thread.
#pragma once
#include "kernels/host/gemm_blocking.h"
#include "kernels/host/gemm_tile.h"

namespace fornax::host {

inline constexpr std::int64_t gemm_finished_at_once = 4096;  ///< outputs that stay in L1

/// One part of c, computed by one thread with its own packed blocks.
struct Part {
  const Gemm& gemm;
  const GemmKernels& kernels;
  GemmBlocking blocking;
  GemmBlock area;
  float* packed_a;
  float* packed_b;
  std::int64_t behind;    ///< k up to which rows in place may be fetched ahead
  bool a_packed = false;  ///< by the part before: the same rows, whose sums are one piece of k
  bool b_packed = false;  ///< the same of all columns
  bool cached = false;    ///< operands and outputs lie in a cache: none is fetched
};

void run_part(const Part& part);

/// Element (row, k) of an operand onwards.
inline GemmOperand from(const GemmOperand& operand, std::int64_t row, std::int64_t k) {
  return {operand.data + row * operand.row_stride + k * operand.column_stride, operand.row_stride,
          operand.column_stride};
}

/// Floats of one part's packed blocks.
inline std::int64_t part_floats(const GemmBlocking& blocking, const TileShape& tile) {
  return packed_a_floats(blocking) + packed_b_floats(blocking, tile);
}

}  // namespace fornax::host
