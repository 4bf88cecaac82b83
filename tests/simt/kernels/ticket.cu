// Each block writes its partial sum, fences and takes a ticket; the last one adds all. 64 threads:
// warp 0 waits for warp 1 at a named barrier.
#include "kernels/device/atomics.cuh"
#include "kernels/device/memory.cuh"
#include "kernels/device/shared.cuh"
#include "kernels/device/warp.cuh"
#include "tests/simt/kernels/ticket.cuh"

namespace fornax::simt_test {
namespace {

using namespace device;

constexpr int kThreads = 64;

struct Shared {
  SharedArray<int, 2> warps;
};

template <TicketFault fault>
__global__ void __launch_bounds__(kThreads) sum_by_ticket_kernel(TicketArguments p) {
  Shared& shared = shared_memory<Shared>();
  int sum = read(p.x + block_index() * kThreads + thread_index());
  for (int o = 16; o > 0; o /= 2) sum += shuffle_xor(sum, o);
  if (lane_index() == 0) shared.warps[warp_index()] = sum;
  if (warp_index() == 1) {
    if (fault != TicketFault::waits_forever) arrive_named(1, kThreads);
    return;
  }
  sync_named(1, kThreads);
  if (thread_index() != 0) return;
  write(p.partial + block_index(), shared.warps[0] + shared.warps[1]);
  if (fault != TicketFault::no_fence_before) fence_device();
  const unsigned last = static_cast<unsigned>(p.blocks) - 1;
  const unsigned ticket = atomic_add(p.tickets, 1u);
  if (ticket != last && !(fault == TicketFault::no_ticket && ticket == 0)) return;
  if (fault != TicketFault::no_fence_after) fence_device();
  int total = 0;
  for (int i = 0; i < p.blocks; ++i) total += read(p.partial + i);
  write(p.sum, total);
}

}  // namespace

template <TicketFault fault>
void sum_by_ticket(const Queue& queue, const TicketArguments& p) {
  const Config config{{static_cast<unsigned>(p.blocks)}, {kThreads}, sizeof(Shared)};
  launch(queue, sum_by_ticket_kernel<fault>, config, p);
}

template void sum_by_ticket<TicketFault::none>(const Queue&, const TicketArguments&);
#if FORNAX_TWIN
template void sum_by_ticket<TicketFault::no_fence_before>(const Queue&, const TicketArguments&);
template void sum_by_ticket<TicketFault::no_fence_after>(const Queue&, const TicketArguments&);
template void sum_by_ticket<TicketFault::no_ticket>(const Queue&, const TicketArguments&);
template void sum_by_ticket<TicketFault::waits_forever>(const Queue&, const TicketArguments&);
#endif

}  // namespace fornax::simt_test
