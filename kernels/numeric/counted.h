// A number that only counts what is done with it: how many FLOPs the templates of kernels/numeric
// and their like take an element, for the costs of ops. A fma is two; comparisons, selections and
// operations on bits are none.
#pragma once
#include <type_traits>

#include "kernels/numeric/elementary.h"

namespace fornax::numeric::inline plain {

inline thread_local int counted_flops = 0;

struct Counted;
struct CountedMask {};

/// The bits of a Counted.
struct CountedInt {
  CountedInt() = default;
  CountedInt(std::int32_t) {}
  friend CountedInt operator+(CountedInt, CountedInt) { return {}; }
  friend CountedInt operator-(CountedInt, CountedInt) { return {}; }
  friend CountedInt operator&(CountedInt, CountedInt) { return {}; }
  friend CountedInt operator|(CountedInt, CountedInt) { return {}; }
  friend CountedInt operator^(CountedInt, CountedInt) { return {}; }
};

struct Counted {
  Counted() = default;
  explicit Counted(double) {}
  static Counted after(int flops) {
    counted_flops += flops;
    return {};
  }
  friend Counted operator+(Counted, Counted) { return after(1); }
  friend Counted operator-(Counted, Counted) { return after(1); }
  friend Counted operator*(Counted, Counted) { return after(1); }
  friend Counted operator/(Counted, Counted) { return after(1); }
  friend CountedMask operator<(Counted, Counted) { return {}; }
  friend CountedMask operator<=(Counted, Counted) { return {}; }
  friend CountedMask operator>(Counted, Counted) { return {}; }
  friend CountedMask operator>=(Counted, Counted) { return {}; }
  friend CountedMask operator==(Counted, Counted) { return {}; }
  friend CountedMask operator!=(Counted, Counted) { return {}; }
};

inline Counted fma(Counted, Counted, Counted) { return Counted::after(2); }
inline Counted sqrt(Counted) { return Counted::after(1); }
inline CountedInt bits(Counted) { return {}; }
inline Counted from_bits(CountedInt) { return {}; }
inline Counted to_float(CountedInt) { return {}; }
template <int by>
CountedInt shift_left(CountedInt) {
  return {};
}
template <int by>
CountedInt shift_right(CountedInt) {
  return {};
}
inline CountedMask negative(CountedInt) { return {}; }
inline Counted select(CountedMask, Counted, Counted) { return {}; }

/// Of one call of `function` with one, two or three Counted.
template <class Function>
double flops_of(const Function& function) {
  const Counted x;
  counted_flops = 0;
  if constexpr (std::is_invocable_v<Function, Counted>)
    function(x);
  else if constexpr (std::is_invocable_v<Function, Counted, Counted>)
    function(x, x);
  else
    function(x, x, x);
  return counted_flops;
}

}  // namespace fornax::numeric::inline plain
