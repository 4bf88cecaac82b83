// mbarriers and bulk copies, one kernel each; sm_90. Thread t writes out[t], out[t + 64], ...
#include "kernels/device/mbarrier.cuh"
#include "kernels/device/memory.cuh"
#include "kernels/device/warp.cuh"
#include "tests/simt/kernels/conformance.cuh"

namespace fornax::simt_test {
namespace {

using namespace device;

constexpr int kThreads = 64;
using Arguments = ConformanceArguments;

struct Shared {
  SharedArray<std::uint32_t, 512> words;
  SharedArray<Mbarrier, 2> barriers;
};

FORNAX_DEVICE Shared& made_barriers(int first, int second) {
  Shared& shared = shared_memory<Shared>();
  if (thread_index() == 0) {
    mbarrier_init(shared.barriers[0], first);
    mbarrier_init(shared.barriers[1], second);
    fence_async_proxy();
  }
  sync_block();
  return shared;
}

/// Words go from warp to warp and back, a phase each way, three rounds.
__global__ void mbarriers(Arguments p) {
  Shared& shared = made_barriers(32, 32);
  const int t = thread_index(), lane = lane_index();
  for (int round = 0; round < 3; ++round) {
    if (warp_index() == 0) {
      if (round > 0) mbarrier_wait(shared.barriers[1], (round - 1) % 2);
      write(&shared.words[lane], read(p.in + 64 * round + t));
      mbarrier_arrive(shared.barriers[0]);
    } else {
      mbarrier_wait(shared.barriers[0], round % 2);
      write(p.out + 64 * round + t, read(&shared.words[31 - lane]));
      mbarrier_arrive(shared.barriers[1]);
    }
  }
}

/// Three loads of different sizes counted by two phases of one barrier.
__global__ void bulk_loads(Arguments p) {
  Shared& shared = made_barriers(1, 1);
  const int t = thread_index();
  if (t == 0) {
    mbarrier_arrive_expect(shared.barriers[0], 256 + 16);
    bulk_load(&shared.words[0], p.in + 128, 256, shared.barriers[0]);
    bulk_load(&shared.words[64], p.in + 4, 16, shared.barriers[0]);
  }
  mbarrier_wait(shared.barriers[0], 0);
  write(p.out + t, read(&shared.words[t]));
  if (t < 4) write(p.out + 64 + t, read(&shared.words[64 + t]));
  sync_block();
  if (t == 0) {
    mbarrier_arrive_expect(shared.barriers[0], 1024);
    bulk_load(&shared.words[128], p.in + 256, 1024, shared.barriers[0]);
  }
  mbarrier_wait(shared.barriers[0], 1);
  for (int i = t; i < 256; i += kThreads) write(p.out + 128 + i, read(&shared.words[128 + i]));
}

/// Two groups of stores of what threads wrote.
__global__ void bulk_stores(Arguments p) {
  Shared& shared = made_barriers(1, 1);
  const int t = thread_index();
  for (int i = t; i < 128; i += kThreads) write(&shared.words[i], ~read(p.in + i));
  fence_async_proxy();
  sync_block();
  if (t != 0) return;
  bulk_store(p.out, &shared.words[0], 256);
  bulk_store_commit();
  bulk_store(p.out + 64, &shared.words[64], 128);
  bulk_store(p.out + 128, &shared.words[96], 128);
  bulk_store_commit();
  bulk_store_wait<1>();
  bulk_store_wait<0>();
}

}  // namespace

std::span<const Primitive> sm90_primitives() {
  static constexpr Primitive all[] = {
      {"mbarriers", mbarriers}, {"bulk_loads", bulk_loads}, {"bulk_stores", bulk_stores}};
  return all;
}

}  // namespace fornax::simt_test
