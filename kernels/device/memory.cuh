// Named loads and stores. On the host they check alignment and are counted by line: global sectors
// of 32 bytes, shared-memory wavefronts. The space follows from the address.
#pragma once
#include "simt_machine.h"
#include "types.cuh"

namespace fornax::device {

template <class T>
FORNAX_DEVICE T read(const T* from FORNAX_SITE) {
#if FORNAX_TWIN
  simt::check_aligned(from, alignof(T), site);
  if (simt::counting) simt::count_access(simt::Access::read, from, sizeof(T), site);
#endif
  return *from;
}
template <class T>
FORNAX_DEVICE void write(T* to, T value FORNAX_SITE) {
#if FORNAX_TWIN
  simt::check_aligned(to, alignof(T), site);
  if (simt::counting) simt::count_access(simt::Access::write, to, sizeof(T), site);
#endif
  *to = value;
}

/// Bytes of `from` as one V (float2, float4, uint2, uint4): aligned to sizeof(V).
template <class V, class T>
FORNAX_DEVICE V read_vector(const T* from FORNAX_SITE) {
#if FORNAX_TWIN
  simt::check_aligned(from, alignof(V), site);
  if (simt::counting) simt::count_access(simt::Access::read, from, sizeof(V), site);
  simt::check_read(from, sizeof(V));
  V value;
  std::memcpy(&value, from, sizeof value);
  return value;
#else
  return *reinterpret_cast<const V*>(from);
#endif
}
template <class V, class T>
FORNAX_DEVICE void write_vector(T* to, V value FORNAX_SITE) {
#if FORNAX_TWIN
  simt::check_aligned(to, alignof(V), site);
  if (simt::counting) simt::count_access(simt::Access::write, to, sizeof(V), site);
  simt::check_write(to, sizeof(V));
  std::memcpy(to, &value, sizeof value);
#else
  *reinterpret_cast<V*>(to) = value;
#endif
}
FORNAX_DEVICE float4 read4(const float* from FORNAX_SITE) {
  return read_vector<float4>(from FORNAX_PASS_SITE);
}
FORNAX_DEVICE void write4(float* to, float4 value FORNAX_SITE) {
  write_vector(to, value FORNAX_PASS_SITE);
}

}  // namespace fornax::device
