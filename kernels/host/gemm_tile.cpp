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

/// `lanes` rows of b at equal distances.
struct RowsApart {
  const float* first;
  std::int64_t stride;
  HWY_INLINE const float* operator()(int i) const { return first + i * stride; }
};
/// The last rows of b, fewer than lanes.
struct RowsListed {
  const float* row[lanes];
  HWY_INLINE const float* operator()(int i) const { return row[i]; }
};

/// Chains of all rows of a with groups * lanes rows of b, b contiguous in k. Groups hide the
/// latency of fma.
template <int rows, int groups, class Rows>
struct FewChains {
  const Gemm& gemm;
  Rows b[groups];
  bool asks;  ///< for memory ahead: of more rows than hardware follows
  V acc[rows][groups];

  HWY_INLINE void add(int v, std::int64_t k, V column) {
    const D d;
    const float* a = gemm.a.data + k;
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m)
      acc[m][v] = hn::MulAdd(hn::Set(d, a[m * gemm.a.row_stride]), column, acc[m][v]);
  }

  /// `width` steps from k on. Each row is asked for once in the steps that use a line of it.
  template <int width>
  HWY_INLINE void add_columns(std::int64_t k) {
    constexpr std::int64_t ahead = width == 16 ? 64 : 48;  // floats; measured
    constexpr int parts = 16 / width, asked = lanes / parts;
#pragma GCC unroll 4
    for (int v = 0; v < groups; ++v) {
      const auto row = [&](int i) FORNAX_LAMBDA { return b[v](i) + k; };
      if (asks) {
        const int part = static_cast<int>(k / width % parts);
#pragma GCC unroll 16
        for (int i = 0; i < asked; ++i) __builtin_prefetch(row(part * asked + i) + ahead);
      }
      V column[width];
      load_columns(row, column);
#pragma GCC unroll 16
      for (int q = 0; q < width; ++q) add(v, k + q, column[q]);
    }
  }

  /// `width` steps at a time, as long as there are so many.
  template <int width>
  HWY_INLINE void run() {
    const D d;
    for (int m = 0; m < rows; ++m)
      for (int v = 0; v < groups; ++v) acc[m][v] = hn::Zero(d);
    std::int64_t k = 0;
    for (; k + width <= gemm.K; k += width) add_columns<width>(k);
    for (; k + 4 <= gemm.K; k += 4) add_columns<4>(k);
    HWY_ALIGN float lane[lanes];
    for (; k < gemm.K; ++k)
      for (int v = 0; v < groups; ++v) {
        for (int i = 0; i < lanes; ++i) lane[i] = b[v](i)[k];
        add(v, k, hn::Load(d, lane));
      }
  }
};

/// Whether rows of b are asked for ahead. Hardware that reads along does so itself from the caches.
bool asks_for_rows(const Gemm& g) { return !reads_along() || !may_be_cached(g); }

/// Outputs [n, n + groups * lanes) of every row. b is transposed in registers: FP instructions
/// bound it, and b's bytes from memory.
template <int rows, int groups, int width>
void few_rows_of_chains(const Gemm& g, std::int64_t n) {
  FewChains<rows, groups, RowsApart> chains{g, {}, asks_for_rows(g), {}};
  for (int v = 0; v < groups; ++v)
    chains.b[v] = {g.b.data + (n + v * lanes) * g.b.row_stride, g.b.row_stride};
  chains.template run<width>();
  for (int m = 0; m < rows; ++m)
    for (int v = 0; v < groups; ++v)
      hn::StoreU(chains.acc[m][v], D(), g.c + m * g.c_stride + n + v * lanes);
}

/// The last `count` outputs of every row.
template <int rows>
void few_rows_last(const Gemm& g, std::int64_t n, std::int64_t count) {
  FewChains<rows, 1, RowsListed> chains{g, {}, asks_for_rows(g), {}};
  row_pointers(g.b, n, count, chains.b[0].row);
  chains.template run<4>();
  HWY_ALIGN float lane[lanes];
  for (int m = 0; m < rows; ++m) {
    hn::Store(chains.acc[m][0], D(), lane);
    std::copy(lane, lane + count, g.c + m * g.c_stride + n);
  }
}

/// Elements of a row: all lanes of a vector, or its first.
struct AllLanes {
  static HWY_INLINE V load(const float* from) { return hn::LoadU(D(), from); }
  static HWY_INLINE void store(V value, float* to) { hn::StoreU(value, D(), to); }
};
struct FirstLanes {
  hn::Mask<D> which;
  HWY_INLINE V load(const float* from) const { return hn::MaskedLoad(which, D(), from); }
  HWY_INLINE void store(V value, float* to) const { hn::BlendedStore(value, which, D(), to); }
};

/// How the steps of k go. `depth` of all columns before the next: their elements of b stay in L1
/// with those that are asked for. along: a is contiguous in k.
template <int depth_, bool along_>
struct Steps {
  static constexpr int depth = depth_;
  static constexpr bool along = along_;
};

/// A few steps of k from k on, of rows from `row` on; b contiguous in n.
struct FewSteps {
  const Gemm& gemm;
  std::int64_t row, k, steps;
  std::int64_t ahead;  ///< steps to what is asked for
};

/// c[m, n ..] goes on by these steps. The rows of b that come next are asked for where `fetches`:
/// of each so little is read that hardware does not follow.
template <int rows, int vectors, bool along, bool fetches, class Lanes>
HWY_INLINE void few_rows_outputs(const FewSteps& f, std::int64_t n, const Lanes& all) {
  const D d;
  const Gemm& g = f.gemm;
  const std::int64_t stride = g.b.column_stride;
  const std::int64_t ahead = f.ahead * stride;
  const std::int64_t a_step = along ? 1 : g.a.column_stride;
  const float* a = g.a.data + f.row * g.a.row_stride + f.k * a_step;
  const float* b = g.b.data + f.k * stride + n;
  float* c = g.c + f.row * g.c_stride + n;
  V acc[rows][vectors];
#pragma GCC unroll 8
  for (int m = 0; m < rows; ++m)
    for (int v = 0; v < vectors; ++v)
      acc[m][v] = f.k == 0 ? hn::Zero(d) : all.load(c + m * g.c_stride + v * lanes);
  for (std::int64_t q = 0; q < f.steps; ++q, b += stride) {
    V row[vectors];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) {
      row[v] = all.load(b + v * lanes);
      if (fetches && v * lanes % 16 == 0) __builtin_prefetch(b + v * lanes + ahead);
    }
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m)
      for (int v = 0; v < vectors; ++v)
        acc[m][v] = hn::MulAdd(hn::Set(d, a[m * g.a.row_stride + q * a_step]), row[v], acc[m][v]);
  }
#pragma GCC unroll 8
  for (int m = 0; m < rows; ++m)
    for (int v = 0; v < vectors; ++v) all.store(acc[m][v], c + m * g.c_stride + v * lanes);
}

/// The same of all columns, of as many rows at a time as registers hold of two vectors each.
template <int rows, class S, int first = 0>
void few_rows_steps(const FewRowsArguments& f, std::int64_t k) {
  constexpr int most = lanes / 2, height = (rows - 1) / ((rows - 1) / most + 1) + 1;
  constexpr bool fetches = first == 0;
  constexpr std::int64_t depth = S::depth;
  const bool goes_on = k + 2 * depth <= f.gemm.K;
  const FewSteps steps{f.gemm, first, k, std::min(depth, f.gemm.K - k), goes_on ? depth : 0};
  const std::int64_t end = f.column + f.columns;
  std::int64_t n = f.column;
  for (; n + 2 * lanes <= end; n += 2 * lanes)
    few_rows_outputs<height, 2, S::along, fetches>(steps, n, AllLanes{});
  for (; n + lanes <= end; n += lanes)
    few_rows_outputs<height, 1, S::along, fetches>(steps, n, AllLanes{});
  if (n < end) {
    const FirstLanes some{hn::FirstN(D(), static_cast<std::size_t>(end - n))};
    few_rows_outputs<height, 1, S::along, fetches>(steps, n, some);
  }
  if constexpr (height < rows) few_rows_steps<rows - height, S, first + height>(f, k);
}

template <int rows, class S>
void few_rows_by_steps(const FewRowsArguments& f) {
  std::int64_t k = 0;
  do {
    few_rows_steps<rows, S>(f, k);
    k += S::depth;
  } while (k < f.gemm.K);
}

/// Of b contiguous in k, `groups` vectors of outputs at a time.
template <int rows, int groups, int width>
void few_rows_by_chains(const FewRowsArguments& f) {
  std::int64_t n = f.column;
  const std::int64_t end = f.column + f.columns;
  for (; n + groups * lanes <= end; n += groups * lanes)
    few_rows_of_chains<rows, groups, width>(f.gemm, n);
  for (; n + lanes <= end; n += lanes) few_rows_of_chains<rows, 1, width>(f.gemm, n);
  if (n < end) few_rows_last<rows>(f.gemm, n, end - n);
}

/// Rows of b contiguous in k are turned by halves of lines, but where they share sets of L1 by
/// whole lines: those would be gone when their other halves are due. Chains want a so too; b of one
/// column is contiguous both ways.
template <int rows>
void few_rows(const FewRowsArguments& f) {
  if (f.gemm.a.column_stride == 1 && f.gemm.b.column_stride == 1) {
    constexpr int groups = rows <= 4 ? 2 : 1;
    if constexpr (lanes == 16) {
      if (f.gemm.b.row_stride % page_floats == 0) return few_rows_by_chains<rows, 1, lanes>(f);
      return few_rows_by_chains<rows, groups, lanes / 2>(f);
    }
    return few_rows_by_chains<rows, groups, 4>(f);
  }
  if (f.gemm.a.column_stride != 1) return few_rows_by_steps<rows, Steps<8, false>>(f);
  const bool share_sets = f.gemm.b.column_stride % page_floats == 0;
  const bool deep = f.columns <= gemm_deep_columns && !share_sets && may_be_cached(f.gemm);
  return deep ? few_rows_by_steps<rows, Steps<8, true>>(f)
              : few_rows_by_steps<rows, Steps<4, true>>(f);
}

template <std::size_t... row>
void few_rows_of(const FewRowsArguments& f, std::index_sequence<row...>) {
  constexpr void (*functions[])(const FewRowsArguments&) = {few_rows<static_cast<int>(row) + 1>...};
  functions[f.gemm.M - 1](f);
}
void few_rows_of(const FewRowsArguments& f) {
  few_rows_of(f, std::make_index_sequence<gemm_few_rows>{});
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

// Shorter rows leave the FMAs idle, but where outputs are few, to pack for them is dearer;
// measured.
constexpr std::int64_t shallow_columns = 64, shallow_outputs = 4096;

// Rows of a^T, more of which are quicker as a tile, as are short rows that it reads in place.
constexpr std::int64_t few_rows_apart = 4, short_columns = 64;

/// All of the sum, into c.
bool is_one_chain(const Gemm& g) {
  return g.keeps_outputs && !g.resumes && (g.sum_chunk == 0 || g.K <= g.sum_chunk);
}

bool is_shallow(const Gemm& g) {
  const bool pays = g.N >= shallow_columns || g.M * g.N <= shallow_outputs;
  return pays && is_one_chain(g) && g.K <= gemm_shallow && g.b.row_stride == 1;
}

bool is_few_rows(const Gemm& g) {
  if (g.M > gemm_few_rows || !is_one_chain(g)) return false;
  if (g.a.column_stride == 1) return g.b.column_stride == 1 || g.b.row_stride == 1;
  const bool are_vectors = g.N <= short_columns && g.N % 16 == 0;
  return g.b.row_stride == 1 && g.M <= few_rows_apart && !are_vectors;
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
