// What happens to a finished output of a matrix product: bias, activation or its gradient.
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

}  // namespace fornax::kernels
