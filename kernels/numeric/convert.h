// f32 <-> bf16 and f32 <-> f16 on the bits: round to nearest even, subnormals kept, NaN canonical.
// One template for float and for vectors; the 16-bit patterns stand in the low half of an integer.
#if !defined(FORNAX_NUMERIC_CONVERT_H) || defined(FORNAX_NUMERIC_PER_TARGET)
#define FORNAX_NUMERIC_CONVERT_H
#if !defined(FORNAX_NUMERIC_PER_TARGET)
#include "kernels/numeric/scalar.h"
#endif
#include "kernels/numeric/namespace.h"

namespace FORNAX_NUMERIC_NAMESPACE {

/// bf16 bits of x in the low 16 bits, upper bits zero; any NaN gives 0x7fc0.
template <class T>
FORNAX_NUMERIC_FN auto bf16_bits(T x) {
  const T kept = select(is_nan(x), T(from_bits(kNanBits)), x);
  const auto b = bits(kept);
  const auto odd = shift_right_logical<16>(b) & 1;
  return shift_right_logical<16>(b + odd + 0x7fff);
}

/// f32 of the bf16 whose bits stand in the low 16 bits of h; a NaN becomes the canonical one.
template <class I>
FORNAX_NUMERIC_FN auto from_bf16_bits(I h) {
  const auto x = from_bits(shift_left<16>(h));
  return select(is_nan(x), decltype(x)(from_bits(kNanBits)), x);
}

/// f16 bits of x in the low 16 bits; |x| >= 65520 gives infinity, any NaN 0x7e00.
template <class T>
FORNAX_NUMERIC_FN auto f16_bits(T x) {
  const T a = abs(x);
  // Below 2^-14 the spacing is 2^-24, that of the floats at 0.5: adding 0.5 rounds to it.
  const auto subnormal = bits(a + T(0.5f)) - 0x3f000000;
  const auto b = bits(a);
  const auto odd = shift_right_logical<13>(b) & 1;
  const auto normal = shift_right_logical<13>(b - 0x38000000 + 0xfff + odd);
  auto h = bits(select(a < T(0x1p-14f), from_bits(subnormal), from_bits(normal)));
  h = bits(select(a >= T(65520), T(from_bits(0x7c00)), from_bits(h)));
  h = h | shift_left<15>(shift_right_logical<31>(bits(x)));
  return bits(select(is_nan(x), T(from_bits(0x7e00)), from_bits(h)));
}

/// f32 of the f16 whose bits stand in the low 16 bits of h, exactly; a NaN becomes the canonical
/// one.
template <class I>
FORNAX_NUMERIC_FN auto from_f16_bits(I h) {
  const auto shifted = shift_left<13>(h & 0x7fff);
  using T = decltype(from_bits(shifted));
  const T normal = from_bits(shifted + 0x38000000);
  const T subnormal = from_bits(shifted + 0x38800000) - T(0x1p-14f);
  const T special = from_bits(shifted + 0x70000000);
  const T a = from_bits(shifted);  // compares as the f16 does
  T x = select(a < T(from_bits(0x400 << 13)), subnormal, normal);
  x = select(a >= T(from_bits(0x7c00 << 13)), special, x);
  x = from_bits(bits(x) | shift_left<16>(h & 0x8000));
  return select(is_nan(x), T(from_bits(kNanBits)), x);
}

FORNAX_NUMERIC_FN std::uint16_t to_bf16(float x) {
  return static_cast<std::uint16_t>(bf16_bits(x));
}
FORNAX_NUMERIC_FN float from_bf16(std::uint16_t h) {
  return from_bf16_bits(static_cast<std::int32_t>(h));
}
FORNAX_NUMERIC_FN std::uint16_t to_f16(float x) { return static_cast<std::uint16_t>(f16_bits(x)); }
FORNAX_NUMERIC_FN float from_f16(std::uint16_t h) {
  return from_f16_bits(static_cast<std::int32_t>(h));
}

}  // namespace FORNAX_NUMERIC_NAMESPACE
#endif
