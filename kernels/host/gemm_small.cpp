// Products without packing.
#include "kernels/host/gemm_small.h"

#include <algorithm>
#include <cmath>

#include "kernels/host/gemm_blocking.h"
#include "kernels/host/parallel.h"

namespace fornax::host {
namespace {

constexpr std::int64_t few_rows_strip = 64, few_rows_block = 1024;  // columns
constexpr std::int64_t part_bytes = 256 * 1024;  // of b that are worth waking a thread

/// Outputs of one row, four chains at a time.
template <int count>
void scalar_outputs(const Gemm& g, std::int64_t m, std::int64_t n) {
  const float* a = g.a.data + m * g.a.row_stride;
  const float* b = g.b.data + n * g.b.row_stride;
  const std::int64_t chunk = g.sum_chunk > 0 ? g.sum_chunk : std::max<std::int64_t>(g.K, 1);
  float total[count] = {};
  for (std::int64_t k0 = 0; k0 < g.K; k0 += chunk) {
    float acc[count] = {};
    const std::int64_t end = std::min(g.K, k0 + chunk);
    for (std::int64_t k = k0; k < end; ++k) {
      const float x = a[k * g.a.column_stride];
      const float* y = b + k * g.b.column_stride;
      for (int j = 0; j < count; ++j) acc[j] = std::fma(x, y[j * g.b.row_stride], acc[j]);
    }
    for (int j = 0; j < count; ++j) total[j] = k0 == 0 ? acc[j] : total[j] + acc[j];
  }
  for (int j = 0; j < count; ++j) g.c[m * g.c_stride + n + j] = total[j];
}

/// Some rows at a time, row after row.
void shallow_block(const Gemm& g, const GemmKernels& kernels, const GemmBlock& block) {
  Gemm rows = g;
  for (std::int64_t m = block.row; m < block.row + block.rows; m += rows.M) {
    rows.M = std::min<std::int64_t>(gemm_few_rows, block.row + block.rows - m);
    rows.a.data = g.a.data + m * g.a.row_stride, rows.c = g.c + m * g.c_stride;
    const std::int64_t end = block.column + block.columns;
    for (std::int64_t n = block.column; n < end; n += gemm_deep_columns) {
      const std::int64_t columns = std::min(gemm_deep_columns, end - n);
      kernels.few_rows({rows, n, columns});
      if (g.epilogue.apply)
        g.epilogue.apply(g.epilogue.context, rows.c + n, g.c_stride, {m, rows.M, n, columns});
    }
  }
}

}  // namespace

void run_scalar(const Gemm& g) {
  for (std::int64_t m = 0; m < g.M; ++m) {
    std::int64_t n = 0;
    for (; n + 4 <= g.N; n += 4) scalar_outputs<4>(g, m, n);
    for (; n < g.N; ++n) scalar_outputs<1>(g, m, n);
  }
  if (g.epilogue.apply) g.epilogue.apply(g.epilogue.context, g.c, g.c_stride, {0, g.M, 0, g.N});
}

void run_few_rows(const Gemm& g, const GemmKernels& kernels, int threads) {
  const std::int64_t strips = divide_up(g.N, few_rows_strip);
  const std::int64_t block = g.M > 1 && may_be_cached(g) ? gemm_deep_columns : few_rows_block;
  const std::int64_t grain =
      divide_up(part_bytes, 4 * few_rows_strip * std::max<std::int64_t>(g.K, 1));
  parallel_for(strips, grain, threads, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t last = std::min(g.N, end * few_rows_strip);
    for (std::int64_t n = begin * few_rows_strip; n < last; n += block) {
      const std::int64_t columns = std::min(block, last - n);
      kernels.few_rows({g, n, columns});
      if (g.epilogue.apply)
        g.epilogue.apply(g.epilogue.context, g.c + n, g.c_stride, {0, g.M, n, columns});
    }
  });
}

void run_shallow(const Gemm& g, const GemmKernels& kernels, int threads) {
  const std::int64_t unit = round_up(gemm_few_rows, g.row_unit), units = divide_up(g.M, unit);
  const int useful = useful_threads(g, threads);
  if (units >= useful)
    return parallel_for(units, 1, useful, [&](std::int64_t begin, std::int64_t end) {
      const std::int64_t row = begin * unit;
      shallow_block(g, kernels, {row, std::min(g.M, end * unit) - row, 0, g.N});
    });
  parallel_for(
      divide_up(g.N, few_rows_strip), 1, useful, [&](std::int64_t begin, std::int64_t end) {
        const std::int64_t column = begin * few_rows_strip;
        shallow_block(g, kernels, {0, g.M, column, std::min(g.N, end * few_rows_strip) - column});
      });
}

}  // namespace fornax::host
