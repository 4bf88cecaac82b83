// Entry of libfornax_simt: the CUDA backend on the simt machine.
#include "runtime/cuda/backend_module.h"
#include "runtime/cuda/cuda_backend.h"
#include "runtime/cuda/simt_table.h"

namespace {

std::shared_ptr<fornax::Backend> open_simt(int index) {
  fornax::cuda::BackendOptions options;
  options.module = "simt", options.device = index;
  options.memory_limit_bytes = fornax::cuda::memory_limit();
  return std::make_shared<fornax::cuda::CudaBackend>(fornax::cuda::make_simt_driver(), options);
}

}  // namespace

const fornax::BackendModule fornax_module{FORNAX_BUILD_ID, open_simt, fornax::cuda::family_kernels,
                                          fornax::cuda::family_count()};
