// Vectors of floats and of 32-bit integers over Google Highway, with the operations that the
// templates of kernels/numeric need; and those templates for them. For kernel files: see
// dispatch.h. All in fornax::numeric::HWY_NAMESPACE. Included again for every instruction set: a
// toggled guard.
#if defined(FORNAX_VECTOR_TOGGLE) == defined(HWY_TARGET_TOGGLE)
#ifdef FORNAX_VECTOR_TOGGLE
#undef FORNAX_VECTOR_TOGGLE
#else
#define FORNAX_VECTOR_TOGGLE
#endif
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "kernels/numeric/numeric.h"
static_assert(HWY_NATIVE_FMA, "MulAdd would round twice here; build with FORNAX_NUMERIC_FLAGS");

HWY_BEFORE_NAMESPACE();
#define FORNAX_NUMERIC_PER_TARGET
#include "kernels/numeric/scalar.h"

namespace fornax::numeric::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using IntTag = hn::ScalableTag<std::int32_t>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(FloatTag()));

/// A truth value per lane.
struct Mask {
  hn::Mask<FloatTag> raw;
  friend FORNAX_NUMERIC_FN Mask operator&(Mask a, Mask b) { return {hn::And(a.raw, b.raw)}; }
  friend FORNAX_NUMERIC_FN Mask operator|(Mask a, Mask b) { return {hn::Or(a.raw, b.raw)}; }
  friend FORNAX_NUMERIC_FN Mask operator!(Mask a) { return {hn::Not(a.raw)}; }
};

/// 32-bit integers that wrap; also the 32-bit words of Philox.
struct VectorInt {
  hn::Vec<IntTag> raw;
  FORNAX_NUMERIC_FN VectorInt() : raw(hn::Zero(IntTag())) {}
  FORNAX_NUMERIC_FN explicit VectorInt(hn::Vec<IntTag> from) : raw(from) {}
  FORNAX_NUMERIC_FN VectorInt(std::int32_t all) : raw(hn::Set(IntTag(), all)) {}
  FORNAX_NUMERIC_FN explicit VectorInt(std::uint32_t all)
      : raw(hn::Set(IntTag(), static_cast<std::int32_t>(all))) {}
  using V = VectorInt;
  friend FORNAX_NUMERIC_FN V operator+(V a, V b) { return V(hn::Add(a.raw, b.raw)); }
  friend FORNAX_NUMERIC_FN V operator-(V a, V b) { return V(hn::Sub(a.raw, b.raw)); }
  friend FORNAX_NUMERIC_FN V operator*(V a, V b) { return V(hn::Mul(a.raw, b.raw)); }
  friend FORNAX_NUMERIC_FN V operator&(V a, V b) { return V(hn::And(a.raw, b.raw)); }
  friend FORNAX_NUMERIC_FN V operator|(V a, V b) { return V(hn::Or(a.raw, b.raw)); }
  friend FORNAX_NUMERIC_FN V operator^(V a, V b) { return V(hn::Xor(a.raw, b.raw)); }
  friend FORNAX_NUMERIC_FN Mask operator==(V a, V b) {
    return {hn::RebindMask(FloatTag(), hn::Eq(a.raw, b.raw))};
  }
  friend FORNAX_NUMERIC_FN Mask operator<(V a, V b) {
    return {hn::RebindMask(FloatTag(), hn::Lt(a.raw, b.raw))};
  }
};

/// kLanes floats.
struct Vector {
  hn::Vec<FloatTag> raw;
  FORNAX_NUMERIC_FN Vector() : raw(hn::Zero(FloatTag())) {}
  FORNAX_NUMERIC_FN explicit Vector(hn::Vec<FloatTag> from) : raw(from) {}
  FORNAX_NUMERIC_FN explicit Vector(float all) : raw(hn::Set(FloatTag(), all)) {}
  FORNAX_NUMERIC_FN explicit Vector(int all) : Vector(static_cast<float>(all)) {}
  using V = Vector;
  friend FORNAX_NUMERIC_FN V operator+(V a, V b) { return V(hn::Add(a.raw, b.raw)); }
  friend FORNAX_NUMERIC_FN V operator-(V a, V b) { return V(hn::Sub(a.raw, b.raw)); }
  friend FORNAX_NUMERIC_FN V operator*(V a, V b) { return V(hn::Mul(a.raw, b.raw)); }
  friend FORNAX_NUMERIC_FN V operator/(V a, V b) { return V(hn::Div(a.raw, b.raw)); }
  friend FORNAX_NUMERIC_FN Mask operator<(V a, V b) { return {hn::Lt(a.raw, b.raw)}; }
  friend FORNAX_NUMERIC_FN Mask operator<=(V a, V b) { return {hn::Le(a.raw, b.raw)}; }
  friend FORNAX_NUMERIC_FN Mask operator>(V a, V b) { return {hn::Gt(a.raw, b.raw)}; }
  friend FORNAX_NUMERIC_FN Mask operator>=(V a, V b) { return {hn::Ge(a.raw, b.raw)}; }
  friend FORNAX_NUMERIC_FN Mask operator==(V a, V b) { return {hn::Eq(a.raw, b.raw)}; }
  // Highway's Ne is an ordered comparison on x86: NaN != NaN would be false.
  friend FORNAX_NUMERIC_FN Mask operator!=(V a, V b) { return {hn::Not(hn::Eq(a.raw, b.raw))}; }
};

FORNAX_NUMERIC_FN Vector fma(Vector a, Vector b, Vector c) {
  return Vector(hn::MulAdd(a.raw, b.raw, c.raw));
}
// On x86 min and max give their second operand where one is NaN; elsewhere NaN either way.
FORNAX_NUMERIC_FN Vector at_least(Vector x, float low) {
  return Vector(hn::Max(hn::Set(FloatTag(), low), x.raw));
}
FORNAX_NUMERIC_FN Vector at_most(Vector x, float high) {
  return Vector(hn::Min(hn::Set(FloatTag(), high), x.raw));
}
// A minus that compilers join with a product or a sum.
FORNAX_NUMERIC_FN Vector negate(Vector a) { return Vector(hn::Vec<FloatTag>{-a.raw.raw}); }
FORNAX_NUMERIC_FN Vector sqrt(Vector a) { return Vector(hn::Sqrt(a.raw)); }
FORNAX_NUMERIC_FN VectorInt bits(Vector a) { return VectorInt(hn::BitCast(IntTag(), a.raw)); }
FORNAX_NUMERIC_FN Vector from_bits(VectorInt a) { return Vector(hn::BitCast(FloatTag(), a.raw)); }
FORNAX_NUMERIC_FN Vector to_float(VectorInt a) { return Vector(hn::ConvertTo(FloatTag(), a.raw)); }
template <int by>
FORNAX_NUMERIC_FN VectorInt shift_left(VectorInt a) {
  return VectorInt(hn::ShiftLeft<by>(a.raw));
}
template <int by>
FORNAX_NUMERIC_FN VectorInt shift_right(VectorInt a) {
  return VectorInt(hn::ShiftRight<by>(a.raw));
}
template <int by>
FORNAX_NUMERIC_FN VectorInt shift_right_logical(VectorInt a) {
  const hn::RebindToUnsigned<IntTag> words;
  return VectorInt(hn::BitCast(IntTag(), hn::ShiftRight<by>(hn::BitCast(words, a.raw))));
}
FORNAX_NUMERIC_FN Mask negative(VectorInt a) { return a < VectorInt(0); }
FORNAX_NUMERIC_FN bool any(Mask which) { return !hn::AllFalse(FloatTag(), which.raw); }
FORNAX_NUMERIC_FN Vector select(Mask which, Vector yes, Vector no) {
  return Vector(hn::IfThenElse(which.raw, yes.raw, no.raw));
}
FORNAX_NUMERIC_FN VectorInt select(Mask which, VectorInt yes, VectorInt no) {
  return VectorInt(hn::IfThenElse(hn::RebindMask(IntTag(), which.raw), yes.raw, no.raw));
}
/// The odd lanes of words, each also one lower.
template <class V>
FORNAX_NUMERIC_FN V odd_words(V a) {
  const hn::DFromV<V> words;
  const hn::Repartition<std::uint64_t, decltype(words)> wide;
  return hn::BitCast(words, hn::ShiftRight<32>(hn::BitCast(wide, a)));
}
/// Every other lane at a time, as processors have no product of all.
FORNAX_NUMERIC_FN WideProduct<VectorInt> multiply_wide(VectorInt a, VectorInt b) {
  const hn::RebindToUnsigned<IntTag> words;
  const auto x = hn::BitCast(words, a.raw), y = hn::BitCast(words, b.raw);
  const auto even = hn::BitCast(words, hn::MulEven(x, y));
  const auto odd = hn::BitCast(words, hn::MulEven(odd_words(x), odd_words(y)));
  return {VectorInt(hn::BitCast(IntTag(), hn::OddEven(hn::DupEven(odd), even))),
          VectorInt(hn::BitCast(IntTag(), hn::OddEven(odd, hn::DupOdd(even))))};
}

/// Memory: no alignment is asked for. *_first touches `count` < kLanes elements only;
/// the other lanes are 0.
FORNAX_NUMERIC_FN Vector load(const float* from, Vector) {
  return Vector(hn::LoadU(FloatTag(), from));
}
FORNAX_NUMERIC_FN Vector load(const float* from) { return load(from, Vector()); }
FORNAX_NUMERIC_FN void store(Vector value, float* to) { hn::StoreU(value.raw, FloatTag(), to); }
FORNAX_NUMERIC_FN VectorInt load_int(const std::int32_t* from) {
  return VectorInt(hn::LoadU(IntTag(), from));
}
FORNAX_NUMERIC_FN void store(VectorInt value, std::int32_t* to) {
  hn::StoreU(value.raw, IntTag(), to);
}
FORNAX_NUMERIC_FN Vector load_first(const float* from, std::int64_t count) {
  const FloatTag d;
  return Vector(hn::MaskedLoad(hn::FirstN(d, static_cast<std::size_t>(count)), d, from));
}
FORNAX_NUMERIC_FN void store_first(Vector value, float* to, std::int64_t count) {
  const FloatTag d;
  hn::BlendedStore(value.raw, hn::FirstN(d, static_cast<std::size_t>(count)), d, to);
}
/// The first `count` < kLanes lanes of `value`, the others `rest`.
FORNAX_NUMERIC_FN Vector first_lanes(Vector value, std::int64_t count, float rest) {
  const FloatTag d;
  return Vector(
      hn::IfThenElse(hn::FirstN(d, static_cast<std::size_t>(count)), value.raw, hn::Set(d, rest)));
}
/// See ordered_sum.h.
template <class D>
FORNAX_NUMERIC_FN float sum_of_lanes(hn::VFromD<D> value) {
  if constexpr (hn::MaxLanes(D()) > 4) {
    const hn::Half<D> half;
    return sum_of_lanes<hn::Half<D>>(
        hn::Add(hn::LowerHalf(half, value), hn::UpperHalf(half, value)));
  } else {
    const auto pairs = hn::Add(value, hn::Shuffle1032(value));
    return hn::GetLane(hn::Add(pairs, hn::Shuffle2301(pairs)));
  }
}
FORNAX_NUMERIC_FN float sum_of_lanes(Vector value) { return sum_of_lanes<FloatTag>(value.raw); }
/// 0, 1, 2, ... in the lanes.
FORNAX_NUMERIC_FN VectorInt lane_numbers() { return VectorInt(hn::Iota(IntTag(), 0)); }

}  // namespace fornax::numeric::HWY_NAMESPACE

// The order matters here: each file stands on those above it.
// clang-format off
#include "kernels/host/vector_pair.h"
#include "kernels/numeric/elementary.h"
#include "kernels/numeric/activations.h"
#include "kernels/numeric/trigonometry.h"
#include "kernels/numeric/philox.h"
#include "kernels/numeric/convert.h"
#include "kernels/numeric/ordered_sum.h"
#include "kernels/host/vector_exp_log.h"
// clang-format on

namespace fornax::numeric::HWY_NAMESPACE {

/// Lanes above the moderate range go through the float form, one by one; angles so large are rare.
FORNAX_NUMERIC_FN ReducedAngle<Vector> reduce_angle(Vector x) {
  ReducedAngle<Vector> angle = reduce_moderate(x);
  if (any(!(abs(x) <= Vector(kModerateAngle)))) {
    alignas(64) float rest[kLanes];
    alignas(64) std::int32_t quadrant[kLanes];
    store(x, rest);
    for (int j = 0; j < kLanes; ++j) {
      const ReducedAngle<float> lane = reduce_angle(rest[j]);
      rest[j] = lane.rest;
      quadrant[j] = lane.quadrant;
    }
    angle = {load(rest), load_int(quadrant)};
  }
  return angle;
}

template <class V>
FORNAX_NUMERIC_FN ReducedAngle<Pair<V>> reduce_angle(Pair<V> x) {
  const auto first = reduce_angle(x.first), second = reduce_angle(x.second);
  return {{first.rest, second.rest}, {first.quadrant, second.quadrant}};
}

/// Loads kLanes 16-bit patterns, widened with zeros.
FORNAX_NUMERIC_FN VectorInt load_u16(const std::uint16_t* from) {
  const hn::Rebind<std::uint16_t, IntTag> halves;
  return VectorInt(hn::PromoteTo(IntTag(), hn::LoadU(halves, from)));
}
/// The low halves of two vectors as one; `streamed`: past the caches, `to` is aligned to a vector.
FORNAX_NUMERIC_FN void store_halves(Pair<VectorInt> value, std::uint16_t* to, bool streamed) {
  const hn::ScalableTag<std::uint16_t> d;
  const hn::Half<decltype(d)> half;
  const auto both =
      hn::Combine(d, hn::DemoteTo(half, value.second.raw), hn::DemoteTo(half, value.first.raw));
  streamed ? hn::Stream(both, d, to) : hn::StoreU(both, d, to);
}

/// As many 16-bit patterns as a T has lanes, widened.
FORNAX_NUMERIC_FN std::int32_t load_halves(const std::uint16_t* from, float) { return *from; }
FORNAX_NUMERIC_FN VectorInt load_halves(const std::uint16_t* from, Vector) {
  return load_u16(from);
}
template <class V>
FORNAX_NUMERIC_FN auto load_halves(const std::uint16_t* from, Pair<V>) {
  const auto first = load_halves(from, V());
  return Pair<std::remove_const_t<decltype(first)>>(first, load_halves(from + lanes_of<V>, V()));
}

/// word[j] of the block in lane 4 s + r to out[kLanes r + 4 s + j]: turns four words of four lanes
/// within 128 bits each.
FORNAX_NUMERIC_FN void store_blocks(const VectorInt (&word)[4], std::int32_t* out) {
  const IntTag d;
  const hn::Repartition<std::int64_t, IntTag> wide;
  const auto turn = [&](auto first, auto second, std::int32_t* to) FORNAX_LAMBDA {
    const auto a = hn::BitCast(wide, first), b = hn::BitCast(wide, second);
    hn::StoreU(hn::BitCast(d, hn::InterleaveLower(wide, a, b)), d, to);
    hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(wide, a, b)), d, to + kLanes);
  };
  turn(hn::InterleaveLower(d, word[0].raw, word[1].raw),
       hn::InterleaveLower(d, word[2].raw, word[3].raw), out);
  turn(hn::InterleaveUpper(d, word[0].raw, word[1].raw),
       hn::InterleaveUpper(d, word[2].raw, word[3].raw), out + 2 * kLanes);
}

/// Blocks that random_words makes: four vectors of them, measured against two and three.
constexpr int kRandomBlocks = 4 * kLanes;
/// out[0 .. 4 kRandomBlocks) = the words of the blocks first_block, ... of `stream`: the words of
/// elements 4 first_block and on. first_block: a multiple of kRandomBlocks, so that the low word of
/// the block numbers does not wrap among them. beside(round) for 0 to 9: other work.
template <class Beside = Nothing>
FORNAX_NUMERIC_FN void random_words(RandomStream stream, std::uint64_t first_block,
                                    std::int32_t* out, const Beside& beside = {}) {
  const auto lane = lane_numbers();
  const VectorInt low = VectorInt(static_cast<std::uint32_t>(first_block)) +
                        (lane & VectorInt(3)) * VectorInt(kLanes / 4) + shift_right<2>(lane);
  const auto counters = [&](int first) FORNAX_LAMBDA {
    return PhiloxBlock<VectorInt>{{low + VectorInt(first),
                                   VectorInt(static_cast<std::uint32_t>(first_block >> 32)),
                                   VectorInt(stream.purpose), VectorInt(stream.step)}};
  };
  PhiloxBlock<VectorInt> blocks[] = {counters(0), counters(kLanes), counters(2 * kLanes),
                                     counters(3 * kLanes)};
  philox4x32_10(blocks, static_cast<std::uint32_t>(stream.seed),
                static_cast<std::uint32_t>(stream.seed >> 32), beside);
  for (const auto& [word] : blocks) {
    store_blocks(word, out);
    out += 4 * kLanes;
  }
}
/// As many words as a T has lanes.
FORNAX_NUMERIC_FN std::int32_t load_words(const std::int32_t* from, float) { return *from; }
FORNAX_NUMERIC_FN VectorInt load_words(const std::int32_t* from, Vector) { return load_int(from); }
template <class V>
FORNAX_NUMERIC_FN auto load_words(const std::int32_t* from, Pair<V>) {
  const auto first = load_words(from, V());
  return Pair<std::remove_const_t<decltype(first)>>(first, load_words(from + lanes_of<V>, V()));
}

}  // namespace fornax::numeric::HWY_NAMESPACE

#include "kernels/host/vector_array.h"

HWY_AFTER_NAMESPACE();
#undef FORNAX_NUMERIC_PER_TARGET
#include "kernels/numeric/namespace.h"
#endif
