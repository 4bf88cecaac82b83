// Sums over rows and over columns on CUDA. Bound by reading x once.
#include "kernels/device/element.cuh"
#include "kernels/device/launch.cuh"
#include "kernels/device/warp.cuh"
#include "kernels/launch_plan.h"
#include "kernels/layout/contiguous.h"
#include "kernels/numeric/ordered_sum.h"
#include "kernels/reduction/column_sum.cuh"
#include "kernels/reduction/column_sum.h"
#include "kernels/rules.h"

namespace fornax::kernels {
namespace {

using namespace fornax::device;

constexpr int kBlock = 128;

/// What a block reduces: x [rows, columns]; sums of chunks go to `partial`, one chunk's to y.
template <class E>
struct SumTask {
  const E* x;
  float* partial;
  E* y;
  std::int64_t rows, columns, chunks;
  float divisor;
};

/// The sum of x[0, count): lane l holds chains 4l .. 4l+3 of the 128 (ordered_sum.h).
template <class E>
__device__ float warp_sum(const E* x, std::int64_t count, bool aligned) {
  float c[4] = {-0.0f, -0.0f, -0.0f, -0.0f};
  std::int64_t i = 4 * lane_index();
  if (aligned) {
    for (; i + 4 <= count; i += numeric::kChains) {
      const Four v = read_four(x + i);
      for (int j = 0; j < 4; ++j) c[j] = c[j] + v.v[j];
    }
  }
  for (; i < count; i += numeric::kChains)
    for (int j = 0; j < 4; ++j)
      if (i + j < count) c[j] = c[j] + read_element(x + i + j);
  return numeric::warp_fold(c[0], c[1], c[2], c[3],
                            [](float v, int mask) { return shuffle_xor(v, mask); });
}

/// One warp a chunk of 65536 elements of a row; blocks of whole warps along x.
template <class E>
__global__ void row_sum_warp_per_chunk(SumTask<E> t) {
  const std::int64_t job = grid_thread() / 32;
  if (job >= t.rows * t.chunks) return;
  const std::int64_t row = job / t.chunks, first = job % t.chunks * numeric::kSumChunk;
  const std::int64_t rest = t.columns - first;
  const std::int64_t count = rest < numeric::kSumChunk ? rest : numeric::kSumChunk;
  const bool aligned =
      t.columns % 4 == 0 && reinterpret_cast<std::uintptr_t>(t.x) % (4 * sizeof(E)) == 0;
  const float sum = warp_sum(t.x + row * t.columns + first, count, aligned);
  if (lane_index() != 0) return;
  if (t.chunks == 1)
    write_element(t.y + row, (-0.0f + sum) / t.divisor);
  else
    write(t.partial + job, sum);
}

/// One thread a row: its chunk sums in order.
template <class E>
__global__ void row_sum_of_chunks(SumTask<E> t) {
  const std::int64_t row = grid_thread();
  if (row >= t.rows) return;
  float total = -0.0f;
  for (std::int64_t k = 0; k < t.chunks; ++k) total = total + read(t.partial + row * t.chunks + k);
  write_element(t.y + row, total / t.divisor);
}

/// One thread a column and chunk of 128 rows: grid x over columns, y over chunks.
template <class E>
__global__ void column_sum_chunks(SumTask<E> t) {
  const std::int64_t column = grid_thread();
  if (column >= t.columns) return;
  for (std::int64_t k = blockIdx.y; k < t.chunks; k += gridDim.y) {
    const std::int64_t first = k * kColumnSumChunk;
    const std::int64_t rest = t.rows - first;
    const std::int64_t last = first + (rest < kColumnSumChunk ? rest : kColumnSumChunk);
    float sum = -0.0f;
    for (std::int64_t r = first; r < last; ++r)
      sum = sum + read_element(t.x + r * t.columns + column);
    write(t.partial + k * t.columns + column, sum);
  }
}

/// One thread a column: its chunk sums in order.
template <class E>
__global__ void column_sum_of_chunks(SumTask<E> t) {
  const std::int64_t column = grid_thread();
  if (column >= t.columns) return;
  float total = -0.0f;
  for (std::int64_t k = 0; k < t.chunks; ++k)
    total = total + read(t.partial + k * t.columns + column);
  write_element(t.y + column, total / t.divisor);
}

std::int64_t chunk_count(std::int64_t elements, std::int64_t chunk) {
  return (elements + chunk - 1) / chunk;
}
std::int64_t divided(std::int64_t a, std::int64_t b) { return b == 0 ? 0 : a / b; }

Config config_of(const char* kernel, std::int64_t threads, std::int64_t rows_of_blocks = 1) {
  Config config;
  config.grid = blocks_for(threads, kBlock, INT32_MAX), config.block = {kBlock, 1, 1};
  config.grid.y = static_cast<unsigned>(std::clamp<std::int64_t>(rows_of_blocks, 1, 65535));
  config.name = kernel;
  return config;
}

Offer offer_elements(const Signature& s) {
  if (has_element(s.in[0].dtype)) return {};
  return {.refusal =
              "ordered sums: f32, bf16 or f16 needed, got " + std::string(name(s.in[0].dtype))};
}
Offer offer_of_rows(const Signature& s) {
  Offer offer = offer_elements(s);
  const std::int64_t rows = s.out[0].shape.elements();
  const std::int64_t chunks =
      chunk_count(divided(s.in[0].shape.elements(), rows), numeric::kSumChunk);
  if (chunks > 1) offer.workspace_bytes = rows * chunks * 4;
  return offer;
}
Offer offer_row_sum(const Signature& s, const DeviceModel&) {
  if (!s.in[0].contiguous())
    return {.refusal = "row_sum_warp_per_chunk: row-major x needed, got a view of other strides"};
  return offer_of_rows(s);
}
Offer offer_row_sum_of_copy(const Signature& s, const DeviceModel&) {
  if (s.in[0].contiguous()) return {.refusal = "row_sum_of_copy: a view needed, got row-major x"};
  Offer offer = offer_of_rows(s);
  offer.workspace_bytes += copy_bytes(s.in[0]);
  return offer;
}
Offer offer_column_sum(const Signature& s, const DeviceModel&) {
  Offer offer = offer_elements(s);
  const std::int64_t columns = s.out[0].shape.elements();
  offer.workspace_bytes =
      column_sum_workspace_bytes(divided(s.in[0].shape.elements(), columns), columns);
  return offer;
}

void launch_row_sum(const KernelArgs& args) {
  with_element(args.out[0].type->dtype, [&]<class E>(E) {
    SumTask<E> t{};
    t.x = args.in[0].as<E>(), t.y = args.out[0].as<E>();
    t.partial = reinterpret_cast<float*>(args.workspace.data());
    t.rows = args.out[0].elements(), t.columns = divided(args.in[0].elements(), t.rows);
    t.chunks = std::max<std::int64_t>(1, chunk_count(t.columns, numeric::kSumChunk));
    t.divisor = static_cast<float>(number_or(*args.attributes, "divisor", 1));
    if (t.rows == 0) return;
    launch(args.queue, row_sum_warp_per_chunk<E>,
           config_of("row_sum_warp_per_chunk", t.rows * t.chunks * 32), t);
    if (t.chunks > 1)
      launch(args.queue, row_sum_of_chunks<E>, config_of("row_sum_of_chunks", t.rows), t);
  });
}

void launch_row_sum_of_copy(const KernelArgs& args) {
  launch_on_copy(args, copy_contiguous_cuda, launch_row_sum);
}

void launch_column_sum(const KernelArgs& args) {
  column_sum_cuda(args.queue, args.in[0], args.out[0],
                  static_cast<float>(number_or(*args.attributes, "divisor", 1)), args.workspace);
}

const Kernel kKernels[] = {
    {"row_sum", "row_sum_warp_per_chunk", offer_row_sum, nullptr, launch_row_sum},
    {"row_sum", "row_sum_of_copy", offer_row_sum_of_copy, nullptr, launch_row_sum_of_copy},
    {"column_sum", "column_sum_chunks", offer_column_sum, nullptr, launch_column_sum},
};

}  // namespace

std::int64_t column_sum_workspace_bytes(std::int64_t rows, std::int64_t columns) {
  return chunk_count(rows, kColumnSumChunk) * columns * 4;
}

void column_sum_cuda(const Queue& queue, const ConstTensorView& x, const TensorView& y,
                     float divisor, std::span<std::byte> workspace) {
  with_element(y.type->dtype, [&]<class E>(E) {
    SumTask<E> t{};
    t.x = x.as<E>(), t.y = y.as<E>();
    t.partial = reinterpret_cast<float*>(workspace.data());
    t.columns = y.elements(), t.rows = divided(x.elements(), t.columns);
    t.chunks = chunk_count(t.rows, kColumnSumChunk);
    t.divisor = divisor;
    if (t.columns == 0) return;
    if (t.chunks > 0)
      launch(queue, column_sum_chunks<E>, config_of("column_sum_chunks", t.columns, t.chunks), t);
    launch(queue, column_sum_of_chunks<E>, config_of("column_sum_of_chunks", t.columns), t);
  });
}

std::span<const Kernel> reduction_cuda_kernels() { return kKernels; }

}  // namespace fornax::kernels
