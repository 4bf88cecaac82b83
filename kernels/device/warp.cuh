// Block and warp primitives: barriers, shuffles, votes. Every lane of the mask calls at one line.
// Shuffles and votes order no memory; sync_warp and sync_block do.
#pragma once
#include "simt_machine.h"

namespace fornax::device {

inline constexpr std::uint32_t kFullWarp = 0xffffffffu;

/// Waits for every thread of the block that has not left the kernel.
FORNAX_DEVICE void sync_block(FORNAX_SITE_ONLY) {
#if FORNAX_TWIN
  simt::sync_block(site);
#else
  __syncthreads();
#endif
}

/// Hardware barrier 1 .. 15 shared by `threads` threads, a multiple of 32.
FORNAX_DEVICE void sync_named(int barrier, int threads FORNAX_SITE) {
#if FORNAX_PTX
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
#elif FORNAX_TWIN
  simt::sync_named(barrier, threads, true, site);
#endif
}
/// Counts as an arrival at the barrier and goes on.
FORNAX_DEVICE void arrive_named(int barrier, int threads FORNAX_SITE) {
#if FORNAX_PTX
  asm volatile("bar.arrive %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
#elif FORNAX_TWIN
  simt::sync_named(barrier, threads, false, site);
#endif
}

FORNAX_DEVICE void sync_warp(std::uint32_t mask = kFullWarp FORNAX_SITE) {
#if FORNAX_TWIN
  simt::sync_warp(mask, site);
#else
  __syncwarp(mask);
#endif
}

/// The value of lane (own lane xor `distance`). T: 4 or 8 bytes.
template <class T>
FORNAX_DEVICE T shuffle_xor(T value, int distance, std::uint32_t mask = kFullWarp FORNAX_SITE) {
#if FORNAX_TWIN
  simt::shuffle(mask, &value, sizeof value, simt::lane() ^ distance, site);
  return value;
#else
  return __shfl_xor_sync(mask, value, distance);
#endif
}
/// The value of lane (own lane + `distance`); lanes past the end keep their own.
template <class T>
FORNAX_DEVICE T shuffle_down(T value, int distance, std::uint32_t mask = kFullWarp FORNAX_SITE) {
#if FORNAX_TWIN
  const int from = simt::lane() + distance;
  simt::shuffle(mask, &value, sizeof value, from < 32 ? from : simt::lane(), site);
  return value;
#else
  return __shfl_down_sync(mask, value, static_cast<unsigned>(distance));
#endif
}
/// The value of lane (own lane - `distance`); lanes before the start keep their own.
template <class T>
FORNAX_DEVICE T shuffle_up(T value, int distance, std::uint32_t mask = kFullWarp FORNAX_SITE) {
#if FORNAX_TWIN
  const int from = simt::lane() - distance;
  simt::shuffle(mask, &value, sizeof value, from >= 0 ? from : simt::lane(), site);
  return value;
#else
  return __shfl_up_sync(mask, value, static_cast<unsigned>(distance));
#endif
}
/// The value of lane `from`.
template <class T>
FORNAX_DEVICE T shuffle(T value, int from, std::uint32_t mask = kFullWarp FORNAX_SITE) {
#if FORNAX_TWIN
  simt::shuffle(mask, &value, sizeof value, from & 31, site);
  return value;
#else
  return __shfl_sync(mask, value, from);
#endif
}

/// Bit i: lane i's predicate.
FORNAX_DEVICE std::uint32_t ballot(bool predicate, std::uint32_t mask = kFullWarp FORNAX_SITE) {
#if FORNAX_TWIN
  return simt::ballot(mask, predicate, site);
#else
  return __ballot_sync(mask, predicate);
#endif
}
FORNAX_DEVICE bool any(bool predicate, std::uint32_t mask = kFullWarp FORNAX_SITE) {
  return ballot(predicate, mask FORNAX_PASS_SITE) != 0;
}
FORNAX_DEVICE bool all(bool predicate, std::uint32_t mask = kFullWarp FORNAX_SITE) {
  return ballot(predicate, mask FORNAX_PASS_SITE) == mask;
}

}  // namespace fornax::device
