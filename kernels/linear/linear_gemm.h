// The products of a linear layer as the CPU's gemm() takes them; pointers are filled at launch.
#pragma once
#include "kernels/host/gemm.h"
#include "kernels/linear/linear_shape.h"

namespace fornax::kernels {

/// dw = dy^T x.
inline host::Gemm wgrad_gemm(const LinearShape& s) {
  host::Gemm g;
  g.M = s.N, g.N = s.K, g.K = s.M;
  g.a = {nullptr, 1, s.N}, g.b = {nullptr, 1, s.K};
  g.c_stride = s.K;
  g.sum_chunk = kWeightGradientChunk;
  return g;
}

}  // namespace fornax::kernels
