// Products whose outputs are not kept: a strip of rows at a time goes to the epilogue, and what
// that reads comes from memory beside the FMAs of the strip.
#pragma once
#include "kernels/host/gemm_tile.h"

namespace fornax::host {

std::int64_t strips_workspace_floats(const Gemm& gemm, const TileShape& tile, int threads);

/// `space` begins at a cache line.
void run_strips(const Gemm& gemm, const GemmKernels& kernels, float* space, int threads);

}  // namespace fornax::host
