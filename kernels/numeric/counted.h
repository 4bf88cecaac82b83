// A number that only counts what is done with it: how many FLOPs and operations the templates of
// kernels/numeric and their like take an element, for the costs of ops. A fma is two FLOPs;
// comparisons, selections and operations on bits are none.
#pragma once
#include <type_traits>

#include "kernels/numeric/arithmetic.h"
#include "kernels/numeric/elementary.h"

namespace fornax::numeric::inline plain {

inline thread_local Arithmetic counted;
inline void count(int flops, int operations) {
  counted.flops += flops;
  counted.operations += operations;
}

struct CountedMask {
  static CountedMask after_one() {
    count(0, 1);
    return {};
  }
};

/// The bits of a Counted.
struct CountedInt {
  CountedInt() = default;
  CountedInt(std::int32_t) {}
  static CountedInt after_one() {
    count(0, 1);
    return {};
  }
  friend CountedInt operator+(CountedInt, CountedInt) { return after_one(); }
  friend CountedInt operator-(CountedInt, CountedInt) { return after_one(); }
  friend CountedInt operator&(CountedInt, CountedInt) { return after_one(); }
  friend CountedInt operator|(CountedInt, CountedInt) { return after_one(); }
  friend CountedInt operator^(CountedInt, CountedInt) { return after_one(); }
};

struct Counted {
  Counted() = default;
  explicit Counted(double) {}
  static Counted after(int flops, int operations) {
    count(flops, operations);
    return {};
  }
  friend Counted operator+(Counted, Counted) { return after(1, 1); }
  friend Counted operator-(Counted, Counted) { return after(1, 1); }
  friend Counted operator*(Counted, Counted) { return after(1, 1); }
  static Counted after_quotient() {
    counted.quotients += 1;
    return after(1, 1);
  }
  friend Counted operator/(Counted, Counted) { return after_quotient(); }
  friend CountedMask operator<(Counted, Counted) { return CountedMask::after_one(); }
  friend CountedMask operator<=(Counted, Counted) { return CountedMask::after_one(); }
  friend CountedMask operator>(Counted, Counted) { return CountedMask::after_one(); }
  friend CountedMask operator>=(Counted, Counted) { return CountedMask::after_one(); }
  friend CountedMask operator==(Counted, Counted) { return CountedMask::after_one(); }
  friend CountedMask operator!=(Counted, Counted) { return CountedMask::after_one(); }
};

inline Counted fma(Counted, Counted, Counted) { return Counted::after(2, 1); }
inline Counted sqrt(Counted) { return Counted::after_quotient(); }
inline CountedInt bits(Counted) { return {}; }
inline Counted from_bits(CountedInt) { return {}; }
inline Counted to_float(CountedInt) { return Counted::after(0, 1); }
template <int by>
CountedInt shift_left(CountedInt) {
  return CountedInt::after_one();
}
template <int by>
CountedInt shift_right(CountedInt) {
  return CountedInt::after_one();
}
inline CountedMask negative(CountedInt) { return CountedMask::after_one(); }
inline Counted select(CountedMask, Counted, Counted) { return Counted::after(0, 1); }

// One instruction each where there is one; a minus is part of what follows. The FLOPs are those of
// the templates.
inline Counted negate(Counted) { return {}; }
inline Counted copysign(Counted, Counted) { return Counted::after(0, 1); }
inline Counted max(Counted, Counted) { return Counted::after(0, 1); }
inline Counted min(Counted, Counted) { return Counted::after(0, 1); }
inline Counted at_least(Counted, float) { return Counted::after(0, 1); }
inline Counted at_most(Counted, float) { return Counted::after(0, 1); }
inline Counted number_of(ExpParts<Counted>) { return Counted::after(2, 1); }
inline Counted normal_of(ExpParts<Counted>) { return Counted::after(1, 1); }
inline LogParts<Counted> log_parts(Counted) {
  count(3, 6);
  return {};
}
inline Counted log_or_special(Counted, Counted) { return Counted::after(0, 1); }

/// Of one call of `function` with one, two or three Counted.
template <class Function>
Arithmetic arithmetic_of(const Function& function) {
  const Counted x;
  counted = {};
  if constexpr (std::is_invocable_v<Function, Counted>)
    function(x);
  else if constexpr (std::is_invocable_v<Function, Counted, Counted>)
    function(x, x);
  else
    function(x, x, x);
  return counted;
}

}  // namespace fornax::numeric::inline plain
