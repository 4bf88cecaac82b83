// Register tiles of the matrix product, and products of few rows. Source of the blocking: Goto, van
// de Geijn 2008 (doi:10.1145/1356052.1356053); only the order of each sum is our own.
#include "kernels/host/gemm_tile.h"

#include <algorithm>
#include <cmath>
#include <utility>

// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/host/gemm_tile.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/gemm_pack.h"
#include "kernels/host/register_tile.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace fornax::host {
namespace HWY_NAMESPACE {

// Accumulators fill the registers but for one row of b and a broadcast of a.
constexpr int tile_rows = lanes == 16 ? 14 : lanes == 8 ? 6 : 12;
// To ask for memory in the midst of a tile pays where its FMAs hide the loop's end; measured.
constexpr TileShape tile_shape{tile_rows, lanes, lanes == 16 ? 32 : gemm_fetches_at_once};

HWY_INLINE void fetch_ahead(FetchAhead& ahead) {
  for (std::int64_t left = ahead.share; left > 0;) {
    const FetchAhead::Run run = ahead.next(left);
    if (run.lines == 0) return;
    if (ahead.to_write) {
      for (std::int64_t i = 0; i < run.lines; ++i) prefetch_to_write(run.from + i * 16);
    } else {
      for (std::int64_t i = 0; i < run.lines; ++i)
        __builtin_prefetch(run.from + i * 16, 0, tile_shape.spreads() ? 2 : 3);
    }
    left -= run.lines;
  }
}

/// Asks for a request's rows of c, to write them: what is stored at the end, or what the next tile
/// begins with.
template <int rows, int vectors>
HWY_INLINE void fetch_outputs(const TileArguments& t, float* c, std::int64_t request) {
  const std::int64_t begin = request * t.c_share;
  const std::int64_t end = std::min<std::int64_t>(begin + t.c_share, rows);
  if (t.start == TileStart::resume) c += rows * t.c_stride;
  for (std::int64_t i = begin; i < end; ++i)
    for (int j = 0; j < vectors * lanes; j += 16) prefetch_to_write(c + i * t.c_stride + j);
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
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) acc[i][j] = hn::Zero(d);
    }
  }
  const float* b = t.b;
  constexpr int groups = groups_of(rows, apart);
  const std::int64_t stride[4] = {0, t.a_stride, 2 * t.a_stride, 3 * t.a_stride};
  const float* a[groups];
  for (int g = 0; g < groups; ++g) a[g] = a_tile + 4 * g * t.a_stride;
  const std::int64_t a_step = apart ? 1 : t.a_stride, b_step = t.b_stride;
  const std::int64_t section = t.aheads > 0 || t.c_share > 0
                                   ? std::min<std::int64_t>(tile_shape.fetch_depth, t.depth)
                                   : t.depth;
  for (std::int64_t k = 0; k < t.depth;) {
    for (int i = 0; i < t.aheads; ++i) fetch_ahead(t.ahead[i]);
    if (t.c_share > 0) fetch_outputs<rows, vectors>(t, c, k / tile_shape.fetch_depth);
    // A loop of its own: what is fetched takes none of its integer registers.
    for (const std::int64_t end = std::min(k + section, t.depth); k < end; ++k) {
      add_products<rows, vectors, apart>(a, stride, b, acc);
#pragma GCC unroll 4
      for (int g = 0; g < groups; ++g) a[g] += a_step;
      b += b_step;
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) store_row<vectors>(t, acc[i], c + i * t.c_stride);
}

template <int rows, int vectors, bool apart>
void tiles(const TileArguments& t) {
  const float* a = t.a;
  float* c = t.c;
  for (std::int64_t i = 0; i < t.tiles; ++i, a += t.a_tile, c += rows * t.c_stride)
    tile<rows, vectors, apart>(t, a, c);
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
