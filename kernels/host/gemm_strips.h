// Products whose outputs are not kept: a strip of rows at a time goes to the epilogue, and what
// that reads comes from memory beside the FMAs of the strip.
#pragma once
#include "kernels/host/gemm_space.h"
#include "kernels/host/gemm_tile.h"

namespace fornax::host {

GemmFloats strips_floats(const Gemm& gemm, const TileShape& tile, int threads);

void run_strips(const Gemm& gemm, const GemmKernels& kernels, const GemmRoom& room, int threads);

}  // namespace fornax::host
