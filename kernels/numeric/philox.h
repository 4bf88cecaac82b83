// Random numbers by counter: Philox-4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random
// numbers: as easy as 1, 2, 3"). A value depends on (seed, purpose, step, element) alone.
#if !defined(FORNAX_NUMERIC_PHILOX_H) || defined(FORNAX_NUMERIC_PER_TARGET)
#define FORNAX_NUMERIC_PHILOX_H
#if !defined(FORNAX_NUMERIC_PER_TARGET)
#include "kernels/numeric/elementary.h"
#include "kernels/numeric/scalar.h"
#include "kernels/numeric/trigonometry.h"
#endif
#include "kernels/numeric/namespace.h"

namespace FORNAX_NUMERIC_NAMESPACE {

/// Four words: std::uint32_t, or a vector of 32-bit integers that holds one block per lane.
template <class U>
struct PhiloxBlock {
  U word[4];
};

struct Nothing {
  FORNAX_NUMERIC_FN void operator()(int) const {}
};
/// The ten rounds over each of the counters in `blocks` with the key (key0, key1). A counter is one
/// chain of dependent products; several side by side hide their latency. beside(round): other work.
template <int count, class U, class Beside>
FORNAX_NUMERIC_FN void philox4x32_10(PhiloxBlock<U> (&blocks)[count], std::uint32_t key0,
                                     std::uint32_t key1, const Beside& beside) {
  constexpr std::uint32_t m0 = 0xd2511f53u, m1 = 0xcd9e8d57u;
#if !defined(__CUDACC__)  // nvcc unrolls by itself
#pragma GCC unroll 10
#endif
  for (int round = 0; round < 10; ++round) {
    for (PhiloxBlock<U>& block : blocks) {
      const auto first = multiply_wide(block.word[0], U(m0));
      const auto second = multiply_wide(block.word[2], U(m1));
      block = {{second.high ^ block.word[1] ^ U(key0), second.low,
                first.high ^ block.word[3] ^ U(key1), first.low}};
    }
    beside(round);
    key0 += 0x9e3779b9u;
    key1 += 0xbb67ae85u;
  }
}
template <int count, class U>
FORNAX_NUMERIC_FN void philox4x32_10(PhiloxBlock<U> (&blocks)[count], std::uint32_t key0,
                                     std::uint32_t key1) {
  philox4x32_10(blocks, key0, key1, Nothing());
}

/// The upper 24 bits of a word as a float in [0, 1): k 2^-24.
FORNAX_NUMERIC_FN float unit_interval(std::uint32_t word) {
  return to_float(static_cast<std::int32_t>(word >> 8)) * 0x1p-24f;
}

#if !defined(FORNAX_NUMERIC_PER_TARGET)  // the rest exists for float alone

/// Which random numbers: seed of the run, purpose (purpose_id of a module's path), step of
/// training.
struct RandomStream {
  std::uint64_t seed;
  std::uint32_t purpose;
  std::uint32_t step;
};

/// The blocks of a stream: element e is word e mod 4 of block e / 4. A block's counter is (low and
/// high word of its number, purpose, step); the key is the seed.
FORNAX_NUMERIC_FN PhiloxBlock<std::uint32_t> random_block(RandomStream stream,
                                                          std::uint64_t block) {
  PhiloxBlock<std::uint32_t> words[1] = {
      {{static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32), stream.purpose,
        stream.step}}};
  philox4x32_10(words, static_cast<std::uint32_t>(stream.seed),
                static_cast<std::uint32_t>(stream.seed >> 32));
  return words[0];
}

FORNAX_NUMERIC_FN std::uint32_t random_word(RandomStream stream, std::uint64_t element) {
  return random_block(stream, element / 4).word[element % 4];
}

/// Uniform in [0, 1).
FORNAX_NUMERIC_FN float random_uniform(RandomStream stream, std::uint64_t element) {
  return unit_interval(random_word(stream, element));
}

/// Two independent standard normals from two words (Box and Muller 1958); at most 5.77 in
/// magnitude.
struct NormalPair {
  float first, second;
};
FORNAX_NUMERIC_FN NormalPair box_muller(std::uint32_t radius_word, std::uint32_t angle_word) {
  const float u = to_float(static_cast<std::int32_t>(radius_word >> 8) + 1) * 0x1p-24f;  // (0, 1]
  const float radius = sqrt(-2.0f * log(u));
  const float angle = unit_interval(angle_word) * 0x1.921fb6p+2f;  // 2 pi
  return {radius * cos(angle), radius * sin(angle)};
}

/// Standard normal: elements 2k and 2k + 1 of a block share the words 2k and 2k + 1.
FORNAX_NUMERIC_FN float random_normal(RandomStream stream, std::uint64_t element) {
  const auto block = random_block(stream, element / 4);
  const bool upper = element % 4 >= 2;
  const NormalPair pair =
      box_muller(upper ? block.word[2] : block.word[0], upper ? block.word[3] : block.word[1]);
  return element % 2 == 0 ? pair.first : pair.second;
}

/// purpose of a module's path or any other name: FNV-1a, 32 bits.
constexpr std::uint32_t purpose_id(const char* name, std::int64_t length) {
  std::uint32_t hash = 0x811c9dc5u;
  for (std::int64_t i = 0; i < length; ++i)
    hash = (hash ^ static_cast<unsigned char>(name[i])) * 0x01000193u;
  return hash;
}

/// base^exponent by squaring, in double; exponent >= 0. Bias correction of Adam: 1 - pow_int(beta,
/// t).
FORNAX_NUMERIC_FN double pow_int(double base, std::int64_t exponent) {
  double result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) result = result * base;
    base = base * base;
  }
  return result;
}
#endif

}  // namespace FORNAX_NUMERIC_NAMESPACE
#endif
