// Tensor cores: ldmatrix and mma.sync. Fragment layouts: PTX ISA, "Matrix multiply-accumulate".
// The twins use the published bit-accurate arithmetic (Xie et al. 2025, arXiv 2511.10909).
#pragma once
#include "shared.cuh"

namespace fornax::device {

/// Four 8x8 matrices of 16-bit elements; lane i gives row i % 8 of matrix i / 8 (16 bytes,
/// aligned). Register q of lane i is elements 2 (i % 4) and + 1 of row i / 4 of matrix q.
FORNAX_DEVICE void load_matrices_x4(std::uint32_t (&fragment)[4], const void* row FORNAX_SITE) {
#if FORNAX_PTX
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
               : "r"(shared_address(row))
               : "memory");
#elif FORNAX_TWIN
  simt::check_read(row, 16);
  simt::load_matrices(row, fragment, 4, false, site);
#endif
}
/// The same with each matrix transposed.
FORNAX_DEVICE void load_matrices_x4_transposed(std::uint32_t (&fragment)[4],
                                               const void* row FORNAX_SITE) {
#if FORNAX_PTX
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
               : "r"(shared_address(row))
               : "memory");
#elif FORNAX_TWIN
  simt::check_read(row, 16);
  simt::load_matrices(row, fragment, 4, true, site);
#endif
}
/// Two matrices; lanes 0 .. 15 give the rows, the others any valid row.
FORNAX_DEVICE void load_matrices_x2(std::uint32_t (&fragment)[2], const void* row FORNAX_SITE) {
#if FORNAX_PTX
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
               : "=r"(fragment[0]), "=r"(fragment[1])
               : "r"(shared_address(row))
               : "memory");
#elif FORNAX_TWIN
  if (simt::lane() < 16) simt::check_read(row, 16);
  simt::load_matrices(row, fragment, 2, false, site);
#endif
}
FORNAX_DEVICE void load_matrices_x2_transposed(std::uint32_t (&fragment)[2],
                                               const void* row FORNAX_SITE) {
#if FORNAX_PTX
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
               : "=r"(fragment[0]), "=r"(fragment[1])
               : "r"(shared_address(row))
               : "memory");
#elif FORNAX_TWIN
  if (simt::lane() < 16) simt::check_read(row, 16);
  simt::load_matrices(row, fragment, 2, true, site);
#endif
}

/// c (16x8 f32) += a (16x16 row-major bf16) b (16x8 column-major bf16).
FORNAX_DEVICE void mma_m16n8k16_bf16(float (&c)[4], const std::uint32_t (&a)[4],
                                     const std::uint32_t (&b)[2] FORNAX_SITE) {
#if FORNAX_PTX
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#elif FORNAX_TWIN
  simt::multiply(simt::Fragment::bf16, c, a, b, site);
#endif
}
/// The same for f16 operands.
FORNAX_DEVICE void mma_m16n8k16_f16(float (&c)[4], const std::uint32_t (&a)[4],
                                    const std::uint32_t (&b)[2] FORNAX_SITE) {
#if FORNAX_PTX
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#elif FORNAX_TWIN
  simt::multiply(simt::Fragment::f16, c, a, b, site);
#endif
}
/// c (16x8 f32) += a (16x8 tf32) b (8x8 tf32). Operands are f32 patterns made by to_tf32: the unit
/// drops the 13 low bits.
FORNAX_DEVICE void mma_m16n8k8_tf32(float (&c)[4], const std::uint32_t (&a)[4],
                                    const std::uint32_t (&b)[2] FORNAX_SITE) {
#if FORNAX_PTX
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#elif FORNAX_TWIN
  simt::multiply(simt::Fragment::tf32, c, a, b, site);
#endif
}

}  // namespace fornax::device
