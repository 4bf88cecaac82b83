// Elements of f32, bf16 and f16 tensors read and written as f32, one or four at a time.
#pragma once
#include <type_traits>

#include "memory.cuh"
#include "types.cuh"

namespace fornax::device {

FORNAX_DEVICE float to_float(float value) { return value; }

template <class E>
FORNAX_DEVICE E from_float(float value) {
  if constexpr (std::is_same_v<E, bf16>) {
    return to_bf16(value);
  } else if constexpr (std::is_same_v<E, f16>) {
    return to_f16(value);
  } else {
    return value;
  }
}

template <class E>
FORNAX_DEVICE float read_element(const E* from FORNAX_SITE) {
  return to_float(read(from FORNAX_PASS_SITE));
}
template <class E>
FORNAX_DEVICE void write_element(E* to, float value FORNAX_SITE) {
  write(to, from_float<E>(value) FORNAX_PASS_SITE);
}

/// Aligned to four elements.
struct Four {
  float v[4];
};
template <class E>
FORNAX_DEVICE Four read_four(const E* from FORNAX_SITE) {
  if constexpr (std::is_same_v<E, float>) {
    const float4 x = read4(from FORNAX_PASS_SITE);
    return {{x.x, x.y, x.z, x.w}};
  } else {
    const uint2 x = read_vector<uint2>(from FORNAX_PASS_SITE);
    return {{to_float(E{static_cast<std::uint16_t>(x.x & 0xffffu)}),
             to_float(E{static_cast<std::uint16_t>(x.x >> 16)}),
             to_float(E{static_cast<std::uint16_t>(x.y & 0xffffu)}),
             to_float(E{static_cast<std::uint16_t>(x.y >> 16)})}};
  }
}
template <class E>
FORNAX_DEVICE void write_four(E* to, const Four& x FORNAX_SITE) {
  if constexpr (std::is_same_v<E, float>) {
    write4(to, float4{x.v[0], x.v[1], x.v[2], x.v[3]} FORNAX_PASS_SITE);
  } else {
    const uint2 packed{pack(from_float<E>(x.v[0]), from_float<E>(x.v[1])),
                       pack(from_float<E>(x.v[2]), from_float<E>(x.v[3]))};
    write_vector(to, packed FORNAX_PASS_SITE);
  }
}

/// Index of this thread in a grid along x, and how many threads the grid has.
FORNAX_DEVICE std::int64_t grid_thread() {
  return static_cast<std::int64_t>(block_index()) * block_threads() + thread_index();
}
FORNAX_DEVICE std::int64_t grid_threads() {
  return static_cast<std::int64_t>(grid_blocks()) * block_threads();
}

}  // namespace fornax::device
