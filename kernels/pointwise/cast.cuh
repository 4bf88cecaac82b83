// The CUDA kernels of fill and cast.
#pragma once
#include "kernels/op.h"

namespace fornax::kernels {

Kernel fill_cuda_kernel();
Kernel cast_cuda_kernel();

}  // namespace fornax::kernels
