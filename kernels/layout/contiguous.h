// The row-major copy, for kernels of other families that make one of an operand in their workspace.
#pragma once
#include "kernels/op.h"

namespace fornax::kernels {

/// out[0] = in[0] in row-major order: the launch of op contiguous on that backend.
void copy_contiguous_cpu(const KernelArgs& args);
void copy_contiguous_cuda(const KernelArgs& args);

/// Bytes of such a copy in front of the workspace that the launch on it needs.
inline std::int64_t copy_bytes(const TensorType& type) { return (type.bytes() + 255) / 256 * 256; }

/// `launch` with in[0] as its copy, which is its only input.
inline void launch_on_copy(const KernelArgs& args, void (*copy)(const KernelArgs&),
                           void (*launch)(const KernelArgs&)) {
  const TensorType type(args.in[0].type->dtype, args.in[0].shape());
  const TensorView to{args.workspace.data(), &type};
  const ConstTensorView copied{to.data, &type};
  KernelArgs part = args;
  part.out = {&to, 1};
  copy(part);
  part.in = {&copied, 1}, part.out = args.out;
  part.workspace = args.workspace.subspan(static_cast<std::size_t>(copy_bytes(type)));
  launch(part);
}

}  // namespace fornax::kernels
