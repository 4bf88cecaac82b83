// Sums over rows and over columns on the CPU, at the speed of memory.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/reduction/reduction_cpu.cpp"
#include "hwy/foreach_target.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/vector.h"
// clang-format on
#include <algorithm>

#include "kernels/host/parallel.h"
#include "kernels/reduction/column_sum.h"
#include "kernels/reduction/column_sum_cpu.h"
#include "kernels/rules.h"

HWY_BEFORE_NAMESPACE();
namespace fornax::reduction::HWY_NAMESPACE {
namespace num = numeric::HWY_NAMESPACE;

void row_sums(const float* x, std::int64_t columns, float divisor, float* y, std::int64_t rows) {
  for (std::int64_t r = 0; r < rows; ++r)
    y[r] = num::ordered_sum<num::Vector, num::kLanes>(x + r * columns, columns) / divisor;
}

/// One chunk of a long row; the same sum for threads that share a row.
float chunk_sum(const float* x, std::int64_t count) {
  return num::ordered_chunk<num::Vector, num::kLanes>(0, count, num::Elements{x});
}

/// Rows [0, rows) of `vectors` neighbouring vectors of columns, one chain each; added to y.
template <int vectors>
void add_strip(const float* x, std::int64_t rows, std::int64_t stride, float* y) {
  num::Vector sum[vectors];
  for (int v = 0; v < vectors; ++v) sum[v] = num::Vector(-0.0f);
  for (std::int64_t r = 0; r < rows; ++r)
    for (int v = 0; v < vectors; ++v) sum[v] = sum[v] + num::load(x + r * stride + v * num::kLanes);
  for (int v = 0; v < vectors; ++v)
    num::store(num::load(y + v * num::kLanes) + sum[v], y + v * num::kLanes);
}

/// Adds a chunk of rows to y: strips of two cache lines, so that each line is read once.
void add_chunk(const float* x, std::int64_t rows, std::int64_t stride, float* y,
               std::int64_t columns) {
  constexpr int wide = 8;
  std::int64_t c = 0;
  for (; c + wide * num::kLanes <= columns; c += wide * num::kLanes)
    add_strip<wide>(x + c, rows, stride, y + c);
  for (; c + num::kLanes <= columns; c += num::kLanes) add_strip<1>(x + c, rows, stride, y + c);
  for (; c < columns; ++c) {
    float sum = -0.0f;
    for (std::int64_t r = 0; r < rows; ++r) sum = sum + x[r * stride + c];
    y[c] = y[c] + sum;
  }
}

void column_sums(const float* x, std::int64_t rows, std::int64_t stride, float divisor, float* y,
                 std::int64_t columns) {
  for (std::int64_t c = 0; c < columns; ++c) y[c] = -0.0f;
  for (std::int64_t first = 0; first < rows; first += kernels::kColumnSumChunk) {
    const std::int64_t rest = rows - first;
    add_chunk(x + first * stride, rest < kernels::kColumnSumChunk ? rest : kernels::kColumnSumChunk,
              stride, y, columns);
  }
  for (std::int64_t c = 0; c < columns; ++c) y[c] = y[c] / divisor;
}

}  // namespace fornax::reduction::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::kernels {

namespace {

/// Elements below which a second thread costs more than it brings.
constexpr std::int64_t kSerialElements = 1 << 14;

}  // namespace

void column_sum_cpu(const float* x, std::int64_t rows, std::int64_t columns, float divisor,
                    float* y, int threads) {
  using namespace fornax::reduction;
  const std::int64_t grain = std::max<std::int64_t>(
      64, (kSerialElements / std::max<std::int64_t>(rows, 1) + 63) / 64 * 64);
  host::parallel_for(columns, grain, threads, [&](std::int64_t begin, std::int64_t end) {
    FORNAX_DISPATCH(column_sums)(x + begin, rows, columns, divisor, y + begin, end - begin);
  });
}

namespace {

std::int64_t divided(std::int64_t a, std::int64_t b) { return b == 0 ? 0 : a / b; }

/// A single long row is shared by chunk: its chunk sums are the workspace.
bool shares_row(std::int64_t rows, std::int64_t columns) {
  return rows == 1 && columns > numeric::kSumChunk;
}

Offer offer_f32(const Signature& s) {
  if (s.in[0].dtype == DType::f32) return {};
  return {.refusal = "ordered sums: f32 needed, got " + std::string(name(s.in[0].dtype))};
}
Offer offer_row_sum(const Signature& s, const DeviceModel&) {
  Offer offer = offer_f32(s);
  const std::int64_t rows = s.out[0].shape.elements();
  const std::int64_t columns = divided(s.in[0].shape.elements(), rows);
  if (shares_row(rows, columns))
    offer.workspace_bytes = (columns + numeric::kSumChunk - 1) / numeric::kSumChunk * 4;
  return offer;
}
Offer offer_column_sum(const Signature& s, const DeviceModel&) { return offer_f32(s); }

void launch_row_sum(const KernelArgs& args) {
  using namespace fornax::reduction;
  const std::int64_t rows = args.out[0].elements();
  const std::int64_t columns = divided(args.in[0].elements(), rows);
  const auto divisor = static_cast<float>(number_or(*args.attributes, "divisor", 1));
  const float* x = args.in[0].as<float>();
  float* y = args.out[0].as<float>();
  if (!shares_row(rows, columns)) {
    const std::int64_t grain =
        std::max<std::int64_t>(1, kSerialElements / std::max<std::int64_t>(columns, 1));
    host::parallel_for(rows, grain, args.threads, [&](std::int64_t begin, std::int64_t end) {
      FORNAX_DISPATCH(row_sums)(x + begin * columns, columns, divisor, y + begin, end - begin);
    });
    return;
  }
  auto* sums = reinterpret_cast<float*>(args.workspace.data());
  const std::int64_t chunks = (columns + numeric::kSumChunk - 1) / numeric::kSumChunk;
  host::parallel_for(chunks, 1, args.threads, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t k = begin; k < end; ++k)
      sums[k] = FORNAX_DISPATCH(chunk_sum)(
          x + k * numeric::kSumChunk,
          std::min(numeric::kSumChunk, columns - k * numeric::kSumChunk));
  });
  y[0] = numeric::ordered_sum_of_chunks(sums, chunks) / divisor;
}

void launch_column_sum(const KernelArgs& args) {
  const std::int64_t columns = args.out[0].elements();
  column_sum_cpu(args.in[0].as<float>(), divided(args.in[0].elements(), columns), columns,
                 static_cast<float>(number_or(*args.attributes, "divisor", 1)),
                 args.out[0].as<float>(), args.threads);
}

const Kernel kKernels[] = {
    {"row_sum", "row_sum_128_chains", offer_row_sum, nullptr, launch_row_sum},
    {"column_sum", "column_sum_strips", offer_column_sum, nullptr, launch_column_sum},
};

}  // namespace

std::span<const Kernel> reduction_cpu_kernels() { return kKernels; }

}  // namespace fornax::kernels
#endif
