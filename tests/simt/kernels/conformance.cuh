// Small kernels, one for each primitive, whose results a GPU must give too. Each writes 32-bit
// words; run() starts them through any driver's launch table.
#pragma once
#include <span>

#include "kernels/device/launch.cuh"

namespace fornax::simt_test {

struct ConformanceArguments {
  const std::uint32_t* in;  // [1024]
  std::uint32_t* out;       // [1024], zero before
};

struct Primitive {
  const char* name;
  void (*kernel)(ConformanceArguments);
  bool by_architecture = false;  ///< the words differ between architectures
};

/// Barriers, shuffles, votes, conversions, ldmatrix and mma: conformance.cu.
std::span<const Primitive> warp_primitives();
/// cp.async, vectors, atomics and fences: conformance_memory.cu.
std::span<const Primitive> memory_primitives();
/// mbarrier and bulk copies: conformance_sm90.cu.
std::span<const Primitive> sm90_primitives();

/// One block of 64 threads.
void run(const Primitive& primitive, const device::Queue& queue,
         const ConformanceArguments& arguments);

}  // namespace fornax::simt_test
