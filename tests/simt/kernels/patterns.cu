// One warp: global read, shared write, shared read, global write.
#include "kernels/device/memory.cuh"
#include "kernels/device/shared.cuh"
#include "kernels/device/warp.cuh"
#include "tests/simt/kernels/patterns.cuh"

namespace fornax::simt_test {
namespace {

using namespace device;

struct Shared {
  SharedArray<float, 33 * 32> words;
};

__global__ void spread(PatternArguments p, int global_stride, int shared_stride, int read_stride) {
  Shared& shared = shared_memory<Shared>();
  const int t = thread_index();
  const float value = read(p.x + t * global_stride);
  write(&shared.words[t * shared_stride], value);
  sync_warp();
  write(p.y + t, read(&shared.words[t * read_stride]));
}

__global__ void vectors(PatternArguments p) {
  Shared& shared = shared_memory<Shared>();
  const int t = thread_index();
  write4(&shared.words[4 * t], read4(p.x + 4 * t));
  sync_warp();
  write4(p.y + 4 * t, read4(&shared.words[4 * t]));
}

}  // namespace

void run(Pattern pattern, const Queue& queue, const PatternArguments& p) {
  const Config config{{1}, {32}, sizeof(Shared)};
  switch (pattern) {
    case Pattern::contiguous: return launch(queue, spread, config, p, 1, 1, 1);
    case Pattern::strided: return launch(queue, spread, config, p, 8, 32, 32);
    case Pattern::padded: return launch(queue, spread, config, p, 1, 33, 33);
    case Pattern::broadcast: return launch(queue, spread, config, p, 1, 1, 0);
    case Pattern::vectors: return launch(queue, vectors, config, p);
  }
}

}  // namespace fornax::simt_test
