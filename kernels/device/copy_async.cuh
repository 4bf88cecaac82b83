// cp.async: global -> shared copies of 4, 8 or 16 bytes that end at a wait of the same thread.
#pragma once
#include "shared.cuh"

namespace fornax::device {

/// Both addresses aligned to `bytes`; what follows the first `valid_bytes` becomes 0.
template <int bytes>
FORNAX_DEVICE void copy_async(void* to, const void* from, int valid_bytes = bytes FORNAX_SITE) {
  static_assert(bytes == 4 || bytes == 8 || bytes == 16);
#if FORNAX_PTX
  if constexpr (bytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
                 "l"(from), "r"(valid_bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(to)),
                 "l"(from), "n"(bytes), "r"(valid_bytes)
                 : "memory");
  }
#elif FORNAX_TWIN
  simt::check_read(from, static_cast<std::size_t>(valid_bytes));
  simt::check_write(to, bytes);
  if (simt::counting) {
    simt::count_access(simt::Access::read, from, static_cast<std::size_t>(valid_bytes), site);
    simt::count_access(simt::Access::write, to, bytes, site);
  }
  simt::copy_async(to, from, bytes, valid_bytes, site);
#endif
}

/// Ends this thread's group of copies; an empty group counts too.
FORNAX_DEVICE void copy_async_commit() {
#if FORNAX_PTX
  asm volatile("cp.async.commit_group;" ::: "memory");
#elif FORNAX_TWIN
  simt::copy_commit();
#endif
}

/// Until at most `pending` of this thread's groups are under way. Others see the bytes only after
/// a barrier.
template <int pending>
FORNAX_DEVICE void copy_async_wait() {
#if FORNAX_PTX
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
#elif FORNAX_TWIN
  simt::copy_wait(pending);
#endif
}

}  // namespace fornax::device
