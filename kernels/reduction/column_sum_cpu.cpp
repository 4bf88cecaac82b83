// Sums over rows of a matrix on the CPU, at the speed of memory.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/reduction/column_sum_cpu.cpp"
#include "hwy/foreach_target.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/vector.h"
// clang-format on
#include "kernels/reduction/column_sum_cpu.h"

#include <algorithm>

#include "kernels/host/offer.h"
#include "kernels/host/parallel.h"
#include "kernels/host/row_kernel.h"
#include "kernels/reduction/column_sum.h"
#include "kernels/rules.h"

HWY_BEFORE_NAMESPACE();
namespace fornax::reduction::HWY_NAMESPACE {
namespace num = numeric::HWY_NAMESPACE;

constexpr std::int64_t kColumnsAtOnce = 1024;  // chains that wait in L1

/// Adds one chain of rows to y.
FORNAX_NUMERIC_FN void add_chain(const kernels::ColumnSum& s) {
  float sum[kColumnsAtOnce];
  for (std::int64_t c0 = 0; c0 < s.columns; c0 += kColumnsAtOnce) {
    const std::int64_t columns = std::min(kColumnsAtOnce, s.columns - c0);
    num::column_chains(0, s.rows, columns, sum,
                       [&](std::int64_t row, std::int64_t c, auto zero) FORNAX_LAMBDA {
                         return num::load(s.x + row * s.stride + c0 + c, zero);
                       });
    for (std::int64_t c = 0; c < columns; ++c) s.y[c0 + c] = s.y[c0 + c] + sum[c];
  }
}

/// y = -0.0, body(), y / divisor.
template <class Body>
FORNAX_NUMERIC_FN void with_total(const kernels::ColumnSum& s, const Body& body) {
  for (std::int64_t c = 0; c < s.columns; ++c) s.y[c] = -0.0f;
  body();
  for (std::int64_t c = 0; c < s.columns; ++c) s.y[c] = s.y[c] / s.divisor;
}

void sum_of_chunks(const kernels::ColumnSum& s) {
  with_total(s, [&]() FORNAX_LAMBDA {
    kernels::ColumnSum chunk = s;
    for (std::int64_t first = 0; first < s.rows; first += kernels::kColumnSumChunk) {
      chunk.rows = kernels::chunk_rows(first, s.rows);
      chunk.x = s.x + first * s.stride;
      add_chain(chunk);
    }
  });
}

void sum_of_rows(const kernels::ColumnSum& s) {
  with_total(s, [&]() FORNAX_LAMBDA { add_chain(s); });
}

}  // namespace fornax::reduction::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::kernels {

void add_column_sums_cpu(const ColumnSum& chunk_sums) {
  using namespace fornax::reduction;
  FORNAX_DISPATCH(sum_of_rows)(chunk_sums);
}

namespace {

std::int64_t chunk_count(std::int64_t rows) {
  return (rows + kColumnSumChunk - 1) / kColumnSumChunk;
}

/// Columns of a thread: whole cache lines, and strips of them, of every row that it reads.
constexpr std::int64_t kColumnsOfPart = 64;

/// Whether chunks of rows give more parts than columns do.
bool shares_chunks(std::int64_t rows, std::int64_t columns) {
  const std::int64_t chunks = chunk_count(rows);
  return chunks > 1 && chunks > columns / kColumnsOfPart;
}

/// Bytes of chunk sums where threads split chunks of rows, 0 where they split columns.
std::int64_t column_sum_workspace_bytes(std::int64_t rows, std::int64_t columns) {
  return shares_chunks(rows, columns) ? chunk_count(rows) * columns * 4 : 0;
}

/// Of the chunks [begin, end), a row of `sums` each.
void chunk_sums(const ColumnSum& sum, std::int64_t begin, std::int64_t end, float* sums) {
  using namespace fornax::reduction;
  ColumnSum chunk = sum;
  chunk.divisor = 1;
  chunk.y = sums;
  for (std::int64_t k = begin; k < end; ++k, chunk.y += sum.columns) {
    chunk.rows = chunk_rows(k * kColumnSumChunk, sum.rows);
    chunk.x = sum.x + k * kColumnSumChunk * sum.stride;
    FORNAX_DISPATCH(sum_of_rows)(chunk);
  }
}

/// In the order of column_sum.h; reads x once. `workspace` has column_sum_workspace_bytes().
void column_sums(const ColumnSum& sum, void* workspace, int threads) {
  using namespace fornax::reduction;
  const std::int64_t chunks = chunk_count(sum.rows);
  if (!shares_chunks(sum.rows, sum.columns)) {
    const std::int64_t wanted = host::rows_of_part(sum.rows);
    const std::int64_t grain = (wanted + kColumnsOfPart - 1) / kColumnsOfPart * kColumnsOfPart;
    host::parallel_for(sum.columns, grain, threads, [&](std::int64_t begin, std::int64_t end) {
      ColumnSum part = sum;
      part.x += begin, part.y += begin, part.columns = end - begin;
      FORNAX_DISPATCH(sum_of_chunks)(part);
    });
    return;
  }
  auto* sums = static_cast<float*>(workspace);
  const std::int64_t grain = host::rows_of_part(kColumnSumChunk * sum.columns);
  host::parallel_for(chunks, grain, threads, [&](std::int64_t begin, std::int64_t end) {
    chunk_sums(sum, begin, end, sums + begin * sum.columns);
  });
  add_column_sums_cpu({sums, chunks, sum.columns, sum.columns, sum.divisor, sum.y});
}

std::int64_t divided(std::int64_t a, std::int64_t b) { return b == 0 ? 0 : a / b; }
Offer offer_column_sum(const Signature& s, const DeviceModel&) {
  const std::int64_t columns = s.out[0].shape.elements();
  const std::int64_t rows = divided(s.in[0].shape.elements(), columns);
  return host::offer_f32(s, "column_sum_strips", column_sum_workspace_bytes(rows, columns));
}

ColumnSum column_sum_of(const KernelArgs& args) {
  const std::int64_t columns = args.out[0].elements();
  const auto divisor = static_cast<float>(number_or(*args.attributes, "divisor", 1));
  return {
      args.in[0].as<float>(), divided(args.in[0].elements(), columns), columns, columns, divisor,
      args.out[0].as<float>()};
}

void launch_column_sum(const KernelArgs& args) {
  column_sums(column_sum_of(args), args.workspace.data(), args.threads);
}

static_assert(host::kBandRows == kColumnSumChunk);

bool plan_column_sum(const Signature& s, host::RowPlan& plan) {
  const std::int64_t columns = s.out[0].shape.elements();
  plan.rows = divided(s.in[0].shape.elements(), columns);
  plan.in = {host::RowAccess::rows};
  plan.out = {host::RowAccess::whole};
  plan.kept_bytes = 4 * chunk_count(plan.rows) * columns;
  return true;
}
void column_sum_band(const KernelArgs& args, const host::RowBand& band) {
  const ColumnSum sum = column_sum_of(args);
  auto* sums = reinterpret_cast<float*>(band.kept) + band.first / kColumnSumChunk * sum.columns;
  chunk_sums(sum, 0, chunk_count(sum.rows), sums);
}
void finish_column_sum(const KernelArgs& args, std::byte* kept) {
  const ColumnSum sum = column_sum_of(args);
  add_column_sums_cpu({reinterpret_cast<float*>(kept), chunk_count(sum.rows), sum.columns,
                       sum.columns, sum.divisor, sum.y});
}
constexpr host::RowKernel kColumnSumByRows{plan_column_sum, nullptr, column_sum_band, nullptr,
                                           finish_column_sum};

}  // namespace

const Kernel kColumnSumCpu = {"column_sum",     "column_sum_strips", offer_column_sum,
                              nullptr,          launch_column_sum,   false,
                              &kColumnSumByRows};

}  // namespace fornax::kernels
#endif
