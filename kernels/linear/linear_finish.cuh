// What happens to finished outputs of a matrix product: bias, activation or its gradient.
#pragma once
#include "kernels/activation/activation_functions.h"
#include "kernels/device/element.cuh"
#include "kernels/linear/linear_tile.cuh"

namespace fornax::kernels {

template <class E>
FORNAX_DEVICE void finish_output(const TileProduct<E>& p, std::int64_t m, std::int64_t n,
                                 float value) {
  const std::int64_t at = m * p.N + n;
  if (p.partial) return device::write(p.partial + blockIdx.z * p.M * p.N + at, value);
  if (p.bias) value = value + device::read_element(p.bias + n);
  if (p.before) device::write_element(p.before + at, value);
  if (p.saved)
    value = numeric::activation_gradient(p.activation, value, device::read_element(p.saved + at));
  else
    value = numeric::activate(p.activation, value);
  device::write_element(p.c + at, value);
}

/// Of columns n .. n + 3. Only where p.whole_fours.
template <class E>
FORNAX_DEVICE void finish_four(const TileProduct<E>& p, std::int64_t m, std::int64_t n,
                               device::Four v) {
  const std::int64_t at = m * p.N + n;
  if (p.partial) return device::write_four(p.partial + blockIdx.z * p.M * p.N + at, v);
  if (p.bias) {
    const device::Four bias = device::read_four(p.bias + n);
    for (int j = 0; j < 4; ++j) v.v[j] = v.v[j] + bias.v[j];
  }
  if (p.before) device::write_four(p.before + at, v);
  if (p.saved) {
    const device::Four saved = device::read_four(p.saved + at);
    for (int j = 0; j < 4; ++j)
      v.v[j] = numeric::activation_gradient(p.activation, v.v[j], saved.v[j]);
  } else {
    for (int j = 0; j < 4; ++j) v.v[j] = numeric::activate(p.activation, v.v[j]);
  }
  device::write_four(p.c + at, v);
}

/// Finishes sums that lie in shared memory, so that global accesses are coalesced: `columns` of a
/// row neighbours, rows `pitch` apart, the first one output (m, n). `block` threads take part.
template <int rows, int columns, int pitch, int block, class E>
FORNAX_DEVICE void finish_tile(const TileProduct<E>& p, const float* sums, std::int64_t m,
                               std::int64_t n) {
  constexpr int kFours = columns / 4;
  if (p.whole_fours) {
#pragma unroll 1
    for (int e = device::thread_index(); e < rows * kFours; e += block) {
      const int row = e / kFours, column = e % kFours * 4;
      if (m + row < p.M && n + column < p.N)
        finish_four(p, m + row, n + column, device::read_four(sums + row * pitch + column));
    }
    return;
  }
#pragma unroll 1
  for (int e = device::thread_index(); e < rows * columns; e += block) {
    const int row = e / columns, column = e % columns;
    if (m + row < p.M && n + column < p.N)
      finish_output(p, m + row, n + column, device::read(sums + row * pitch + column));
  }
}

}  // namespace fornax::kernels
