// Transposes of 4 x 4 elements within the 128-bit blocks of vectors. For kernel files: see
// dispatch.h. Included again for every instruction set: a toggled guard.
#if defined(FORNAX_TURN_BLOCKS_TOGGLE) == defined(HWY_TARGET_TOGGLE)
#ifdef FORNAX_TURN_BLOCKS_TOGGLE
#undef FORNAX_TURN_BLOCKS_TOGGLE
#else
#define FORNAX_TURN_BLOCKS_TOGGLE
#endif
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fornax::host::HWY_NAMESPACE {

/// Block b of column[q] = element 4 b + q of the four rows.
template <class Vector>
HWY_INLINE void turn_within_blocks(const Vector (&row)[4], Vector* column) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::DFromV<Vector> d;
  const hn::Repartition<double, hn::DFromV<Vector>> pairs;
  const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(d, row[0], row[1]));
  const auto low23 = hn::BitCast(pairs, hn::InterleaveLower(d, row[2], row[3]));
  const auto high01 = hn::BitCast(pairs, hn::InterleaveUpper(d, row[0], row[1]));
  const auto high23 = hn::BitCast(pairs, hn::InterleaveUpper(d, row[2], row[3]));
  column[0] = hn::BitCast(d, hn::InterleaveLower(pairs, low01, low23));
  column[1] = hn::BitCast(d, hn::InterleaveUpper(pairs, low01, low23));
  column[2] = hn::BitCast(d, hn::InterleaveLower(pairs, high01, high23));
  column[3] = hn::BitCast(d, hn::InterleaveUpper(pairs, high01, high23));
}

/// Blocks 0 and 2 of `low`, then those of `high`; and blocks 1 and 3. Of vectors of four blocks,
/// which are those of AVX-512; Highway would take two instructions.
template <class Vector>
HWY_INLINE Vector even_blocks(Vector high, Vector low) {
  return Vector{_mm512_shuffle_f32x4(low.raw, high.raw, 0x88)};
}
template <class Vector>
HWY_INLINE Vector odd_blocks(Vector high, Vector low) {
  return Vector{_mm512_shuffle_f32x4(low.raw, high.raw, 0xdd)};
}

/// column[4 b + q] = block b of each of groups[0 .. blocks)[q], in their order.
template <int blocks, class Vector>
HWY_INLINE void turn_blocks(const Vector (&groups)[blocks][4], int q, Vector* column) {
  namespace hn = hwy::HWY_NAMESPACE;
  [[maybe_unused]] const hn::DFromV<Vector> d;
  if constexpr (blocks == 1) {
    column[q] = groups[0][q];
  } else if constexpr (blocks == 2) {
    column[q] = hn::ConcatLowerLower(d, groups[1][q], groups[0][q]);
    column[4 + q] = hn::ConcatUpperUpper(d, groups[1][q], groups[0][q]);
  } else {
    const Vector low_ab = hn::ConcatLowerLower(d, groups[1][q], groups[0][q]);
    const Vector low_cd = hn::ConcatLowerLower(d, groups[3][q], groups[2][q]);
    const Vector high_ab = hn::ConcatUpperUpper(d, groups[1][q], groups[0][q]);
    const Vector high_cd = hn::ConcatUpperUpper(d, groups[3][q], groups[2][q]);
    column[q] = even_blocks(low_cd, low_ab);
    column[4 + q] = odd_blocks(low_cd, low_ab);
    column[8 + q] = even_blocks(high_cd, high_ab);
    column[12 + q] = odd_blocks(high_cd, high_ab);
  }
}

/// column[j] = element j of as many rows as there are columns; row(i) points to row i.
template <int lanes, class Vector, class Row>
HWY_INLINE void load_turned(const Row& row, Vector (&column)[lanes]) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::DFromV<Vector> d;
  constexpr int blocks = lanes / 4;
  static_assert(blocks == 1 || blocks == 2 || blocks == 4);
  Vector groups[blocks][4];
#pragma GCC unroll 4
  for (int g = 0; g < blocks; ++g) {
    const Vector rows[] = {hn::LoadU(d, row(4 * g)), hn::LoadU(d, row(4 * g + 1)),
                           hn::LoadU(d, row(4 * g + 2)), hn::LoadU(d, row(4 * g + 3))};
    turn_within_blocks(rows, groups[g]);
  }
#pragma GCC unroll 4
  for (int q = 0; q < 4; ++q) turn_blocks(groups, q, column);
}

}  // namespace fornax::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
