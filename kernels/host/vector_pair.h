// Two vectors side by side, of the same operations: the functions of kernels/numeric are chains of
// dependent operations, and several chains at once hide their latency. Included by vector.h.
#if defined(FORNAX_VECTOR_PAIR_TOGGLE) == defined(HWY_TARGET_TOGGLE)
#ifdef FORNAX_VECTOR_PAIR_TOGGLE
#undef FORNAX_VECTOR_PAIR_TOGGLE
#else
#define FORNAX_VECTOR_PAIR_TOGGLE
#endif
#include <concepts>
#include <type_traits>

HWY_BEFORE_NAMESPACE();
namespace fornax::numeric::HWY_NAMESPACE {

/// V: Vector, VectorInt, Mask or a pair of them. Lanes of `first` come before those of `second`.
template <class V>
struct Pair {
  V first, second;
  FORNAX_NUMERIC_FN Pair() : first(), second() {}
  FORNAX_NUMERIC_FN Pair(V a, V b) : first(a), second(b) {}
  template <class Number>
  requires std::is_arithmetic_v<Number> FORNAX_NUMERIC_FN explicit(!std::convertible_to<Number, V>)
      Pair(Number all)
      : first(all), second(all) {}

  friend FORNAX_NUMERIC_FN Pair operator+(Pair a, Pair b) {
    return {a.first + b.first, a.second + b.second};
  }
  friend FORNAX_NUMERIC_FN Pair operator-(Pair a, Pair b) {
    return {a.first - b.first, a.second - b.second};
  }
  friend FORNAX_NUMERIC_FN Pair operator*(Pair a, Pair b) {
    return {a.first * b.first, a.second * b.second};
  }
  friend FORNAX_NUMERIC_FN Pair operator/(Pair a, Pair b) {
    return {a.first / b.first, a.second / b.second};
  }
  friend FORNAX_NUMERIC_FN Pair operator&(Pair a, Pair b) {
    return {a.first & b.first, a.second & b.second};
  }
  friend FORNAX_NUMERIC_FN Pair operator|(Pair a, Pair b) {
    return {a.first | b.first, a.second | b.second};
  }
  friend FORNAX_NUMERIC_FN Pair operator^(Pair a, Pair b) {
    return {a.first ^ b.first, a.second ^ b.second};
  }
  friend FORNAX_NUMERIC_FN Pair operator!(Pair a) { return {!a.first, !a.second}; }
  friend FORNAX_NUMERIC_FN auto operator<(Pair a, Pair b) {
    return Pair<decltype(a.first < b.first)>(a.first < b.first, a.second < b.second);
  }
  friend FORNAX_NUMERIC_FN auto operator<=(Pair a, Pair b) {
    return Pair<decltype(a.first <= b.first)>(a.first <= b.first, a.second <= b.second);
  }
  friend FORNAX_NUMERIC_FN auto operator>(Pair a, Pair b) {
    return Pair<decltype(a.first > b.first)>(a.first > b.first, a.second > b.second);
  }
  friend FORNAX_NUMERIC_FN auto operator>=(Pair a, Pair b) {
    return Pair<decltype(a.first >= b.first)>(a.first >= b.first, a.second >= b.second);
  }
  friend FORNAX_NUMERIC_FN auto operator==(Pair a, Pair b) {
    return Pair<decltype(a.first == b.first)>(a.first == b.first, a.second == b.second);
  }
  friend FORNAX_NUMERIC_FN auto operator!=(Pair a, Pair b) {
    return Pair<decltype(a.first != b.first)>(a.first != b.first, a.second != b.second);
  }
};

/// Four vectors: as many chains as hide the latency of fma, measured against one and two.
using Quad = Pair<Pair<Vector>>;
template <>
struct Wide<Vector> {
  using type = Quad;
  static constexpr int parts = 4;
};

template <class V>
FORNAX_NUMERIC_FN Pair<V> fma(Pair<V> a, Pair<V> b, Pair<V> c) {
  return {fma(a.first, b.first, c.first), fma(a.second, b.second, c.second)};
}
template <class V>
FORNAX_NUMERIC_FN Pair<V> at_least(Pair<V> x, float low) {
  return {at_least(x.first, low), at_least(x.second, low)};
}
template <class V>
FORNAX_NUMERIC_FN Pair<V> at_most(Pair<V> x, float high) {
  return {at_most(x.first, high), at_most(x.second, high)};
}
template <class V>
FORNAX_NUMERIC_FN Pair<V> negate(Pair<V> a) {
  return {negate(a.first), negate(a.second)};
}
template <class V>
FORNAX_NUMERIC_FN Pair<V> sqrt(Pair<V> a) {
  return {sqrt(a.first), sqrt(a.second)};
}
template <class V>
FORNAX_NUMERIC_FN auto bits(Pair<V> a) {
  return Pair<decltype(bits(a.first))>(bits(a.first), bits(a.second));
}
template <class V>
FORNAX_NUMERIC_FN auto from_bits(Pair<V> a) {
  return Pair<decltype(from_bits(a.first))>(from_bits(a.first), from_bits(a.second));
}
template <class V>
FORNAX_NUMERIC_FN auto to_float(Pair<V> a) {
  return Pair<decltype(to_float(a.first))>(to_float(a.first), to_float(a.second));
}
template <int by, class V>
FORNAX_NUMERIC_FN Pair<V> shift_left(Pair<V> a) {
  return {shift_left<by>(a.first), shift_left<by>(a.second)};
}
template <int by, class V>
FORNAX_NUMERIC_FN Pair<V> shift_right(Pair<V> a) {
  return {shift_right<by>(a.first), shift_right<by>(a.second)};
}
template <int by, class V>
FORNAX_NUMERIC_FN Pair<V> shift_right_logical(Pair<V> a) {
  return {shift_right_logical<by>(a.first), shift_right_logical<by>(a.second)};
}
template <class V>
FORNAX_NUMERIC_FN auto negative(Pair<V> a) {
  return Pair<decltype(negative(a.first))>(negative(a.first), negative(a.second));
}
template <class V>
FORNAX_NUMERIC_FN bool any(Pair<V> which) {
  return any(which.first) || any(which.second);
}
template <class M, class V>
FORNAX_NUMERIC_FN Pair<V> select(Pair<M> which, Pair<V> yes, Pair<V> no) {
  return {select(which.first, yes.first, no.first), select(which.second, yes.second, no.second)};
}

/// 32-bit lanes of a type.
template <class V>
constexpr std::int64_t lanes_of = sizeof(V) / sizeof(float);

template <class V>
FORNAX_NUMERIC_FN Pair<V> load(const float* from, Pair<V>) {
  return {load(from, V()), load(from + lanes_of<V>, V())};
}
template <class V>
FORNAX_NUMERIC_FN void store(Pair<V> value, float* to) {
  store(value.first, to);
  store(value.second, to + lanes_of<V>);
}
/// Past the caches; `to` is aligned to a vector.
FORNAX_NUMERIC_FN void stream(Vector value, float* to) { hn::Stream(value.raw, FloatTag(), to); }
template <class V>
FORNAX_NUMERIC_FN void stream(Pair<V> value, float* to) {
  stream(value.first, to);
  stream(value.second, to + lanes_of<V>);
}
/// See ordered_sum.h.
template <class V>
FORNAX_NUMERIC_FN void add_to(Vector* chain, Pair<V> value) {
  add_to(chain, value.first);
  add_to(chain + lanes_of<V> / kLanes, value.second);
}

}  // namespace fornax::numeric::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
