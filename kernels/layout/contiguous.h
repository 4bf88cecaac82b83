// The row-major copy, for kernels of other families that make one of an operand in their workspace.
#pragma once
#include "kernels/op.h"

namespace fornax::kernels {

/// out[0] = in[0] in row-major order: the launch of op contiguous on that backend.
void copy_contiguous_cpu(const KernelArgs& args);
void copy_contiguous_cuda(const KernelArgs& args);

}  // namespace fornax::kernels
