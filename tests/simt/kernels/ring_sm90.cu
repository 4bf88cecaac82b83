// Warp 0 fills a ring of 3 tiles by bulk copies, 2 warps use them; an mbarrier pair (full, empty)
// guards each tile. 96 threads; sm_90.
#include "kernels/device/mbarrier.cuh"
#include "kernels/device/warp.cuh"
#include "tests/simt/kernels/ring.cuh"

namespace fornax::simt_test {
namespace {

using namespace device;

constexpr int kStages = 3, kWidth = 64, kBytes = kWidth * 4;

struct Shared {
  SharedArray<float, kStages, kWidth> tiles;
  SharedArray<float, kWidth> sum;
  SharedArray<Mbarrier, kStages> full, empty;
};

template <RingFault fault>
FORNAX_DEVICE void fill_ring(Shared& shared, const RingArguments& p) {
  for (int i = 0; i < p.tiles; ++i) {
    const int stage = i % kStages, round = i / kStages;
    if (fault != RingFault::no_empty_wait) mbarrier_wait(shared.empty[stage], round % 2 ^ 1);
    mbarrier_arrive_expect(shared.full[stage], kBytes);
    const std::int64_t tile = static_cast<std::int64_t>(blockIdx.x) * p.tiles + i;
    bulk_load(&shared.tiles[stage][0], p.x + tile * kWidth, kBytes, shared.full[stage]);
  }
}

template <RingFault fault>
FORNAX_DEVICE void use_ring(Shared& shared, const RingArguments& p, int column) {
  float sum = 0.0f;
  for (int i = 0; i < p.tiles; ++i) {
    const int stage = i % kStages, round = i / kStages;
    if (fault != RingFault::no_full_wait) mbarrier_wait(shared.full[stage], round % 2);
    sum += shared.tiles[stage][column];
    if (fault != RingFault::never_arrives) mbarrier_arrive(shared.empty[stage]);
  }
  shared.sum[column] = sum;
  if (fault != RingFault::no_fence) fence_async_proxy();
}

template <RingFault fault>
__global__ void __launch_bounds__(kWidth + 32) sum_tiles_kernel(RingArguments p) {
  Shared& shared = shared_memory<Shared>();
  const int thread = thread_index();
  if (thread == 0) {
    for (int i = 0; i < kStages; ++i) {
      mbarrier_init(shared.full[i], 1);
      mbarrier_init(shared.empty[i], fault == RingFault::wrong_count ? kWidth - 1 : kWidth);
    }
    fence_async_proxy();
  }
  sync_block();
  if (thread == 0) fill_ring<fault>(shared, p);
  if (thread >= 32) use_ring<fault>(shared, p, thread - 32);
  sync_block();
  if (thread == 0) {
    bulk_store(p.y + static_cast<std::int64_t>(blockIdx.x) * kWidth, &shared.sum[0], kBytes);
    bulk_store_commit();
    bulk_store_wait<0>();
  }
}

}  // namespace

template <RingFault fault>
void sum_tiles(const Queue& queue, const RingArguments& p) {
  const Config config{{static_cast<unsigned>(p.blocks)}, {kWidth + 32}, sizeof(Shared)};
  launch(queue, sum_tiles_kernel<fault>, config, p);
}

template void sum_tiles<RingFault::none>(const Queue&, const RingArguments&);
#if FORNAX_TWIN
template void sum_tiles<RingFault::no_empty_wait>(const Queue&, const RingArguments&);
template void sum_tiles<RingFault::no_full_wait>(const Queue&, const RingArguments&);
template void sum_tiles<RingFault::no_fence>(const Queue&, const RingArguments&);
template void sum_tiles<RingFault::wrong_count>(const Queue&, const RingArguments&);
template void sum_tiles<RingFault::never_arrives>(const Queue&, const RingArguments&);
#endif

}  // namespace fornax::simt_test
