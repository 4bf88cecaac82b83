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
HWY_INLINE void turn_within_blocks(const Vector (&row)[4], Vector (&column)[4]) {
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

}  // namespace fornax::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
