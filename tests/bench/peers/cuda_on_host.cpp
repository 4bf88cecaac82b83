// What the peers use of the run time of CUDA, on the host's own memory: for a test of their calls
// on twins of their libraries, where there is no GPU.
#include <cuda_runtime_api.h>

#include <cstdlib>
#include <cstring>

#include "tests/kernels/cublaslt_twin.h"

namespace {

using fornax::device::KernelLaunch;
using fornax::device::LaunchTable;
using fornax::device::Queue;

void launch(const Queue&, const KernelLaunch& launch) { launch.invoke(launch.arguments); }

const LaunchTable table{launch, nullptr, nullptr};
const Queue queue{nullptr, &table, nullptr};
const bool given = [] {
  cublaslt_twin()->queue = &queue;
  return true;
}();

}  // namespace

extern "C" {

cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t) { return "an error of the twin"; }

cudaError_t cudaMalloc(void** data, std::size_t bytes) {
  constexpr std::size_t kAlignment = 256;  // as the run time promises
  *data = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  return *data != nullptr ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaFree(void* data) {
  std::free(data);
  return cudaSuccess;
}
cudaError_t cudaMemset(void* data, int value, std::size_t bytes) {
  std::memset(data, value, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind) {
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemcpy2D(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                         std::size_t width, std::size_t height, cudaMemcpyKind) {
  for (std::size_t row = 0; row < height; ++row)
    std::memcpy(static_cast<char*>(to) + row * to_pitch,
                static_cast<const char*>(from) + row * from_pitch, width);
  return cudaSuccess;
}

}  // extern "C"
