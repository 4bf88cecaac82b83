// mbarrier and bulk copies (sm_90). A phase ends when all arrivals and all expected bytes are in.
// A ring waits with the parity of the phase that it wants complete: 0, 1, 0, ...
#pragma once
#include "shared.cuh"

namespace fornax::device {

/// Lives in shared memory, 8 bytes. Only these functions touch it.
struct alignas(8) Mbarrier {
  std::uint64_t state;
};

/// One thread makes it for `count` arrivals; fence_async_proxy, where bulk copies will use it, and
/// a barrier of the block must follow.
FORNAX_DEVICE void mbarrier_init(Mbarrier& barrier, int count FORNAX_SITE) {
#if FORNAX_PTX
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(&barrier)), "r"(count)
               : "memory");
#elif FORNAX_TWIN
  simt::mbarrier_init(barrier, count, site);
#endif
}
FORNAX_DEVICE void mbarrier_arrive(Mbarrier& barrier FORNAX_SITE) {
#if FORNAX_PTX
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(&barrier))
               : "memory");
#elif FORNAX_TWIN
  simt::mbarrier_arrive(barrier, 0, site);
#endif
}
/// Arrives, and the phase waits for `bytes` of bulk copies too.
FORNAX_DEVICE void mbarrier_arrive_expect(Mbarrier& barrier, int bytes FORNAX_SITE) {
#if FORNAX_PTX
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(&barrier)),
      "r"(bytes)
      : "memory");
#elif FORNAX_TWIN
  simt::mbarrier_arrive(barrier, bytes, site);
#endif
}
/// Returns when the phase of that parity is complete.
FORNAX_DEVICE void mbarrier_wait(Mbarrier& barrier, int parity FORNAX_SITE) {
#if FORNAX_PTX
  unsigned done = 0;
  while (!done) {
    asm volatile(
        "{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; "
        "selp.u32 %0, 1, 0, p; }"
        : "=r"(done)
        : "r"(shared_address(&barrier)), "r"(parity)
        : "memory");
  }
#elif FORNAX_TWIN
  simt::mbarrier_wait(barrier, parity, site);
#endif
}

/// Global -> shared; both addresses and the size are multiples of 16. Counts its bytes at
/// `barrier`.
FORNAX_DEVICE void bulk_load(void* to, const void* from, int bytes, Mbarrier& barrier FORNAX_SITE) {
#if FORNAX_PTX
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(to)),
      "l"(from), "r"(bytes), "r"(shared_address(&barrier))
      : "memory");
#elif FORNAX_TWIN
  simt::check_read(from, static_cast<std::size_t>(bytes));
  simt::check_write(to, static_cast<std::size_t>(bytes));
  simt::bulk_load(to, from, static_cast<std::size_t>(bytes), barrier, site);
#endif
}
/// Shared -> global. What threads wrote to shared needs fence_async_proxy and a barrier before it.
FORNAX_DEVICE void bulk_store(void* to, const void* from, int bytes FORNAX_SITE) {
#if FORNAX_PTX
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to),
               "r"(shared_address(from)), "r"(bytes)
               : "memory");
#elif FORNAX_TWIN
  simt::check_bounds(to, static_cast<std::size_t>(bytes));
  simt::bulk_store(to, from, static_cast<std::size_t>(bytes), site);
#endif
}
FORNAX_DEVICE void bulk_store_commit() {
#if FORNAX_PTX
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
#elif FORNAX_TWIN
  simt::bulk_store_commit();
#endif
}
/// Until at most `pending` of this thread's store groups are not yet visible.
template <int pending>
FORNAX_DEVICE void bulk_store_wait() {
#if FORNAX_PTX
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(pending) : "memory");
#elif FORNAX_TWIN
  simt::bulk_store_wait(pending);
#endif
}
/// Orders this thread's writes to shared memory before later bulk copies.
FORNAX_DEVICE void fence_async_proxy() {
#if FORNAX_PTX
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#elif FORNAX_TWIN
  simt::fence_async_proxy();
#endif
}

}  // namespace fornax::device
