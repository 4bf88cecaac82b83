// What CUDA kernels over rows of f32 share: a warp walks a row by fours, sums
// in the order of ordered_sum.h, and takes the maximum.
#pragma once
#include "kernels/device/element.cuh"
#include "kernels/device/warp.cuh"
#include "kernels/numeric/ordered_sum.h"

namespace fornax::kernels {

/// x[i .. i + valid) in the first places of a Four; one load when `aligned` and
/// valid == 4.
FORNAX_DEVICE device::Four read_up_to_four(const float* x, int valid, bool aligned FORNAX_SITE) {
  if (aligned && valid == 4) return device::read_four(x FORNAX_PASS_SITE);
  device::Four v{};
  for (int j = 0; j < valid; ++j) v.v[j] = device::read(x + j FORNAX_PASS_SITE);
  return v;
}
FORNAX_DEVICE void write_up_to_four(float* y, const device::Four& v, int valid,
                                    bool aligned FORNAX_SITE) {
  if (aligned && valid == 4) return device::write_four(y, v FORNAX_PASS_SITE);
  for (int j = 0; j < valid; ++j) device::write(y + j, v.v[j] FORNAX_PASS_SITE);
}

/// Calls visit(i, valid) for the fours of [begin, end) that are this lane's:
/// chains 4l .. 4l+3.
template <class Visit>
FORNAX_DEVICE void for_fours(std::int64_t begin, std::int64_t end, const Visit& visit) {
#pragma unroll 4
  for (std::int64_t i = begin + 4 * device::lane_index(); i < end; i += numeric::kChains)
    visit(i, end - i < 4 ? static_cast<int>(end - i) : 4);
}

/// The sum of one chunk; four(i, valid) gives the terms i .. i + 3 as a Four.
/// Every lane has it.
template <class Terms>
FORNAX_DEVICE float warp_chunk(std::int64_t begin, std::int64_t end, const Terms& four) {
  float c[4] = {-0.0f, -0.0f, -0.0f, -0.0f};
  for_fours(begin, end, [&](std::int64_t i, int valid) {
    const device::Four v = four(i, valid);
    for (int j = 0; j < 4; ++j)
      if (j < valid) c[j] = c[j] + v.v[j];
  });
  return numeric::warp_fold(c[0], c[1], c[2], c[3],
                            [](float v, int mask) { return device::shuffle_xor(v, mask); });
}

/// The ordered sum of `count` terms.
template <class Terms>
FORNAX_DEVICE float warp_sum(std::int64_t count, const Terms& four) {
  float total = -0.0f;
  for (std::int64_t begin = 0; begin < count; begin += numeric::kSumChunk) {
    const std::int64_t rest = count - begin;
    const std::int64_t end = begin + (rest < numeric::kSumChunk ? rest : numeric::kSumChunk);
    total = total + warp_chunk(begin, end, four);
  }
  return total;
}

/// The maximum of x[0 .. count); NaN when there is one.
FORNAX_DEVICE float warp_maximum(const float* x, std::int64_t count, bool aligned) {
  float largest = device::read(x);
  for_fours(0, count, [&](std::int64_t i, int valid) {
    const device::Four v = read_up_to_four(x + i, valid, aligned);
    for (int j = 0; j < 4; ++j)
      if (j < valid) largest = numeric::max(largest, v.v[j]);
  });
  for (int mask = 16; mask > 0; mask /= 2)
    largest = numeric::max(largest, device::shuffle_xor(largest, mask));
  return largest;
}

/// The ordered sum of e^(x - shift).
FORNAX_DEVICE float warp_sum_of_exp(const float* x, float shift, std::int64_t count, bool aligned) {
  return warp_sum(count, [=](std::int64_t i, int valid) {
    device::Four v = read_up_to_four(x + i, valid, aligned);
    for (int j = 0; j < 4; ++j) v.v[j] = numeric::exp(v.v[j] - shift);
    return v;
  });
}

}  // namespace fornax::kernels
