// The update rules over rows of vectors. Rates are copied: stores do not make the compiler read
// them again. For kernel files: see kernels/host/dispatch.h; include it
// after vector.h. Included again for every instruction set: a toggled guard.
#if defined(FORNAX_UPDATE_VECTOR_TOGGLE) == defined(HWY_TARGET_TOGGLE)
#ifdef FORNAX_UPDATE_VECTOR_TOGGLE
#undef FORNAX_UPDATE_VECTOR_TOGGLE
#else
#define FORNAX_UPDATE_VECTOR_TOGGLE
#endif
#include <type_traits>

#include "kernels/host/vector.h"
#include "kernels/optimizer_step/tensor_pointers.h"
#include "kernels/optimizer_step/update_rule.h"

HWY_BEFORE_NAMESPACE();
#define FORNAX_NUMERIC_PER_TARGET
#include "kernels/optimizer_step/update_rule.h"
#undef FORNAX_NUMERIC_PER_TARGET
#include "kernels/numeric/namespace.h"

namespace fornax::optimizer_step::HWY_NAMESPACE {
namespace num = numeric::HWY_NAMESPACE;

// Where a unit is dead its gradients are zero, and a moment that is multiplied with 0.9 a step ends
// at a few 2^-149 and stays there. Intel processors take more than a hundred cycles for each
// product with such a number. The lanes that rest so are computed without one, to the same bits.

constexpr std::int32_t kMagnitude = 0x7fffffff, kSign = -kMagnitude - 1;
constexpr std::int32_t kLeastNormal = 0x00800000;  // the bits of 2^-126
constexpr float kLeastResting = 0x1p-40f;          // of a parameter that a resting moment moves not

/// Nonzero numbers below 2^-126.
FORNAX_NUMERIC_FN num::Mask is_subnormal(num::Vector x) {
  // From kSign on, the least of all integers: zero becomes the largest.
  const num::VectorInt from_least =
      (num::bits(x) & num::VectorInt(kMagnitude)) + num::VectorInt(kMagnitude);
  return from_least < num::VectorInt(kSign + kLeastNormal - 1);
}

/// The same of any lane, in one instruction where there is one.
FORNAX_NUMERIC_FN bool any_subnormal(num::Vector x) {
#if HWY_TARGET <= HWY_AVX3 && HWY_ARCH_X86_64
  constexpr int subnormal = 0x20;
  return _mm512_fpclass_ps_mask(x.raw.raw, subnormal) != 0;
#else
  return num::any(is_subnormal(x));
#endif
}

/// factor * m for subnormal m and 0 < factor < 1: the product in units of 2^-149 is rounded by the
/// addition of 2^23, whose last place is 1.
FORNAX_NUMERIC_FN num::Vector decay_subnormal(float factor, num::Vector m) {
  constexpr float one_in_last_place = 0x1p23f;
  constexpr std::int32_t its_bits = 0x4b000000;
  const num::VectorInt units = num::bits(m) & num::VectorInt(kLeastNormal - 1);
  const num::VectorInt product = num::bits(
      num::fma(num::to_float(units), num::Vector(factor), num::Vector(one_in_last_place)));
  const num::VectorInt sign = num::bits(m) & num::VectorInt(kSign);
  return num::from_bits((product - num::VectorInt(its_bits)) | sign);
}

/// Lanes whose moment is subnormal, gets nothing new, and moves p by less than half its last place.
FORNAX_NUMERIC_FN num::Mask is_at_rest(num::Vector p, num::Vector added, num::Vector m) {
  const num::VectorInt below = num::bits(num::Vector(kLeastResting)) - num::VectorInt(1);
  const num::VectorInt magnitude = num::bits(p) & num::VectorInt(kMagnitude);
  return is_subnormal(m) & (added == num::Vector(0.0f)) & (below < magnitude);
}

/// Whether a step by at most 2^-126 / 2^-40 moves no parameter that is_at_rest().
FORNAX_NUMERIC_FN bool can_rest(const numeric::AdamWRates<float>& rates) {
  return rates.beta1 > 0 && rates.beta1 < 1 && rates.epsilon >= 0x1p-40f &&
         rates.minus_step_size <= 0 && rates.minus_step_size >= -1 && rates.minus_decay <= 0 &&
         rates.minus_decay >= -0.5f;
}

/// One vector of the AdamW update, some of whose m are subnormal.
HWY_NOINLINE inline void adamw_subnormal(const numeric::AdamWRates<float>& rates,
                                         const kernels::TensorPointers& t) {
  num::Vector p = num::load(t.p, num::Vector()), m = num::load(t.m, num::Vector()),
              v = num::load(t.v, num::Vector());
  const num::Vector g = num::load(t.g, num::Vector()), before = m;
  num::Mask rest = is_at_rest(p, g * num::Vector(rates.scale), m);
  if (!can_rest(rates)) rest = rest & !rest;
  m = num::select(rest, num::Vector(0.0f), m);
  num::adamw_update(rates, p, g, m, v);
  num::store(p, t.new_p);
  num::store(num::select(rest, decay_subnormal(rates.beta1, before), m), t.new_m);
  num::store(v, t.new_v);
}

/// update(pointers of a row, i, what is loaded there)
template <class Update>
FORNAX_NUMERIC_FN void for_rows(const kernels::TensorPointers& tensor,
                                const kernels::UpdatedRows& rows, const Update& update) {
  for (std::int64_t row = 0; row < rows.count; ++row) {
    const kernels::TensorPointers t = row_of(tensor, rows, row);
    num::for_vectors(0, rows.columns,
                     [&](std::int64_t i, auto zero) FORNAX_LAMBDA { update(t, i, zero); });
  }
}

FORNAX_NUMERIC_FN void sgd_rows(const numeric::SgdRates<float>& rates_of,
                                const kernels::TensorPointers& tensor,
                                const kernels::UpdatedRows& rows) {
  const numeric::SgdRates<float> rates = rates_of;
  for_rows(tensor, rows,
           [&](const kernels::TensorPointers& t, std::int64_t i, auto zero) FORNAX_LAMBDA {
             using T = decltype(zero);
             T p = num::load(t.p + i, T());
             num::sgd_update(rates, p, num::load(t.g + i, T()));
             num::store(p, t.new_p + i);
           });
}

FORNAX_NUMERIC_FN void sgd_momentum_rows(const numeric::SgdRates<float>& rates_of,
                                         const kernels::TensorPointers& tensor,
                                         const kernels::UpdatedRows& rows) {
  const numeric::SgdRates<float> rates = rates_of;
  for_rows(tensor, rows,
           [&](const kernels::TensorPointers& t, std::int64_t i, auto zero) FORNAX_LAMBDA {
             using T = decltype(zero);
             T p = num::load(t.p + i, T()), m = num::load(t.m + i, T());
             num::sgd_momentum_update(rates, p, num::load(t.g + i, T()), m);
             num::store(p, t.new_p + i);
             num::store(m, t.new_m + i);
           });
}

/// The elements of a vector or one, at i; false and nothing done where m is subnormal.
template <class T>
FORNAX_NUMERIC_FN bool adamw_at(const numeric::AdamWRates<float>& rates,
                                const kernels::TensorPointers& t, std::int64_t i) {
  T p = num::load(t.p + i, T()), m = num::load(t.m + i, T()), v = num::load(t.v + i, T());
  if constexpr (std::is_same_v<T, num::Vector>)
    if (any_subnormal(m)) return false;
  num::adamw_update(rates, p, num::load(t.g + i, T()), m, v);
  num::store(p, t.new_p + i);
  num::store(m, t.new_m + i);
  num::store(v, t.new_v + i);
  return true;
}

/// One vector at a time: with its constants it fills the registers. Vectors that need care are
/// updated apart from the loop, or a call would take the constants from their registers.
FORNAX_NUMERIC_FN void adamw_rows(const numeric::AdamWRates<float>& rates_of,
                                  const kernels::TensorPointers& tensor,
                                  const kernels::UpdatedRows& rows) {
  const numeric::AdamWRates<float> rates = rates_of;
  for (std::int64_t row = 0; row < rows.count; ++row) {
    const kernels::TensorPointers t = row_of(tensor, rows, row);
    const std::int64_t last = rows.columns - num::kLanes;
    std::int64_t i = 0;
    for (; i <= last; i += num::kLanes) {
      while (i <= last && adamw_at<num::Vector>(rates, t, i)) i += num::kLanes;
      if (i <= last) adamw_subnormal(rates_of, t.from(i));
    }
    for (i = rows.columns / num::kLanes * num::kLanes; i < rows.columns; ++i)
      adamw_at<float>(rates, t, i);
  }
}

}  // namespace fornax::optimizer_step::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
