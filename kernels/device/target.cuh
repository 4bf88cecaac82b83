// What differs between nvcc and a host compiler: keywords, built-in variables, call sites.
// FORNAX_PTX is 1 where PTX may stand, FORNAX_TWIN where the host twin of a primitive does.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include "launch_table.h"

#ifdef __CUDACC__
#define FORNAX_DEVICE __device__ __forceinline__
#define FORNAX_HOST_DEVICE __host__ __device__ __forceinline__
#define FORNAX_TWIN 0
#ifdef __CUDA_ARCH__
#define FORNAX_PTX 1
#else
#define FORNAX_PTX 0
#endif
#else
#define FORNAX_DEVICE inline
#define FORNAX_HOST_DEVICE inline
#define FORNAX_TWIN 1
#define FORNAX_PTX 0
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)

// The machine stores these before it resumes a thread; a fiber never changes its OS thread.
inline constinit thread_local fornax::device::Dim3 threadIdx{0, 0, 0}, blockIdx{0, 0, 0};
inline constinit thread_local fornax::device::Dim3 blockDim{}, gridDim{};
#endif

namespace fornax::device {

/// Where in a kernel a primitive was called. (Clang 14 has no usable std::source_location.)
struct Site {
  const char* file;
  unsigned line;
  static constexpr Site here(const char* file = __builtin_FILE(),
                             unsigned line = static_cast<unsigned>(__builtin_LINE())) {
    return {file, line};
  }
  constexpr bool operator==(const Site& other) const {
    return file == other.file && line == other.line;
  }
};

}  // namespace fornax::device

// The last parameter of every primitive: the caller's line, on the host only.
#if FORNAX_TWIN
#define FORNAX_SITE , ::fornax::device::Site site = ::fornax::device::Site::here()
#define FORNAX_SITE_ONLY ::fornax::device::Site site = ::fornax::device::Site::here()
#define FORNAX_PASS_SITE , site
#else
#define FORNAX_SITE
#define FORNAX_SITE_ONLY
#define FORNAX_PASS_SITE
#endif

namespace fornax::device {

FORNAX_DEVICE int thread_index() { return static_cast<int>(threadIdx.x); }
FORNAX_DEVICE int block_index() { return static_cast<int>(blockIdx.x); }
FORNAX_DEVICE int block_threads() { return static_cast<int>(blockDim.x); }
FORNAX_DEVICE int grid_blocks() { return static_cast<int>(gridDim.x); }
/// Of a block whose threads lie along x.
FORNAX_DEVICE int lane_index() { return thread_index() % 32; }
FORNAX_DEVICE int warp_index() { return thread_index() / 32; }

}  // namespace fornax::device
