// One block of 96 threads makes one row: lanes fold by shuffles, warps through shared memory.
#include "kernels/device/memory.cuh"
#include "kernels/device/shared.cuh"
#include "kernels/device/warp.cuh"
#include "tests/simt/kernels/softmax.cuh"

namespace fornax::simt_test {
namespace {

using namespace device;

constexpr int kThreads = 96, kWarps = kThreads / 32;

struct Shared {
  SharedArray<float, kWarps> largest, sum;
};

template <SoftmaxFault fault>
__global__ void __launch_bounds__(kThreads) softmax_kernel(SoftmaxArguments p) {
  Shared& shared = shared_memory<Shared>();
  const int thread = thread_index(), lane = lane_index(), warp = warp_index();
  const float* x = p.x + static_cast<std::int64_t>(blockIdx.x) * p.columns;
  float* y = p.y + static_cast<std::int64_t>(blockIdx.x) * p.columns;

  float largest = -INFINITY;
  const int end = p.columns + (fault == SoftmaxFault::past_row ? 4 : 0);
  const int shift = fault == SoftmaxFault::misaligned_vector ? 1 : 0;
  for (int i = 4 * thread + shift; i < end; i += 4 * kThreads) {
    const float4 v = read4(x + i);
    largest = fmaxf(fmaxf(fmaxf(largest, v.x), fmaxf(v.y, v.z)), v.w);
  }
  if (fault != SoftmaxFault::partial_warp || lane != 7)
    for (int o = 16; o > 0; o /= 2) largest = fmaxf(largest, shuffle_xor(largest, o));
  if (lane == 0) shared.largest[warp] = largest;
  if (fault != SoftmaxFault::no_barrier) sync_block();
  if (fault == SoftmaxFault::divergent_barrier && warp == 1) sync_block();
  for (int i = 0; i < kWarps; ++i) largest = fmaxf(largest, shared.largest[i]);

  float sum = 0.0f;
  for (int i = thread; i < p.columns; i += kThreads) sum += expf(read(x + i) - largest);
  for (int o = 16; o > 0; o /= 2) sum += shuffle_xor(sum, o);
  if (lane == 0) shared.sum[warp] = sum;
  sync_block();
  sum = 0.0f;
  const int count = kWarps + (fault == SoftmaxFault::past_shared ? p.columns / 200 : 0);
  for (int i = 0; i < count; ++i) sum += shared.sum[i];
  for (int i = thread; i < p.columns; i += kThreads)
    write(y + i, expf(read(x + i) - largest) / sum);
}

}  // namespace

template <SoftmaxFault fault>
void softmax(const Queue& queue, const SoftmaxArguments& p) {
  const Config config{{static_cast<unsigned>(p.rows)}, {kThreads}, sizeof(Shared)};
  launch(queue, softmax_kernel<fault>, config, p);
}

template void softmax<SoftmaxFault::none>(const Queue&, const SoftmaxArguments&);
#if FORNAX_TWIN
template void softmax<SoftmaxFault::no_barrier>(const Queue&, const SoftmaxArguments&);
template void softmax<SoftmaxFault::divergent_barrier>(const Queue&, const SoftmaxArguments&);
template void softmax<SoftmaxFault::past_shared>(const Queue&, const SoftmaxArguments&);
template void softmax<SoftmaxFault::past_row>(const Queue&, const SoftmaxArguments&);
template void softmax<SoftmaxFault::partial_warp>(const Queue&, const SoftmaxArguments&);
template void softmax<SoftmaxFault::misaligned_vector>(const Queue&, const SoftmaxArguments&);
#endif

}  // namespace fornax::simt_test
