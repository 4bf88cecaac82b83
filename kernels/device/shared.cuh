// The block's shared memory as one struct of SharedArrays: its size is the launch's shared_bytes.
#pragma once
#include "simt_machine.h"

namespace fornax::device {

template <class T, int... extents>
struct ArrayOf {
  using type = T;
};
template <class T, int n, int... rest>
struct ArrayOf<T, n, rest...> {
  using type = typename ArrayOf<T, rest...>::type[n];
};

/// T[n]...[m] in shared memory. Under ASan a poisoned gap follows it, which shows a step past its
/// end; every other build has the layout of the device.
template <class T, int... extents>
struct alignas(16) SharedArray {
  typename ArrayOf<T, extents...>::type values;
  FORNAX_DEVICE auto& operator[](int i) { return values[i]; }
#if FORNAX_TWIN && defined(SIMT_ADDRESS)
  alignas(16) unsigned char gap[64];
  SharedArray() { simt::guard(gap, sizeof gap); }
#endif
};

#if FORNAX_TWIN
/// The struct of this block; its bytes are NaN patterns until something is written.
template <class Shared>
Shared& shared_memory(FORNAX_SITE_ONLY) {
  bool first = false;
  void* bytes = simt::shared_memory(sizeof(Shared), &first, site);
  return first ? *new (bytes) Shared : *static_cast<Shared*>(bytes);
}
#else
extern __shared__ __align__(128) unsigned char fornax_dynamic_shared[];
template <class Shared>
FORNAX_DEVICE Shared& shared_memory() {
  return *reinterpret_cast<Shared*>(fornax_dynamic_shared);
}
#endif

#if FORNAX_PTX
FORNAX_DEVICE unsigned shared_address(const void* p) {
  return static_cast<unsigned>(__cvta_generic_to_shared(p));
}
#endif

}  // namespace fornax::device
