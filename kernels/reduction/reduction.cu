// Sums over rows and over columns on CUDA. Bound by reading x once.
#include "kernels/device/element.cuh"
#include "kernels/device/launch.cuh"
#include "kernels/device/warp.cuh"
#include "kernels/launch_plan.h"
#include "kernels/layout/contiguous.h"
#include "kernels/numeric/ordered_sum.h"
#include "kernels/reduction/chain_sum.cuh"
#include "kernels/reduction/column_sum.cuh"
#include "kernels/reduction/column_sum.h"
#include "kernels/rules.h"
#include "kernels/softmax/row.cuh"

namespace fornax::kernels {
namespace {

using namespace fornax::device;

constexpr int kBlock = 128;
constexpr std::int64_t kColumnsOfBlock = 2048;  ///< rows from here on are summed by whole blocks

/// What a block reduces: x [rows, columns]; sums of chunks go to `partial`, one chunk's to y.
template <class E>
struct SumTask {
  const E* x;
  float* partial;
  E* y;
  std::int64_t rows, columns, chunks;
  float divisor;
};

/// One warp a row of one chunk, or several narrow rows.
template <class E>
__global__ void row_sum_warp_per_row(SumTask<E> t, int lanes) {
  const RowPlace place = row_place(t.rows, lanes);
  if (place.idle) return;
  const E* x = t.x + place.row * t.columns;
  const float sum =
      sum_of_row(place, t.columns, [=](std::int64_t i) { return read_element(x + i); });
  if (place.lane == 0 && place.writes) write_element(t.y + place.row, sum / t.divisor);
}

/// One block a chunk of 65536 elements of a row.
template <class E>
__global__ void row_sum_block_per_chunk(SumTask<E> t) {
  const std::int64_t job = block_index(), row = job / t.chunks;
  const std::int64_t first = job % t.chunks * numeric::kSumChunk, rest = t.columns - first;
  const E* x = t.x + row * t.columns + first;
  const float sum = block_chunk(0, rest < numeric::kSumChunk ? rest : numeric::kSumChunk,
                                [=](std::int64_t i) { return read_element(x + i); });
  if (thread_index() != 0) return;
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
  write_element(t.y + row, chain_sum_of(t.partial + row * t.chunks, t.chunks, 1) / t.divisor);
}

/// One thread a column and chunk of 128 rows, columns first.
template <class E>
__global__ void column_sum_chunks(SumTask<E> t) {
  const std::int64_t job = grid_thread(), chunk = job / t.columns, column = job % t.columns;
  if (chunk >= t.chunks) return;
  const std::int64_t first = chunk * kColumnSumChunk, rest = t.rows - first;
  const E* x = t.x + first * t.columns + column;
  const auto term = [=](std::int64_t r) { return read_element(x + r * t.columns); };
  write(t.partial + job, chain_sum<16>(0, rest < kColumnSumChunk ? rest : kColumnSumChunk, term));
}

/// One thread a column: its chunk sums in order.
template <class E>
__global__ void column_sum_of_chunks(SumTask<E> t) {
  const std::int64_t column = grid_thread();
  if (column >= t.columns) return;
  write_element(t.y + column, chain_sum_of(t.partial + column, t.chunks, t.columns) / t.divisor);
}

std::int64_t chunk_count(std::int64_t elements, std::int64_t chunk) {
  return (elements + chunk - 1) / chunk;
}
std::int64_t divided(std::int64_t a, std::int64_t b) { return b == 0 ? 0 : a / b; }

Config config_of(const char* kernel, std::int64_t threads) {
  Config config;
  config.grid = blocks_for(threads, kBlock, INT32_MAX), config.block = {kBlock, 1, 1};
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
    return {.refusal = "row_sum_block_per_chunk: row-major x needed, got a view of other strides"};
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
    const int lanes = lanes_of_row(t.columns);
    if (t.columns < kColumnsOfBlock)
      return launch(args.queue, row_sum_warp_per_row<E>,
                    config_of("row_sum_warp_per_row", t.rows * lanes), t, lanes);
    Config blocks = config_of("row_sum_block_per_chunk", t.rows * t.chunks * kBlock);
    blocks.shared_bytes = sizeof(SharedChains);
    launch(args.queue, row_sum_block_per_chunk<E>, blocks, t);
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
    {"row_sum", "row_sum_block_per_chunk", offer_row_sum, nullptr, launch_row_sum},
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
      launch(queue, column_sum_chunks<E>, config_of("column_sum_chunks", t.columns * t.chunks), t);
    launch(queue, column_sum_of_chunks<E>, config_of("column_sum_of_chunks", t.columns), t);
  });
}

std::span<const Kernel> reduction_cuda_kernels() { return kKernels; }

}  // namespace fornax::kernels
