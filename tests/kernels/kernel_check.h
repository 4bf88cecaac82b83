// Runs the kernels of one node on the operands that the reference had, and compares bits.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "tests/kernels/reference_run.h"

namespace fornax {

struct KernelCheckResult {
  int offered = 0, ran = 0;  ///< kernels of the op; those that accepted and ran
  std::string refusals;
  std::vector<std::string_view> names;  ///< CUDA: kernels that ran
};

/// CPU kernels: every instruction set, 1, 2 and 3 threads; each also in place where the op allows.
/// Fails the running test at the first difference of each kernel.
KernelCheckResult check_cpu_kernels(const NodeData& node, NodeOperands& reference,
                                    const kernels::StepState& step);

enum class Places { apart, and_in_place };

/// CUDA kernels on the simt machine, which also checks them for races and bounds in a sanitizer
/// build; does nothing where the machine is not built. tolerance 0: the same bits; else relative to
/// the largest magnitude of an output.
KernelCheckResult check_cuda_kernels(const NodeData& node, NodeOperands& reference,
                                     const kernels::StepState& step, double tolerance,
                                     Places places = Places::and_in_place);

/// The same on the first CUDA device, with the kernels of libfornax_cuda, those of cublasLt among
/// them; does nothing where there is no such device. A launch is eager, or one captured in a graph.
KernelCheckResult check_kernels_on_card(const NodeData& node, NodeOperands& reference,
                                        const kernels::StepState& step, double tolerance);

}  // namespace fornax
