// The product of up to 128 rows, computed as c^T = b a^T: rows of b are broadcast from
// where they lie, only a is packed. The other way round, packing b costs as much as many of its
// products, since each element serves few rows. An output's chain is the same, so are its bits.
#pragma once
#include "kernels/host/gemm_space.h"
#include "kernels/host/gemm_tile.h"

namespace fornax::host {

/// Whether gemm() computes it so: few rows, more than 16 columns, b contiguous in k and not in
/// steps of whole pages, one chain.
bool is_transposed(const Gemm& gemm);

GemmFloats transposed_floats(const Gemm& gemm, const TileShape& tile, int threads);

void run_transposed(const Gemm& gemm, const GemmKernels& kernels, const GemmRoom& room,
                    int threads);

}  // namespace fornax::host
