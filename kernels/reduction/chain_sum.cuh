// Chains of ordered sums with many reads under way: one by a thread, the 128 of a chunk by a block.
#pragma once
#include "kernels/device/element.cuh"
#include "kernels/device/shared.cuh"
#include "kernels/device/warp.cuh"
#include "kernels/numeric/ordered_sum.h"

namespace fornax::kernels {

/// -0.0 + term(begin) + ... + term(end - 1) in this order. `at_once` terms are read before they are
/// added; a missing one is -0.0, which changes nothing.
template <int at_once, class Term>
FORNAX_DEVICE float chain_sum(std::int64_t begin, std::int64_t end, const Term& term) {
  float sum = -0.0f, v[at_once];
  std::int64_t i = begin;
  for (; i + at_once <= end; i += at_once) {
#pragma unroll
    for (int j = 0; j < at_once; ++j) v[j] = term(i + j);
#pragma unroll
    for (int j = 0; j < at_once; ++j) sum = sum + v[j];
  }
  if (i >= end) return sum;
#pragma unroll
  for (int j = 0; j < at_once; ++j) v[j] = i + j < end ? term(i + j) : -0.0f;
#pragma unroll
  for (int j = 0; j < at_once; ++j) sum = sum + v[j];
  return sum;
}

/// Of x[0], x[stride], ..., `count` of them: sums of chunks, as a rule.
FORNAX_DEVICE float chain_sum_of(const float* x, std::int64_t count, std::int64_t stride) {
  return chain_sum<32>(0, count, [=](std::int64_t i) { return device::read(x + i * stride); });
}

struct SharedChains {
  device::SharedArray<float, numeric::kChains> chain;
};

/// Chain c of one chunk, by thread c < 128, to shared memory.
template <class Term>
FORNAX_DEVICE void sum_own_chain(SharedChains& shared, std::int64_t begin, std::int64_t end,
                                 const Term& term) {
  const std::int64_t first = begin + device::thread_index();
  const std::int64_t count = (end - first + numeric::kChains - 1) / numeric::kChains;
  device::write(&shared.chain[device::thread_index()], chain_sum<16>(0, count, [&](std::int64_t k) {
    return term(first + k * numeric::kChains);
  }));
}

/// By one warp, after a barrier; every lane has the sum of the chunk.
FORNAX_DEVICE float fold_chains(SharedChains& shared) {
  const device::Four c = device::read_four(&shared.chain[4 * device::lane_index()]);
  return numeric::warp_fold(c.v[0], c.v[1], c.v[2], c.v[3],
                            [](float v, int mask) { return device::shuffle_xor(v, mask); });
}

/// The sum of one chunk by a block of 128 threads; the threads of its first warp have it.
template <class Term>
FORNAX_DEVICE float block_chunk(std::int64_t begin, std::int64_t end, const Term& term) {
  SharedChains& shared = device::shared_memory<SharedChains>();
  sum_own_chain(shared, begin, end, term);
  device::sync_block();
  return device::warp_index() == 0 ? fold_chains(shared) : 0.0f;
}

/// The ordered sum of `count` terms by a block of 128 threads; its first warp has it.
template <class Term>
FORNAX_DEVICE float block_sum(std::int64_t count, const Term& term) {
  float total = -0.0f;
  for (std::int64_t begin = 0; begin < count; begin += numeric::kSumChunk) {
    const std::int64_t rest = count - begin;
    total =
        total +
        block_chunk(begin, begin + (rest < numeric::kSumChunk ? rest : numeric::kSumChunk), term);
    device::sync_block();
  }
  return total;
}

/// The maximum of x[0 .. count) by a block of 128 threads, for all of them; NaN when there is one.
FORNAX_DEVICE float block_maximum(const float* x, std::int64_t count) {
  constexpr int kAtOnce = 16;
  SharedChains& shared = device::shared_memory<SharedChains>();
  float largest = device::read(x);
  for (std::int64_t i = device::thread_index(); i < count; i += kAtOnce * numeric::kChains) {
    float v[kAtOnce];
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      const std::int64_t at = i + j * numeric::kChains;
      v[j] = device::read(x + (at < count ? at : count - 1));
    }
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) largest = numeric::max(largest, v[j]);
  }
  device::write(&shared.chain[device::thread_index()], largest);
  device::sync_block();
  const device::Four c = device::read_four(&shared.chain[4 * device::lane_index()]);
  for (int j = 0; j < 4; ++j) largest = numeric::max(largest, c.v[j]);
  for (int mask = 16; mask > 0; mask /= 2)
    largest = numeric::max(largest, device::shuffle_xor(largest, mask));
  device::sync_block();
  return largest;
}

}  // namespace fornax::kernels
