// Tensor-core arithmetic in 32-bit integers: 8 columns at once, so that loops become vector code.
#include "multiply.h"

#include <algorithm>
#include <bit>

namespace fornax::simt {

namespace {

constexpr int kColumns = 8, kMinExponent = -126;
constexpr std::uint32_t kNan = 0x7fffffffu, kInfinity = 0x7f800000u;

// Field widths of an operand in the low bits of its pattern; `drop` bits below them are ignored.
struct Format {
  int exponent_bits, fraction_bits, drop;
  constexpr int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  constexpr int sign_at() const { return exponent_bits + fraction_bits + drop; }
};
constexpr Format kBf16{8, 7, 0}, kF16{5, 10, 0}, kTf32{8, 10, 13};

// value = significand 2^(exponent - fraction_bits); special: infinity or NaN.
struct Decoded {
  std::int32_t significand, exponent;
  bool special;
};

template <Format format>
inline Decoded decode(std::uint32_t bits) {
  const std::uint32_t field = bits >> (format.fraction_bits + format.drop);
  const std::uint32_t largest = (1u << format.exponent_bits) - 1;
  const auto biased = static_cast<std::int32_t>(field & largest);
  const auto fraction =
      static_cast<std::int32_t>(bits >> format.drop & ((1u << format.fraction_bits) - 1));
  const std::int32_t magnitude = fraction | (biased ? 1 << format.fraction_bits : 0);
  const bool negative = bits >> format.sign_at() & 1u;
  return {negative ? -magnitude : magnitude, std::max(biased, 1) - format.bias(),
          biased == static_cast<std::int32_t>(largest)};
}

// sum 2^(exponent - F), truncated to f32.
inline std::uint32_t truncate_to_f32(std::int64_t sum, int unit_exponent) {
  if (sum == 0) return 0;
  const std::uint32_t sign = sum < 0 ? 0x80000000u : 0u;
  const auto magnitude = static_cast<std::uint64_t>(sum < 0 ? -sum : sum);
  const int top = 63 - std::countl_zero(magnitude);
  const int exponent = top + unit_exponent;
  if (exponent > 127) return sign | kInfinity;
  // The last bit kept: 23 below the first, or that of the sub-normals.
  const int shift = std::max(exponent, kMinExponent) - 23 - unit_exponent;
  const std::uint64_t kept =
      shift > 63 ? 0 : (shift >= 0 ? magnitude >> shift : magnitude << -shift);
  const auto fraction = static_cast<std::uint32_t>(kept);
  if (exponent < kMinExponent) return sign | fraction;
  return sign | static_cast<std::uint32_t>(exponent + 127) << 23 | (fraction & 0x7fffffu);
}

template <int depth>
struct Terms {
  alignas(32) std::int32_t a[16][depth], a_exponent[16][depth];
  alignas(32) std::int32_t b[depth][kColumns], b_exponent[depth][kColumns];
  bool special = false;
};

template <Format format, int depth>
void decode_all(const MultiplyOperands& from, Terms<depth>& to) {
  std::uint32_t special = 0;
  for (int m = 0; m < 16; ++m) {
    for (int k = 0; k < depth; ++k) {
      const Decoded d = decode<format>(from.a[m][k]);
      to.a[m][k] = d.significand, to.a_exponent[m][k] = d.exponent;
      special |= d.special;
    }
    for (int n = 0; n < kColumns; ++n) special |= (from.c[m][n] & kInfinity) == kInfinity;
  }
  for (int k = 0; k < depth; ++k) {
    for (int n = 0; n < kColumns; ++n) {
      const Decoded d = decode<format>(from.b[k][n]);
      to.b[k][n] = d.significand, to.b_exponent[k][n] = d.exponent;
      special |= d.special;
    }
  }
  to.special = special;
}

// c[n] += the products of k0 .. k0 + count - 1 of one row, for all columns.
template <int product_bits, int F, int count, int depth>
inline void add_step(const Terms<depth>& terms, int m, int k0, std::uint32_t (&c)[kColumns]) {
  alignas(32) std::int32_t product[count][kColumns], exponent[count][kColumns];
  alignas(32) std::int32_t c_value[kColumns], c_exponent[kColumns], largest[kColumns];
  alignas(32) std::int32_t sums[2][kColumns] = {};
  for (int n = 0; n < kColumns; ++n) {
    const auto biased = static_cast<std::int32_t>(c[n] >> 23 & 255u);
    const auto fraction = static_cast<std::int32_t>(c[n] & 0x7fffffu);
    const std::int32_t magnitude = fraction | (biased ? 1 << 23 : 0);
    c_value[n] = c[n] >> 31 ? -magnitude : magnitude;
    c_exponent[n] = std::max(biased, 1) - 127;
    largest[n] = c_exponent[n];
  }
  for (int k = 0; k < count; ++k) {
    for (int n = 0; n < kColumns; ++n) {
      const std::int32_t p = terms.a[m][k0 + k] * terms.b[k0 + k][n];
      const std::int32_t e = terms.a_exponent[m][k0 + k] + terms.b_exponent[k0 + k][n];
      product[k][n] = p;
      exponent[k][n] = p ? e : kMinExponent;
      largest[n] = std::max(largest[n], exponent[k][n]);
    }
  }
  for (int k = 0; k < count; ++k) {
    for (int n = 0; n < kColumns; ++n) {
      const std::int32_t sign = product[k][n] >> 31;
      const std::int32_t magnitude = (product[k][n] ^ sign) - sign;
      const std::int32_t shift = std::min(largest[n] - exponent[k][n], 31);
      const std::int32_t aligned = (magnitude << (F - product_bits)) >> shift;
      sums[k / 8][n] += (aligned ^ sign) - sign;  // 8 terms below 2^27 each
    }
  }
  for (int n = 0; n < kColumns; ++n) {
    const std::int32_t sign = c_value[n] >> 31;
    const std::int32_t magnitude = (c_value[n] ^ sign) - sign;
    const std::int32_t shift = std::min(largest[n] - c_exponent[n], 31);
    const std::int32_t aligned = (magnitude << (F - 23)) >> shift;
    const std::int64_t sum = std::int64_t{sums[0][n]} + sums[1][n] + ((aligned ^ sign) - sign);
    c[n] = truncate_to_f32(sum, largest[n] - F);
  }
}

// Where infinities or NaN are among the terms, they decide the result.
template <Format format, int depth>
void set_special_sum(const MultiplyOperands& operands, int m, int n, std::uint32_t& result) {
  bool nan = false, plus = false, minus = false;
  const std::uint32_t c = operands.c[m][n];
  if ((c & kInfinity) == kInfinity) {
    nan = c & 0x7fffffu;
    (c >> 31 ? minus : plus) = true;
  }
  const std::int32_t one = 1 << format.fraction_bits;
  for (int k = 0; k < depth; ++k) {
    const Decoded a = decode<format>(operands.a[m][k]), b = decode<format>(operands.b[k][n]);
    if (!a.special && !b.special) continue;
    const auto is_nan = [](const Decoded& d) {
      return d.special && d.significand != one && d.significand != -one;
    };
    nan |= is_nan(a) || is_nan(b) || a.significand == 0 || b.significand == 0;
    ((a.significand < 0) != (b.significand < 0) ? minus : plus) = true;
  }
  if (!nan && !plus && !minus) return;
  result = nan || (plus && minus) ? kNan : (minus ? 0x80000000u : 0u) | kInfinity;
}

template <Format format, int depth>
void multiply_all(MultiplyOperands& operands, Architecture architecture) {
  Terms<depth> terms;
  decode_all<format>(operands, terms);
  constexpr int bits = 2 * format.fraction_bits;
  for (int m = 0; m < 16; ++m) {
    alignas(32) std::uint32_t c[kColumns];
    for (int n = 0; n < kColumns; ++n) c[n] = operands.c[m][n];
    if (architecture == Architecture::sm_90) {
      add_step<bits, 25, depth>(terms, m, 0, c);
    } else {
      add_step<bits, 24, depth / 2>(terms, m, 0, c);
      add_step<bits, 24, depth / 2>(terms, m, depth / 2, c);
    }
    for (int n = 0; n < kColumns && terms.special; ++n)
      set_special_sum<format, depth>(operands, m, n, c[n]);
    for (int n = 0; n < kColumns; ++n) operands.c[m][n] = c[n];
  }
}

}  // namespace

void multiply_bf16(MultiplyOperands& operands, Architecture architecture) {
  multiply_all<kBf16, 16>(operands, architecture);
}
void multiply_f16(MultiplyOperands& operands, Architecture architecture) {
  multiply_all<kF16, 16>(operands, architecture);
}
void multiply_tf32(MultiplyOperands& operands, Architecture architecture) {
  multiply_all<kTf32, 8>(operands, architecture);
}

}  // namespace fornax::simt
