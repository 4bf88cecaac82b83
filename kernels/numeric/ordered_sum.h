// Sums whose order is part of their definition, in scalar, vector, lane-wise and warp form.
//
// Element i of a chunk belongs to chain i mod 128. A chain adds its elements in order, starting
// from -0.0, the identity of IEEE addition, so a missing element changes nothing and an empty sum
// is -0.0. The chains are folded by halving: chain c takes chain c + 64, then c + 32, ... 1. A sum
// of more than kSumChunk elements is cut into chunks of kSumChunk, whose sums are added in order.
#if !defined(FORNAX_NUMERIC_ORDERED_SUM_H) || defined(FORNAX_NUMERIC_PER_TARGET)
#define FORNAX_NUMERIC_ORDERED_SUM_H
#if !defined(FORNAX_NUMERIC_PER_TARGET)
#include "kernels/numeric/scalar.h"
#endif
#include "kernels/numeric/namespace.h"

namespace FORNAX_NUMERIC_NAMESPACE {

constexpr int kChains = 128;
constexpr std::int64_t kSumChunk = 65536;
static_assert(kSumChunk % kChains == 0);

/// The chains that `value` belongs to go on by it.
template <class T>
FORNAX_NUMERIC_FN void add_to(T* chain, T value) {
  *chain = *chain + value;
}

/// The lanes folded by halving.
FORNAX_NUMERIC_FN float sum_of_lanes(float value) { return value; }

/// The chains of one chunk.
template <class T, int lanes>
struct Chains {
  static constexpr int registers = kChains / lanes;
  T chain[registers];

  FORNAX_NUMERIC_FN Chains() {
    for (int r = 0; r < registers; ++r) chain[r] = T(-0.0f);
  }
  /// Elements i .. i + kChains - 1.
  template <class Term>
  FORNAX_NUMERIC_FN void take(std::int64_t i, const Term& term) {
    for (int r = 0; r < registers; r += Wide<T>::parts)
      add_to(chain + r, term(i + r * lanes, typename Wide<T>::type()));
  }
  /// Elements i .. end - 1, fewer than kChains, and the fold.
  template <class Term>
  FORNAX_NUMERIC_FN float sum_with_rest(std::int64_t i, std::int64_t end, const Term& term);
};

template <class T, int lanes>
template <class Term>
FORNAX_NUMERIC_FN float Chains<T, lanes>::sum_with_rest(std::int64_t i, std::int64_t end,
                                                        const Term& term) {
  constexpr int parts = Wide<T>::parts;
  int r = 0;
  for (; i + parts * lanes <= end; r += parts, i += parts * lanes)
    add_to(chain + r, term(i, typename Wide<T>::type()));
  for (; i + lanes <= end; ++r, i += lanes) chain[r] = chain[r] + term(i, T());
  if (i < end) {
    if constexpr (std::is_invocable_v<const Term&, std::int64_t, T, std::int64_t>) {
      chain[r] = chain[r] + first_lanes(term(i, T(), end - i), end - i, -0.0f);
    } else {
      alignas(64) float lane[lanes];
      for (int j = 0; j < lanes; ++j) lane[j] = i + j < end ? term(i + j, float()) : -0.0f;
      chain[r] = chain[r] + load(lane, T());
    }
  }
  for (int half = registers / 2; half > 0; half /= 2)
    for (int c = 0; c < half; ++c) chain[c] = chain[c] + chain[c + half];
  return sum_of_lanes(chain[0]);
}

/// One chunk: the sum of term(i, T()) for i in [begin, end), begin a multiple of kChains. T holds
/// `lanes` consecutive elements; term(i, T()) gives elements i .. i + lanes - 1, term(i, float())
/// one and term(i, Wide<T>::type()) as many as that holds; a term that also takes (i, T(), count)
/// gives the last count < lanes elements in the first lanes. A generic lambda does; in a file
/// compiled per instruction set write FORNAX_LAMBDA after its parameters.
template <class T, int lanes, class Term>
FORNAX_NUMERIC_FN float ordered_chunk(std::int64_t begin, std::int64_t end, const Term& term) {
  Chains<T, lanes> chains;
  std::int64_t i = begin;
  for (; i + kChains <= end; i += kChains) chains.take(i, term);
  return chains.sum_with_rest(i, end, term);
}

/// Chunks that are summed in turns: memory hands over several streams quicker than one.
constexpr int kChunksAtOnce = 4;

/// sums[k] = the sum of chunk k of `count` elements for k in [begin, end). at_once: fewer for terms
/// that read several arrays, whose chains then stay in registers.
template <class T, int lanes, int at_once = kChunksAtOnce, class Term>
FORNAX_NUMERIC_FN void ordered_chunk_sums(std::int64_t begin, std::int64_t end, std::int64_t count,
                                          const Term& term, float* sums) {
  const auto last_of = [=](std::int64_t k) {
    return count - k < kSumChunk ? count : k + kSumChunk;
  };
  std::int64_t k = begin;
  for (; (k + at_once) * kSumChunk <= count && k + at_once <= end; k += at_once) {
    Chains<T, lanes> chains[at_once];
    for (std::int64_t i = k * kSumChunk; i < (k + 1) * kSumChunk; i += kChains)
      for (int c = 0; c < at_once; ++c) chains[c].take(i + c * kSumChunk, term);
    for (int c = 0; c < at_once; ++c) sums[k + c] = chains[c].sum_with_rest(0, 0, term);
  }
  for (; k < end; ++k)
    sums[k] = ordered_chunk<T, lanes>(k * kSumChunk, last_of(k * kSumChunk), term);
}

/// The sum of term over [0, count). Threads may share its chunks: see ordered_sum_of_chunks.
template <class T, int lanes, class Term>
FORNAX_NUMERIC_FN float ordered_sum(std::int64_t count, const Term& term) {
  float total = -0.0f;
  for (std::int64_t begin = 0; begin < count; begin += kSumChunk) {
    const std::int64_t end = count - begin < kSumChunk ? count : begin + kSumChunk;
    total = total + ordered_chunk<T, lanes>(begin, end, term);
  }
  return total;
}

/// term of a plain array.
struct Elements {
  const float* x;
  template <class T>
  FORNAX_NUMERIC_FN T operator()(std::int64_t i, T) const {
    return load(x + i, T());
  }
};

/// The sum of x[0 .. count).
template <class T, int lanes>
FORNAX_NUMERIC_FN float ordered_sum(const float* x, std::int64_t count) {
  return ordered_sum<T, lanes>(count, Elements{x});
}

/// The same from chunk sums made elsewhere (by threads or blocks), chunk_sums[k] over chunk k.
FORNAX_NUMERIC_FN float ordered_sum_of_chunks(const float* chunk_sums, std::int64_t chunks) {
  float total = -0.0f;
  for (std::int64_t k = 0; k < chunks; ++k) total = total + chunk_sums[k];
  return total;
}

/// Lane-wise form: every lane of T has a sum of its own over i in [0, count); term(i) gives T. Sums
/// over rows of a matrix use it with neighbouring columns in the lanes. T = float is the definition
/// itself.
template <class T, class Term>
FORNAX_NUMERIC_FN T ordered_sum_lanewise(std::int64_t count, const Term& term) {
  T total = T(-0.0f), chain[kChains];
  for (std::int64_t begin = 0; begin < count; begin += kSumChunk) {
    const std::int64_t elements = count - begin < kSumChunk ? count - begin : kSumChunk;
    for (int c = 0; c < kChains; ++c) chain[c] = T(-0.0f);
    for (std::int64_t i = 0; i < elements; ++i)
      chain[i % kChains] = chain[i % kChains] + term(begin + i);
    for (int half = kChains / 2; half > 0; half /= 2)
      for (int c = 0; c < half; ++c) chain[c] = chain[c] + chain[c + half];
    total = total + chain[0];
  }
  return total;
}

/// The same fold in a warp, whose lane l holds chains 4l .. 4l+3 (one float4 load per 128
/// elements); every lane ends with the sum of the chunk. T is float on the device, or a model of 32
/// lanes on the host; shuffle_xor(T, mask) gives the value of lane ^ mask. IEEE addition commutes,
/// so the lanes agree.
template <class T, class Shuffle>
FORNAX_NUMERIC_FN T warp_fold(T c0, T c1, T c2, T c3, Shuffle shuffle_xor) {
  for (int mask = 16; mask > 0; mask /= 2) {
    c0 = c0 + shuffle_xor(c0, mask);
    c1 = c1 + shuffle_xor(c1, mask);
    c2 = c2 + shuffle_xor(c2, mask);
    c3 = c3 + shuffle_xor(c3, mask);
  }
  return (c0 + c2) + (c1 + c3);
}

}  // namespace FORNAX_NUMERIC_NAMESPACE
#endif
