// The sum that reference code writes once for f32, whose order is defined, and for f64, the judge.
#pragma once
#include <cstdint>
#include <type_traits>

#include "kernels/numeric/ordered_sum.h"

namespace fornax::numeric {

/// The sum of term(i), i in [0, count): float by ordered_sum (an empty sum is -0.0), double from
/// left to right. term is called once for each i, in order.
template <class T, class Term>
T reference_sum(std::int64_t count, const Term& term) {
  if constexpr (std::is_same_v<T, float>) {
    return ordered_sum<float, 1>(count, [&](std::int64_t i, float) { return term(i); });
  } else {
    T total = -0.0;
    for (std::int64_t i = 0; i < count; ++i) total = total + term(i);
    return total;
  }
}

}  // namespace fornax::numeric
