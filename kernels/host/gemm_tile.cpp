// Register tiles and packing of the matrix product. Source of the blocking: Goto, van de Geijn 2008
// (doi:10.1145/1356052.1356053); only the order of each sum is our own.
#include "kernels/host/gemm_tile.h"

#include <algorithm>
#include <cmath>
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

/// A row of accumulators from c, or into it; the columns beyond t.columns are not touched.
template <int vectors>
HWY_INLINE void load_row(const TileArguments& t, const float* from, V (&acc)[vectors]) {
  const D d;
  HWY_ALIGN float edge[vectors * lanes] = {};
  if (t.columns != vectors * lanes) {
    for (std::int64_t j = 0; j < t.columns; ++j) edge[j] = from[j];
    from = edge;
  }
#pragma GCC unroll 4
  for (int j = 0; j < vectors; ++j) acc[j] = hn::LoadU(d, from + j * lanes);
}

template <int vectors>
HWY_INLINE void store_row(const TileArguments& t, V (&acc)[vectors], float* to) {
  const D d;
  if (t.columns == vectors * lanes) {
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) {
      V v = acc[j];
      if (t.start == TileStart::add) v = hn::Add(hn::LoadU(d, to + j * lanes), v);
      hn::StoreU(v, d, to + j * lanes);
    }
    return;
  }
  HWY_ALIGN float edge[vectors * lanes];
#pragma GCC unroll 4
  for (int j = 0; j < vectors; ++j) hn::Store(acc[j], d, edge + j * lanes);
  for (std::int64_t j = 0; j < t.columns; ++j)
    to[j] = t.start == TileStart::add ? to[j] + edge[j] : edge[j];
}

/// One tile of rows x (vectors * lanes) outputs held in registers over the whole depth; each step
/// of k does rows * vectors fma for rows + vectors loads. Bound by the FMA units.
template <int rows, int vectors, bool apart>
HWY_INLINE void tile(const TileArguments& t, const float* a_tile, float* c) {
  const D d;
  V acc[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) {
    if (t.start == TileStart::resume) {
      load_row<vectors>(t, c + i * t.c_stride, acc[i]);
    } else {
      if (t.fetches_c) __builtin_prefetch(c + i * t.c_stride, 1);
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) acc[i][j] = hn::Zero(d);
    }
  }
  const float* b = t.b;
  // Four rows share a pointer, so that pointers and strides fit the integer registers.
  constexpr int groups = apart ? (rows + 3) / 4 : 1;
  const std::int64_t stride[4] = {0, t.a_stride, 2 * t.a_stride, 3 * t.a_stride};
  const float* a[groups];
  for (int g = 0; g < groups; ++g) a[g] = a_tile + 4 * g * t.a_stride;
  const std::int64_t a_step = apart ? 1 : t.a_stride, b_step = t.b_stride;
  for (std::int64_t k = 0; k < t.depth; ++k) {
    V bv[vectors];
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) bv[j] = hn::LoadU(d, b + j * lanes);
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      const V av = hn::Set(d, apart ? a[(i / 4) % groups][stride[i % 4]] : a[0][i]);
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) acc[i][j] = hn::MulAdd(av, bv[j], acc[i][j]);
    }
#pragma GCC unroll 4
    for (int g = 0; g < groups; ++g) a[g] += a_step;
    b += b_step;
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) store_row<vectors>(t, acc[i], c + i * t.c_stride);
}

template <int rows, int vectors, bool apart>
void tiles(const TileArguments& t) {
  const float* a = t.a;
  float* c = t.c;
  const float* ahead[2] = {t.ahead[0].from, t.ahead[1].from};
  for (std::int64_t i = 0; i < t.tiles; ++i, a += t.a_tile, c += rows * t.c_stride) {
    for (int f = 0; f < 2; ++f)
      for (const float* end = ahead[f] + t.ahead[f].share; ahead[f] < end; ahead[f] += 16)
        __builtin_prefetch(ahead[f]);
    tile<rows, vectors, apart>(t, a, c);
  }
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

/// Pointers to `lanes` rows of which `count` are there; the others are the last that is.
HWY_INLINE void row_pointers(const GemmOperand& from, std::int64_t first, std::int64_t count,
                             const float* (&row)[lanes]) {
  for (int i = 0; i < lanes; ++i)
    row[i] = from.data + (first + std::min<std::int64_t>(i, count - 1)) * from.row_stride;
}

/// column[q] = element k + q of `lanes` rows: 4 x 4 transposes within 128-bit blocks.
HWY_INLINE void load_transposed(const float* const* row, std::int64_t k, V (&column)[4]) {
  const D d;
  const hn::Repartition<double, D> dd;
  const V r0 = load_blocks(row, k), r1 = load_blocks(row + 1, k);
  const V r2 = load_blocks(row + 2, k), r3 = load_blocks(row + 3, k);
  const auto low01 = hn::BitCast(dd, hn::InterleaveLower(d, r0, r1));
  const auto low23 = hn::BitCast(dd, hn::InterleaveLower(d, r2, r3));
  const auto high01 = hn::BitCast(dd, hn::InterleaveUpper(d, r0, r1));
  const auto high23 = hn::BitCast(dd, hn::InterleaveUpper(d, r2, r3));
  column[0] = hn::BitCast(d, hn::InterleaveLower(dd, low01, low23));
  column[1] = hn::BitCast(d, hn::InterleaveUpper(dd, low01, low23));
  column[2] = hn::BitCast(d, hn::InterleaveLower(dd, high01, high23));
  column[3] = hn::BitCast(d, hn::InterleaveUpper(dd, high01, high23));
}

/// Source contiguous in k, `lanes` rows at a time. A store may pass the end of its row of out: the
/// next row is written after it.
void pack_transposed(const PackArguments& p, std::int64_t first, std::int64_t count) {
  const D d;
  const float* row[lanes];
  row_pointers(p.source, first, count, row);
  float* out = p.out + first;
  for (std::int64_t k = 0; k + 4 <= p.depth; k += 4) {
    V column[4];
    load_transposed(row, k, column);
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) hn::StoreU(column[q], d, out + (k + q) * p.width);
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
    pack_transposed(p, first, std::min<std::int64_t>(lanes, p.valid - first));
  }
  pack_elements(p, p.depth / 4 * 4);
}

/// A row of the panels is one stretch of memory; rows may lie so far apart that hardware follows
/// none, and each asks for the one that comes kRowsAhead later.
void pack_panels(const PackPanelsArguments& p) {
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

void transpose(const TransposeArguments& t) {
  const D d;
  std::int64_t i = 0;
  for (; i + lanes <= t.rows; i += lanes) {
    const float* row[lanes];
    row_pointers({t.from, t.from_stride, 1}, i, lanes, row);
    std::int64_t j = 0;
    for (; j + 4 <= t.columns; j += 4) {
      V column[4];
      load_transposed(row, j, column);
#pragma GCC unroll 4
      for (int q = 0; q < 4; ++q) hn::StoreU(column[q], d, t.to + (j + q) * t.to_stride + i);
    }
    for (; j < t.columns; ++j)
      for (int r = 0; r < lanes; ++r) t.to[j * t.to_stride + i + r] = row[r][j];
  }
  for (; i < t.rows; ++i)
    for (std::int64_t j = 0; j < t.columns; ++j)
      t.to[j * t.to_stride + i] = t.from[i * t.from_stride + j];
}

constexpr std::int64_t fetched_ahead = 48;  // floats

/// Outputs [n, n + count) of every row, b contiguous in k: b is transposed in registers, `groups`
/// vectors of chains hide the latency of fma. Bound by the bytes of b.
template <int rows, int groups>
void few_rows_chains(const Gemm& g, std::int64_t n, std::int64_t count) {
  const D d;
  const float* row[groups][lanes];
  V acc[rows][groups];
  for (int v = 0; v < groups; ++v) {
    row_pointers(g.b, n + v * lanes, std::min<std::int64_t>(lanes, count - v * lanes), row[v]);
    for (int m = 0; m < rows; ++m) acc[m][v] = hn::Zero(d);
  }
  const auto add = [&](int v, std::int64_t k, V column) FORNAX_LAMBDA {
#pragma GCC unroll 4
    for (int m = 0; m < rows; ++m)
      acc[m][v] = hn::MulAdd(hn::Set(d, g.a.data[m * g.a.row_stride + k]), column, acc[m][v]);
  };
  std::int64_t k = 0;
  for (; k + 4 <= g.K; k += 4) {
#pragma GCC unroll 4
    for (int v = 0; v < groups; ++v) {
      V column[4];
      // More rows than hardware follows: a quarter of them a step asks for a line ahead.
      for (int i = 0; i < lanes / 4; ++i)
        __builtin_prefetch(row[v][k / 4 % 4 * (lanes / 4) + i] + k + fetched_ahead);
      load_transposed(row[v], k, column);
#pragma GCC unroll 4
      for (int q = 0; q < 4; ++q) add(v, k + q, column[q]);
    }
  }
  HWY_ALIGN float lane[lanes];
  for (; k < g.K; ++k) {
    for (int v = 0; v < groups; ++v) {
      for (int i = 0; i < lanes; ++i) lane[i] = row[v][i][k];
      add(v, k, hn::Load(d, lane));
    }
  }
  for (int m = 0; m < rows; ++m) {
    for (int v = 0; v < groups; ++v) {
      hn::Store(acc[m][v], d, lane);
      const std::int64_t valid = std::min<std::int64_t>(lanes, count - v * lanes);
      float* to = g.c + m * g.c_stride + n + v * lanes;
      for (std::int64_t i = 0; i < valid; ++i) to[i] = lane[i];
    }
  }
}

/// c[m, n ..] goes on by `steps` <= 4 elements of k from k on; b contiguous in n.
template <int rows>
void few_rows_steps(const FewRowsArguments& f, std::int64_t k, std::int64_t steps) {
  const D d;
  const Gemm& g = f.gemm;
  const float* b = g.b.data + k * g.b.column_stride + f.column;
  for (int m = 0; m < rows; ++m) {
    const float* a = g.a.data + m * g.a.row_stride + k;
    float* c = g.c + m * g.c_stride + f.column;
    std::int64_t n = 0;
    for (; steps == 4 && n + lanes <= f.columns; n += lanes) {
      V acc = k == 0 ? hn::Zero(d) : hn::LoadU(d, c + n);
#pragma GCC unroll 4
      for (int q = 0; q < 4; ++q)
        acc = hn::MulAdd(hn::Set(d, a[q]), hn::LoadU(d, b + q * g.b.column_stride + n), acc);
      hn::StoreU(acc, d, c + n);
    }
    for (; n < f.columns; ++n) {
      float acc = k == 0 ? 0.0f : c[n];
      for (std::int64_t q = 0; q < steps; ++q)
        acc = std::fma(a[q], b[q * g.b.column_stride + n], acc);
      c[n] = acc;
    }
  }
}

template <int rows>
void few_rows(const FewRowsArguments& f) {
  if (f.gemm.b.column_stride == 1) {
    constexpr int groups = 2;
    std::int64_t n = 0;
    for (; n + groups * lanes <= f.columns; n += groups * lanes)
      few_rows_chains<rows, groups>(f.gemm, f.column + n, groups * lanes);
    for (; n < f.columns; n += lanes) few_rows_chains<rows, 1>(f.gemm, f.column + n, f.columns - n);
    return;
  }
  std::int64_t k = 0;
  do {
    const std::int64_t steps = std::min<std::int64_t>(4, f.gemm.K - k);
    few_rows_steps<rows>(f, k, steps);
    k += 4;
  } while (k < f.gemm.K);
}

void few_rows_of(const FewRowsArguments& f) {
  static_assert(gemm_few_rows == 4);
  switch (f.gemm.M) {
    case 1: return few_rows<1>(f);
    case 2: return few_rows<2>(f);
    case 3: return few_rows<3>(f);
    default: return few_rows<4>(f);
  }
}

template <int vectors, bool apart, std::size_t... row>
void fill(GemmKernels::Table& table, std::index_sequence<row...>) {
  ((table[row + 1][vectors] = tiles<static_cast<int>(row) + 1, vectors, apart>), ...);
}

const GemmKernels& kernels() {
  static const GemmKernels table = [] {
    GemmKernels k{};
    using Rows = std::make_index_sequence<tile_shape.rows>;
    k.shape = tile_shape;
    fill<1, false>(k.rows_together, Rows{});
    fill<2, false>(k.rows_together, Rows{});
    fill<1, true>(k.rows_apart, Rows{});
    fill<2, true>(k.rows_apart, Rows{});
    k.pack = pack;
    k.pack_panels = pack_panels;
    k.transpose = transpose;
    k.few_rows = few_rows_of;
    return k;
  }();
  return table;
}

}  // namespace HWY_NAMESPACE
}  // namespace fornax::host
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::host {

bool is_few_rows(const Gemm& g) {
  return g.M <= gemm_few_rows && g.sum_chunk == 0 && g.a.column_stride == 1 &&
         (g.b.column_stride == 1 || g.b.row_stride == 1);
}

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
