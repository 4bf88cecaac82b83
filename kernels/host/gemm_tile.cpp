// Register tiles and packing of the matrix product. Source of the blocking: Goto, van de Geijn 2008
// (doi:10.1145/1356052.1356053); only the order of each sum is our own.
#include "kernels/host/gemm_tile.h"

#include <algorithm>
#include <cstring>
#include <utility>

// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/host/gemm_tile.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/host/dispatch.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace fornax::host {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
static_assert(HWY_NATIVE_FMA, "a chain of fma needs a target that fuses multiply and add");

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr int lanes = HWY_LANES(float);
// Accumulators fill the registers but for one row of b and a broadcast of a.
constexpr TileShape tile_shape{lanes == 16 ? 14 : lanes == 8 ? 6 : 12, lanes};

template <int rows, int vectors>
HWY_INLINE void load_accumulators(const TileArguments& t, V (&acc)[rows][vectors]) {
  const D d;
  const bool whole = t.columns == vectors * lanes;
  HWY_ALIGN float edge[vectors * lanes] = {};
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) {
    const float* from = t.c + i * t.c_stride;
    if (!whole) {
      for (std::int64_t j = 0; j < t.columns; ++j) edge[j] = from[j];
      from = edge;
    }
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) acc[i][j] = hn::LoadU(d, from + j * lanes);
  }
}

template <int rows, int vectors>
HWY_INLINE void store_accumulators(const TileArguments& t, V (&acc)[rows][vectors]) {
  const D d;
  if (t.columns == vectors * lanes) {
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      float* to = t.c + i * t.c_stride;
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) {
        V v = acc[i][j];
        if (t.start == TileStart::add) v = hn::Add(hn::LoadU(d, to + j * lanes), v);
        hn::StoreU(v, d, to + j * lanes);
      }
    }
    return;
  }
  HWY_ALIGN float edge[rows * vectors * lanes];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) hn::Store(acc[i][j], d, edge + (i * vectors + j) * lanes);
  }
  for (int i = 0; i < rows; ++i) {
    float* to = t.c + i * t.c_stride;
    const float* from = edge + i * vectors * lanes;
    for (std::int64_t j = 0; j < t.columns; ++j) {
      to[j] = t.start == TileStart::add ? to[j] + from[j] : from[j];
    }
  }
}

/// One tile of rows x (vectors * lanes) outputs held in registers over the whole depth; each step
/// of k does rows * vectors fma for rows + vectors loads. Bound by the FMA units.
template <int rows, int vectors, bool direct>
void tile(const TileArguments& t) {
  const D d;
  V acc[rows][vectors];
  if (t.start == TileStart::resume) {
    load_accumulators<rows, vectors>(t, acc);
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) acc[i][j] = hn::Zero(d);
    }
  }
  const float* b = t.b;
  // Four rows share a pointer, so that pointers and strides fit the integer registers.
  constexpr int groups = direct ? (rows + 3) / 4 : 1;
  const std::int64_t stride[4] = {0, t.a_stride, 2 * t.a_stride, 3 * t.a_stride};
  const float* a[groups];
  for (int g = 0; g < groups; ++g) a[g] = t.a + 4 * g * t.a_stride;
  for (std::int64_t k = 0; k < t.depth; ++k) {
    V bv[vectors];
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) bv[j] = hn::LoadU(d, b + j * lanes);
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      const V av = hn::Set(d, direct ? a[(i / 4) % groups][stride[i % 4]] : a[0][i]);
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) acc[i][j] = hn::MulAdd(av, bv[j], acc[i][j]);
    }
#pragma GCC unroll 4
    for (int g = 0; g < groups; ++g) a[g] += direct ? 1 : rows;
    b += vectors * lanes;
  }
  store_accumulators<rows, vectors>(t, acc);
}

void pack_elements(const PackArguments& p, std::int64_t first_depth) {
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

/// The 4 k of rows i, i + 4 .. as one vector: 128-bit block q holds row 4 * q + r.
HWY_INLINE V load_blocks(const float* const* row, std::int64_t k) {
  const D d;
  V v = hn::LoadDup128(d, row[0] + k);
#pragma GCC unroll 4
  for (int q = 1; q < lanes / 4; ++q) {
    const auto below = hn::FirstN(d, static_cast<std::size_t>(4 * q));
    v = hn::IfThenElse(below, v, hn::LoadDup128(d, row[4 * q] + k));
  }
  return v;
}

/// Source contiguous in k, `lanes` rows at a time: 4 x 4 transposes within 128-bit blocks.
/// A store may pass the end of its row of out: the next row is written after it.
void pack_transposed(const PackArguments& p, std::int64_t first, std::int64_t count) {
  const D d;
  const hn::Repartition<double, D> dd;
  const float* row[lanes];
  for (int i = 0; i < lanes; ++i) {
    const std::int64_t r = std::min<std::int64_t>(first + (i < count ? i : 0), p.valid - 1);
    row[i] = p.source.data + r * p.source.row_stride;
  }
  float* out = p.out + first;
  for (std::int64_t k = 0; k + 4 <= p.depth; k += 4) {
    const V r0 = load_blocks(row, k), r1 = load_blocks(row + 1, k);
    const V r2 = load_blocks(row + 2, k), r3 = load_blocks(row + 3, k);
    const auto low01 = hn::BitCast(dd, hn::InterleaveLower(d, r0, r1));
    const auto low23 = hn::BitCast(dd, hn::InterleaveLower(d, r2, r3));
    const auto high01 = hn::BitCast(dd, hn::InterleaveUpper(d, r0, r1));
    const auto high23 = hn::BitCast(dd, hn::InterleaveUpper(d, r2, r3));
    float* to = out + k * p.width;
    hn::StoreU(hn::BitCast(d, hn::InterleaveLower(dd, low01, low23)), d, to);
    hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(dd, low01, low23)), d, to + p.width);
    hn::StoreU(hn::BitCast(d, hn::InterleaveLower(dd, high01, high23)), d, to + 2 * p.width);
    hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(dd, high01, high23)), d, to + 3 * p.width);
  }
}

void pack(const PackArguments& p) {
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
    pack_transposed(p, first, std::min<std::int64_t>(lanes, p.width - first));
  }
  pack_elements(p, p.depth / 4 * 4);
}

template <int vectors, bool direct, std::size_t... row>
void fill(TileFunction (&table)[gemm_max_tile_rows + 1][gemm_tile_vectors + 1],
          std::index_sequence<row...>) {
  ((table[row + 1][vectors] = tile<static_cast<int>(row) + 1, vectors, direct>), ...);
}

const GemmKernels& kernels() {
  static const GemmKernels table = [] {
    GemmKernels k{};
    using Rows = std::make_index_sequence<tile_shape.rows>;
    k.shape = tile_shape;
    fill<1, false>(k.packed, Rows{});
    fill<2, false>(k.packed, Rows{});
    fill<1, true>(k.direct, Rows{});
    fill<2, true>(k.direct, Rows{});
    k.pack = pack;
    return k;
  }();
  return table;
}

}  // namespace HWY_NAMESPACE
}  // namespace fornax::host
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::host {

const GemmKernels& gemm_kernels() { return FORNAX_DISPATCH(kernels)(); }

std::span<const TileShape> gemm_tile_shapes() {
  static constexpr TileShape shapes[] = {
    HWY_STATIC_DISPATCH(tile_shape),
#if HWY_TARGETS & HWY_AVX3
    N_AVX3::tile_shape,
#endif
  };
  return shapes;
}

}  // namespace fornax::host
#endif
