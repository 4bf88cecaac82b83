// See library_kernels.h. A launch tells the twin its queue, which cublasLtMatmul has no place for.
#include "tests/kernels/library_kernels.h"

#ifdef FORNAX_CUBLASLT_TWIN
#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <array>
#include <cstdlib>

#include "kernels/op_table.h"

/// There is one device, and no run time of CUDA.
extern "C" cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

namespace fornax {

using kernels::Kernel;
using kernels::KernelArgs;

namespace {

constexpr std::size_t kKernels = 3;

std::span<const Kernel> kernels_as_they_are() {
  static const auto table = kernels::cublaslt_kernels_table();
  kernels::require(table.size() == 1 && table[0].size() == kKernels, ErrorCode::internal,
                   "library_kernels.cpp knows three kernels of one family");
  return table[0];
}

struct QueueOfLaunch {
  explicit QueueOfLaunch(const device::Queue& queue) { library_twin().queue = &queue; }
  ~QueueOfLaunch() { library_twin().queue = nullptr; }
};

template <std::size_t index>
void launch(const KernelArgs& args) {
  const QueueOfLaunch queue(args.queue);
  kernels_as_they_are()[index].launch(args);
}

/// The first question opens the library.
void open_library() {
  const kernels::TensorType square(DType::bf16, Shape{16, 16});
  const std::vector<kernels::TensorType> in{square, square}, out{square};
  const Attributes none;
  kernels_as_they_are()[0].offer({in, out, none}, kernels::DeviceModel::h100());
}

/// The variable is as before afterwards: libfornax_cuda, on a card, opens the true library.
template <std::size_t... index>
std::array<Kernel, kKernels> on_the_twin(std::index_sequence<index...>) {
  const char* given = std::getenv("FORNAX_CUBLASLT");  // set to nothing is not set
  const bool set = given != nullptr && *given != '\0';
  if (!set) setenv("FORNAX_CUBLASLT", FORNAX_CUBLASLT_TWIN, 1);
  open_library();
  if (!set) unsetenv("FORNAX_CUBLASLT");
  std::array<Kernel, kKernels> list{kernels_as_they_are()[index]...};
  ((list[index].launch = launch<index>), ...);
  return list;
}

}  // namespace

std::span<const Kernel> library_kernels() {
  static const auto list = on_the_twin(std::make_index_sequence<kKernels>());
  return list;
}

CublasLtTwin& library_twin() {
  static CublasLtTwin* const twin = [] {
    void* const library = dlopen(FORNAX_CUBLASLT_TWIN, RTLD_NOW | RTLD_LOCAL);
    kernels::require(library != nullptr, ErrorCode::internal, "the twin does not load");
    return reinterpret_cast<decltype(&cublaslt_twin)>(dlsym(library, "cublaslt_twin"))();
  }();
  return *twin;
}

}  // namespace fornax
#else
namespace fornax {
std::span<const kernels::Kernel> library_kernels() { return {}; }
CublasLtTwin& library_twin() {
  throw Error(ErrorCode::internal, "the twin of cublasLt is not built here");
}
}  // namespace fornax
#endif
