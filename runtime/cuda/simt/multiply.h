// The arithmetic of one mma.sync, bit for bit by the published model of each architecture:
// Xie, Wang, Yang, Yang 2025 (MMA-Sim, arXiv 2511.10909); Khattak, Mikaitis 2025 (arXiv
// 2512.07004).
#pragma once
#include <cstdint>

#include "machine.h"

namespace fornax::simt {

/// Elements as bit patterns: b is [k][n].
struct MultiplyOperands {
  alignas(32) std::uint32_t a[16][16];
  alignas(32) std::uint32_t b[16][8];
  alignas(32) std::uint32_t c[16][8];  // f32; in and out
};

/// c += a b over `depth` (8 or 16) elements of a format. Products are exact; an exponent of a
/// product is the sum of its operands', of a zero -126; c and all products of a step are aligned to
/// the largest exponent and truncated to F fraction bits, added exactly, and the sum is truncated
/// to f32. sm_90: F = 25, one step. sm_80: F = 24, two steps of depth / 2. Sub-normals are kept; a
/// sum of zero is +0; infinities of both signs, infinity times zero or any NaN give 0x7fffffff.
void multiply_bf16(MultiplyOperands& operands, Architecture architecture);
void multiply_f16(MultiplyOperands& operands, Architecture architecture);
/// f32 patterns whose 13 low bits are dropped; depth 8.
void multiply_tf32(MultiplyOperands& operands, Architecture architecture);

}  // namespace fornax::simt
