// Products that packing would not pay for: a few outputs, or a few rows.
#pragma once
#include "kernels/host/gemm_tile.h"

namespace fornax::host {

inline constexpr std::int64_t scalar_products = 512;  // up to here packing costs more than it gives

/// So small that it is computed output by output, on the caller.
inline bool is_scalar(const Gemm& g) {
  return g.keeps_outputs && g.M * g.N * g.K <= scalar_products;
}
void run_scalar(const Gemm& gemm);

/// Where is_few_rows(): threads share the columns in strips that their accumulators in c fit L1.
void run_few_rows(const Gemm& gemm, const GemmKernels& kernels, int threads);
/// Where is_shallow(): threads share the rows, or the columns where rows are too few.
void run_shallow(const Gemm& gemm, const GemmKernels& kernels, int threads);

}  // namespace fornax::host
