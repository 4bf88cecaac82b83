// Element types of kernels and their conversions: bf16, f16, tf32 bit patterns, vectors of 4.
#pragma once
#include "target.cuh"
#if FORNAX_TWIN
#include <bit>
#endif

namespace fornax::device {

struct bf16 {
  std::uint16_t bits;
};
struct f16 {
  std::uint16_t bits;
};
struct alignas(4) bf16x2 {
  bf16 low, high;
};

#if FORNAX_TWIN
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
#else
using ::float2;
using ::float4;
using ::uint2;
using ::uint4;
#endif

FORNAX_DEVICE float float_of_bits(std::uint32_t bits) {
#if FORNAX_TWIN
  return std::bit_cast<float>(bits);
#else
  return __uint_as_float(bits);
#endif
}
FORNAX_DEVICE std::uint32_t bits_of_float(float value) {
#if FORNAX_TWIN
  return std::bit_cast<std::uint32_t>(value);
#else
  return __float_as_uint(value);
#endif
}

FORNAX_DEVICE float to_float(bf16 value) {
  return float_of_bits(static_cast<std::uint32_t>(value.bits) << 16);
}

/// Rounds to nearest even; every NaN becomes 0x7fff.
FORNAX_DEVICE bf16 to_bf16(float value) {
#if FORNAX_PTX
  std::uint16_t bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return {bits};
#else
  const std::uint32_t bits = bits_of_float(value);
  if (value != value) return {0x7fff};
  return {static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
#endif
}

FORNAX_DEVICE float to_float(f16 value) {
#if FORNAX_PTX
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
  return result;
#else
  const std::uint32_t sign = (value.bits & 0x8000u) << 16, exponent = value.bits >> 10 & 31u;
  const std::uint32_t fraction = value.bits & 0x3ffu;
  if (exponent == 31) return float_of_bits(sign | 0x7f800000u | fraction << 13);
  if (exponent) return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
  const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
  return float_of_bits(sign | bits_of_float(magnitude));
#endif
}

/// Rounds to nearest even; beyond 65504 infinity; every NaN becomes 0x7fff.
FORNAX_DEVICE f16 to_f16(float value) {
#if FORNAX_PTX
  std::uint16_t bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return {bits};
#else
  if (value != value) return {0x7fff};
  const std::uint32_t bits = bits_of_float(value), sign = bits >> 16 & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude >= 0x47800000u) return {static_cast<std::uint16_t>(sign | 0x7c00u)};
  if (magnitude < 0x38800000u) {  // sub-normal: the addition rounds to a multiple of 2^-24
    const std::uint32_t sum = bits_of_float(float_of_bits(magnitude) + 0.5f);
    return {static_cast<std::uint16_t>(sign | (sum - 0x3f000000u))};
  }
  const std::uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
  return {static_cast<std::uint16_t>(sign | ((rounded >> 13) - (112u << 10)))};
#endif
}

/// An f32 bit pattern with 10 fraction bits, rounded to nearest, ties away from zero.
FORNAX_DEVICE std::uint32_t to_tf32(float value) {
#if FORNAX_PTX
  std::uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits & 0xffffe000u;
#else
  const std::uint32_t bits = bits_of_float(value);  // a quiet NaN stays, as on an H100
  return ((bits & 0x7f800000u) == 0x7f800000u ? bits : bits + 0x1000u) & 0xffffe000u;
#endif
}

/// The register of two elements that mma takes: `low` has the smaller column.
FORNAX_DEVICE std::uint32_t pack(bf16 low, bf16 high) {
  return static_cast<std::uint32_t>(low.bits) | static_cast<std::uint32_t>(high.bits) << 16;
}
FORNAX_DEVICE std::uint32_t pack(f16 low, f16 high) {
  return static_cast<std::uint32_t>(low.bits) | static_cast<std::uint32_t>(high.bits) << 16;
}

}  // namespace fornax::device
