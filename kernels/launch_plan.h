// Host side of kernels: dtypes that they take, and grids that cover arrays.
#pragma once
#include <algorithm>
#include <cstdint>

#include "kernels/device/types.cuh"
#include "kernels/op.h"

namespace fornax::device {

/// Calls visit(E()) with the element type of f32, bf16 or f16.
template <class Visit>
void with_element(DType dtype, const Visit& visit) {
  if (dtype == DType::bf16) return visit(bf16());
  if (dtype == DType::f16) return visit(f16());
  visit(float());
}

inline bool has_element(DType dtype) {
  return dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f16;
}

/// Blocks for `count` threads of a kernel that walks on by the grid's size; at least one.
inline Dim3 blocks_for(std::int64_t count, int block, std::int64_t most = 1 << 16) {
  const std::int64_t blocks = (count + block - 1) / block;
  return {static_cast<unsigned>(std::clamp<std::int64_t>(blocks, 1, most)), 1, 1};
}

template <class E>
bool aligned_to_four(const E* p) {
  return reinterpret_cast<std::uintptr_t>(p) % (4 * sizeof(E)) == 0;
}

}  // namespace fornax::device
