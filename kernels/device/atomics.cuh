// Atomics on int, unsigned and 64-bit unsigned, for flags, counters and maxima; never on floats,
// whose sum would depend on the order. Relaxed, at device scope, unless the name says otherwise.
#pragma once
#include <type_traits>

#include "simt_machine.h"

namespace fornax::device {

using u64 = unsigned long long;

/// All return the old value.
template <class T>
FORNAX_DEVICE T atomic_add(T* at, T value FORNAX_SITE) {
#if FORNAX_TWIN
  static_assert(std::is_integral_v<T> && sizeof(T) >= 4);
  const T old = __atomic_fetch_add(at, value, __ATOMIC_RELAXED);
  simt::atomic_made(true, site);
  return old;
#else
  return atomicAdd(at, value);
#endif
}
template <class T>
FORNAX_DEVICE T atomic_compare_swap(T* at, T expected, T value FORNAX_SITE) {
#if FORNAX_TWIN
  static_assert(std::is_integral_v<T> && sizeof(T) >= 4);
  const bool wrote =
      __atomic_compare_exchange_n(at, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  simt::atomic_made(wrote, site);
  return expected;
#else
  return atomicCAS(at, expected, value);
#endif
}
template <class T>
FORNAX_DEVICE T atomic_exchange(T* at, T value FORNAX_SITE) {
#if FORNAX_TWIN
  static_assert(std::is_integral_v<T> && sizeof(T) >= 4);
  const T old = __atomic_exchange_n(at, value, __ATOMIC_RELAXED);
  simt::atomic_made(old != value, site);
  return old;
#else
  return atomicExch(at, value);
#endif
}
#if FORNAX_TWIN
template <class T, class Better>
T replace_if(T* at, T value, Better better, Site site) {
  T old = __atomic_load_n(at, __ATOMIC_RELAXED);
  while (better(value, old) &&
         !__atomic_compare_exchange_n(at, &old, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  simt::atomic_made(better(value, old), site);
  return old;
}
#endif
template <class T>
FORNAX_DEVICE T atomic_max(T* at, T value FORNAX_SITE) {
#if FORNAX_TWIN
  return replace_if(
      at, value, [](T a, T b) { return a > b; }, site);
#else
  return atomicMax(at, value);
#endif
}
template <class T>
FORNAX_DEVICE T atomic_min(T* at, T value FORNAX_SITE) {
#if FORNAX_TWIN
  return replace_if(
      at, value, [](T a, T b) { return a < b; }, site);
#else
  return atomicMin(at, value);
#endif
}

/// Sees what happened before the release that wrote the value. T: 4 bytes.
FORNAX_DEVICE unsigned load_acquire(const unsigned* at FORNAX_SITE) {
#if FORNAX_PTX
  unsigned value;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(at) : "memory");
  return value;
#elif FORNAX_TWIN
  const unsigned value = __atomic_load_n(at, __ATOMIC_ACQUIRE);
  simt::atomic_made(false, site);
  return value;
#else
  return *at;
#endif
}
FORNAX_DEVICE void store_release(unsigned* at, unsigned value FORNAX_SITE) {
#if FORNAX_PTX
  asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(at), "r"(value) : "memory");
#elif FORNAX_TWIN
  __atomic_store_n(at, value, __ATOMIC_RELEASE);
  simt::atomic_made(true, site);
#endif
}
/// Orders this thread's earlier accesses before its later ones for the whole device
/// (__threadfence); a flag needs one on both sides.
FORNAX_DEVICE void fence_device() {
#if FORNAX_TWIN
  simt::fence_device();
#else
  __threadfence();
#endif
}

}  // namespace fornax::device
