// Packing for the matrix product, for kernel files: see dispatch.h. Included again for every
// instruction set: a toggled guard.
#if defined(FORNAX_GEMM_PACK_TOGGLE) == defined(HWY_TARGET_TOGGLE)
#ifdef FORNAX_GEMM_PACK_TOGGLE
#undef FORNAX_GEMM_PACK_TOGGLE
#else
#define FORNAX_GEMM_PACK_TOGGLE
#endif
#include <algorithm>
#include <cstring>

#include "kernels/host/register_tile.h"
#include "kernels/host/turn_blocks.h"

HWY_BEFORE_NAMESPACE();
namespace fornax::host::HWY_NAMESPACE {

inline void pack_elements(const PackArguments& p, std::int64_t first_depth) {
  for (std::int64_t k = first_depth; k < p.depth; ++k) {
    const float* from = p.source.data + k * p.source.column_stride;
    float* to = p.out + k * p.width;
    for (std::int64_t i = 0; i < p.valid; ++i) to[i] = from[i * p.source.row_stride];
    for (std::int64_t i = p.valid; i < p.width; ++i) to[i] = 0.0f;
  }
}

/// Source contiguous in i: `part` floats from the front and, where they overlap, from the back.
template <int part>
void pack_copied(const PackArguments& p) {
  const std::int64_t back = p.valid - part;
  for (std::int64_t k = 0; k < p.depth; ++k) {
    const float* from = p.source.data + k * p.source.column_stride;
    float* to = p.out + k * p.width;
    std::memcpy(to, from, part * sizeof(float));
    if (back != 0) std::memcpy(to + back, from + back, part * sizeof(float));
    for (std::int64_t i = p.valid; i < p.width; ++i) to[i] = 0.0f;
  }
}

/// The first 4 elements of rows i, i + 4 .. as one vector: 128-bit block q is of row i + 4 * q.
template <class Row>
HWY_INLINE V load_blocks(const Row& row, int i) {
  const D d;
  V v = hn::LoadDup128(d, row(i));
#pragma GCC unroll 4
  for (int q = 1; q < lanes / 4; ++q) {
    const auto below = hn::FirstN(d, static_cast<std::size_t>(4 * q));
    v = hn::IfThenElse(below, v, hn::LoadDup128(d, row(i + 4 * q)));
  }
  return v;
}

/// Pointers to `lanes` rows of which `count` are there; the others are the last that is.
HWY_INLINE void row_pointers(const GemmOperand& from, std::int64_t first, std::int64_t count,
                             const float* (&row)[lanes]) {
  for (int i = 0; i < lanes; ++i)
    row[i] = from.data + (first + std::min<std::int64_t>(i, count - 1)) * from.row_stride;
}

/// column[q] = element q of `lanes` rows; row(i) points to row i.
template <class Row>
HWY_INLINE void load_transposed(const Row& row, V (&column)[4]) {
  const V blocks[] = {load_blocks(row, 0), load_blocks(row, 1), load_blocks(row, 2),
                      load_blocks(row, 3)};
  turn_within_blocks(blocks, column);
}

/// The same of 16 rows: halves of lines are loaded, so that a column takes 4 instructions, not 5.
template <class Row, class Vector>
HWY_INLINE void load_transposed(const Row& row, Vector (&column)[8]) {
  const hn::DFromV<Vector> d;
  const hn::Half<hn::DFromV<Vector>> half;
  const auto two = [&](int i) FORNAX_LAMBDA {
    return hn::Combine(d, hn::LoadU(half, row(i + 4)), hn::LoadU(half, row(i)));
  };
  Vector first[4], second[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const Vector above = two(i), below = two(i + 8);
    first[i] = even_blocks(below, above), second[i] = odd_blocks(below, above);
  }
  turn_within_blocks(first, column);
  turn_within_blocks(second, column + 4);
}

/// The same of `width` columns; of as many as there are rows, by whole vectors.
template <int width, class Row>
HWY_INLINE void load_columns(const Row& row, V (&column)[width]) {
  if constexpr (width == lanes)
    load_turned(row, column);
  else
    load_transposed(row, column);
}

/// `width` steps from k on, as long as there are so many; row[i] points to row i.
template <int width>
HWY_INLINE void pack_columns(const PackArguments& p, const float* const* row, float* out,
                             std::int64_t& k) {
  for (; k + width <= p.depth; k += width) {
    V column[width];
    load_columns([&](int i) FORNAX_LAMBDA { return row[i] + k; }, column);
#pragma GCC unroll 16
    for (int q = 0; q < width; ++q) hn::StoreU(column[q], D(), out + (k + q) * p.width);
  }
}

/// Source contiguous in k, `lanes` rows at a time. A store may pass the end of its row of out: the
/// next row is written after it. Of rows that share sets of L1 a line is taken whole.
inline void pack_transposed(const PackArguments& p, std::int64_t first, std::int64_t count) {
  const float* row[lanes];
  row_pointers(p.source, first, count, row);
  std::int64_t k = 0;
  if constexpr (lanes == 16)
    if (p.source.row_stride % page_floats == 0) pack_columns<16>(p, row, p.out + first, k);
  pack_columns<4>(p, row, p.out + first, k);
}

inline void pack(const PackArguments& p) {
  if (p.source.row_stride == 1 && p.valid > 1) {
    if (p.valid >= 32) return pack_copied<32>(p);
    if (p.valid >= 16) return pack_copied<16>(p);
    if (p.valid >= 8) return pack_copied<8>(p);
    if (p.valid >= 4) return pack_copied<4>(p);
    return pack_copied<2>(p);
  }
  const bool whole = p.width % lanes == 0 || p.width < lanes;
  if (p.source.column_stride != 1 || p.width < 4 || !whole) return pack_elements(p, 0);
  for (std::int64_t first = 0; first < p.width; first += lanes) {
    pack_transposed(p, first, std::min<std::int64_t>(lanes, p.valid - first));
  }
  pack_elements(p, p.depth / 4 * 4);
}

/// A row of the panels is one stretch of memory; rows may lie so far apart that hardware follows
/// none, and each asks for the one that comes kRowsAhead later.
inline void pack_panels(const PackPanelsArguments& p) {
  const D d;
  constexpr std::int64_t kRowsAhead = 8, width = gemm_tile_vectors * lanes;
  const std::int64_t step = p.source.column_stride;
  for (std::int64_t k = 0; k < p.depth; ++k) {
    const float* from = p.source.data + k * step;
    float* to = p.out + k * width;
    for (std::int64_t panel = 0; panel < p.panels; ++panel, from += width, to += p.depth * width) {
      if (k + kRowsAhead < p.depth)
        for (std::int64_t i = 0; i < width; i += 16)
          __builtin_prefetch(from + kRowsAhead * step + i);
      for (int j = 0; j < gemm_tile_vectors; ++j)
        hn::StoreU(hn::LoadU(d, from + j * lanes), d, to + j * lanes);
    }
  }
}

}  // namespace fornax::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
