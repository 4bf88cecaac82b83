// Entry of libfornax_cuda: the CUDA backend on a card.
#include "kernels/op_table.h"
#include "runtime/cuda/backend_module.h"
#include "runtime/cuda/cuda_backend.h"
#include "runtime/cuda/cudart_table.h"

namespace {

using fornax::kernels::Kernel;

std::shared_ptr<fornax::Backend> open_cuda(int index) {
  fornax::cuda::BackendOptions options;
  options.module = "cuda", options.device = index;
  options.memory_limit_bytes = fornax::cuda::memory_limit();
  return std::make_shared<fornax::cuda::CudaBackend>(fornax::cuda::make_cudart_driver(), options);
}

const std::vector<std::span<const Kernel>>& library_kernels() {
  static const auto table = fornax::kernels::cublaslt_kernels_table();
  return table;
}

/// Our own kernels are preferred; those of libraries come after all of them.
std::span<const Kernel> module_kernels(std::size_t index) {
  const std::size_t own = fornax::cuda::family_count();
  if (index < own) return fornax::cuda::family_kernels(index);
  const auto& libraries = library_kernels();
  return index - own < libraries.size() ? libraries[index - own] : std::span<const Kernel>();
}

}  // namespace

const fornax::BackendModule fornax_module{FORNAX_BUILD_ID, open_cuda, module_kernels,
                                          fornax::cuda::family_count() + library_kernels().size()};
