// exp and log of vectors, the bits of the templates of elementary.h. Included by vector.h.
#if defined(FORNAX_VECTOR_EXP_LOG_TOGGLE) == defined(HWY_TARGET_TOGGLE)
#ifdef FORNAX_VECTOR_EXP_LOG_TOGGLE
#undef FORNAX_VECTOR_EXP_LOG_TOGGLE
#else
#define FORNAX_VECTOR_EXP_LOG_TOGGLE
#endif

HWY_BEFORE_NAMESPACE();
namespace fornax::numeric::HWY_NAMESPACE {

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3

// AVX-512 scales by a power of two, takes exponent and significand apart and mends special values
// by one instruction each, right for every number: nothing to clamp or to test.

FORNAX_NUMERIC_FN Vector vector_of(__m512 raw) { return Vector(hn::Vec<FloatTag>{raw}); }

FORNAX_NUMERIC_FN Vector number_of(ExpParts<Vector> parts) {
  return vector_of(_mm512_scalef_ps(parts.mantissa.raw.raw, parts.n.raw.raw));
}
template <class V>
FORNAX_NUMERIC_FN Pair<V> number_of(ExpParts<Pair<V>> parts) {
  return {number_of(ExpParts<V>{parts.mantissa.first, parts.n.first, parts.shifted.first}),
          number_of(ExpParts<V>{parts.mantissa.second, parts.n.second, parts.shifted.second})};
}
FORNAX_NUMERIC_FN Vector normal_of(ExpParts<Vector> parts) { return number_of(parts); }
template <class V>
FORNAX_NUMERIC_FN Pair<V> normal_of(ExpParts<Pair<V>> parts) {
  return number_of(parts);
}

/// The significand is in [1, 2): from sqrt(2) on it is halved.
FORNAX_NUMERIC_FN LogParts<Vector> log_parts(Vector x) {
  const __m512 significand = _mm512_getmant_ps(x.raw.raw, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src);
  const __m512 exponent = _mm512_getexp_ps(x.raw.raw), one = _mm512_set1_ps(1.0f);
  const __mmask16 large =
      _mm512_cmp_ps_mask(significand, _mm512_set1_ps(from_bits(kRootTwoBits)), _CMP_GE_OQ);
  const __m512 near_one = _mm512_mask_mul_ps(significand, large, significand, _mm512_set1_ps(0.5f));
  return {vector_of(_mm512_sub_ps(near_one, one)),
          vector_of(_mm512_mask_add_ps(exponent, large, exponent, one))};
}
template <class V>
FORNAX_NUMERIC_FN LogParts<Pair<V>> log_parts(Pair<V> x) {
  const auto first = log_parts(x.first), second = log_parts(x.second);
  return {{first.f, second.f}, {first.k, second.k}};
}

/// Four bits for each of NaN, signalling NaN, 0, 1, -infinity, infinity, x < 0, x > 0: what becomes
/// of `value` there.
FORNAX_NUMERIC_FN Vector log_or_special(Vector value, Vector x) {
  constexpr int kValue = 0, kNanOfX = 2, kNan = 3, kMinusInfinity = 4, kInfinity = 5;
  constexpr int kTable = kNanOfX | kNanOfX << 4 | kMinusInfinity << 8 | kValue << 12 | kNan << 16 |
                         kInfinity << 20 | kNan << 24 | kValue << 28;
  return vector_of(_mm512_fixupimm_ps(value.raw.raw, x.raw.raw, _mm512_set1_epi32(kTable), 0));
}
template <class V>
FORNAX_NUMERIC_FN Pair<V> log_or_special(Pair<V> value, Pair<V> x) {
  return {log_or_special(value.first, x.first), log_or_special(value.second, x.second)};
}

#else

/// The largest of each lane as unsigned words.
FORNAX_NUMERIC_FN VectorInt largest_words(VectorInt a) { return a; }
template <class V>
FORNAX_NUMERIC_FN VectorInt largest_words(Pair<V> a) {
  const hn::RebindToUnsigned<IntTag> words;
  const auto first = hn::BitCast(words, largest_words(a.first).raw);
  const auto second = hn::BitCast(words, largest_words(a.second).raw);
  return VectorInt(hn::BitCast(IntTag(), hn::Max(first, second)));
}
/// Whether every word of `a`, unsigned, is at most `bound` >= 0. Bits of floats without a sign are
/// in the order of the numbers, those of NaN above all: one comparison for several vectors.
template <class I>
FORNAX_NUMERIC_FN bool all_at_most(I a, std::int32_t bound) {
  const hn::RebindToUnsigned<IntTag> words;
  const auto largest = hn::BitCast(words, largest_words(a).raw);
  return hn::AllFalse(words, hn::Gt(largest, hn::Set(words, static_cast<std::uint32_t>(bound))));
}

/// exp and log where every lane is an ordinary number, which is nearly always: nothing to clamp or
/// to select, the same bits. The bounds are those of exp_ordinary and log_parts_of_normal.
template <class V>
__attribute__((noinline, cold)) V exp_of_any(V x) {
  return number_of(exp_parts(clamp(x, -104.0f, 89.0f)));
}
template <class V>
FORNAX_NUMERIC_FN V exp_of_vectors(V x) {
  return all_at_most(bits(abs(x)), bits(80.0f)) ? exp_ordinary(x) : exp_of_any(x);
}
FORNAX_NUMERIC_FN Vector exp(Vector x) { return exp_of_vectors(x); }
FORNAX_NUMERIC_FN Vector exp_below(Vector x) { return exp_of_vectors(x); }
template <class V>
FORNAX_NUMERIC_FN Pair<V> exp(Pair<V> x) {
  return exp_of_vectors(x);
}
template <class V>
FORNAX_NUMERIC_FN Pair<V> exp_below(Pair<V> x) {
  return exp_of_vectors(x);
}

template <class V>
__attribute__((noinline, cold)) V log_of_any(V x) {
  return log<V>(x);
}
template <class V>
FORNAX_NUMERIC_FN V log_of_vectors(V x) {
  if (any(!(x >= V(kLeastNormal))) || any(x > V(kLargest))) return log_of_any(x);
  return log_of_parts(log_parts_of_normal(x, V(0)));
}
FORNAX_NUMERIC_FN Vector log(Vector x) { return log_of_vectors(x); }
template <class V>
FORNAX_NUMERIC_FN Pair<V> log(Pair<V> x) {
  return log_of_vectors(x);
}

#endif

}  // namespace fornax::numeric::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
