// Planted for kernel_budget.py: accesses that pass the simt machine's counters by.
#include "kernels/device/memory.cuh"
#include "kernels/device/shared.cuh"
#include "kernels/device/warp.cuh"

namespace fornax {

using namespace device;

struct Shared {
  SharedArray<float, 32> words;
};

__global__ void raw_access(const float* x, float* y) {
  Shared& shared = shared_memory<Shared>();
  const int t = thread_index();
  shared.words[t] = x[t];  // RAW
  sync_block();
  y[t] = read(&shared.words[31 - t]);  // RAW
  write(y + 32 + t, read(x + 32 + t));
}

}  // namespace fornax
