// The lists of families that cmake/families.cmake makes from folder names.
#pragma once
#include "kernels/op.h"

namespace fornax::kernels {

std::vector<std::span<const OpDefinition>> ops_table();
std::vector<std::span<const Kernel>> cpu_kernels_table();
std::vector<std::span<const Kernel>> cuda_kernels_table();  ///< only inside a CUDA module
std::vector<std::span<const Kernel>> cublaslt_kernels_table();  ///< only inside libfornax_cuda

}  // namespace fornax::kernels
