// Embedding on CUDA: one warp a row, or several narrow rows. Backward lists the positions of every
// table row by a counting sort of integers, then adds them in order. Bytes: 8 an element.
#include "kernels/device/atomics.cuh"
#include "kernels/device/element.cuh"
#include "kernels/device/launch.cuh"
#include "kernels/launch_plan.h"
#include "kernels/offer.h"
#include "kernels/reduction/column_sum.h"
#include "kernels/softmax/row.cuh"

namespace fornax::kernels {
namespace {

using namespace fornax::device;

constexpr int kBlock = 128;

struct Indices {
  const std::int32_t* at;
  std::int64_t count, rows;  ///< positions; rows of the table
};

FORNAX_DEVICE bool inside(const Indices& t, std::int32_t index) {
  return index >= 0 && index < t.rows;
}

/// first_bad: the largest of ~position over bad indices; 0: none.
__global__ void embedding_warp_per_position(Indices t, const float* table, std::int64_t width,
                                            int lanes, float* y, u64* first_bad) {
  const RowPlace place = row_place(t.count, lanes);
  if (place.idle) return;
  const std::int32_t index = read(t.at + place.row);
  const bool good = inside(t, index);
  const float* row = table + (good ? index * width : 0);
  map_row(place, width, y + place.row * width,
          [=](std::int64_t column) { return good ? read(row + column) : 0.0f; });
  if (!good && place.lane == 0 && place.writes) atomic_max(first_bad, ~static_cast<u64>(place.row));
}

/// One thread.
__global__ void embedding_flag(Indices t, const u64* first_bad, StepState* step) {
  const u64 key = read(first_bad);
  if (key == 0) return;
  const auto position = static_cast<std::int64_t>(~key);
  const std::int64_t before = read(&step->bad_index);
  if (before != 0 && before <= position + 1) return;
  write(&step->bad_index, position + 1);
  write(&step->bad_value, std::int64_t{read(t.at + position)});
}

/// The counting sort, all zeros at first but the lists: row r has `taken[r]`
/// positions, listed from base[r] on. Which row lies where depends on chance,
/// the lists do not.
struct PositionLists {
  std::int32_t *total, *taken, *filled, *base, *unsorted, *sorted;
};

__global__ void embedding_count(Indices t, PositionLists lists) {
  for (std::int64_t i = grid_thread(); i < t.count; i += grid_threads()) {
    const std::int32_t index = read(t.at + i);
    if (inside(t, index)) atomic_add(lists.taken + index, 1);
  }
}
__global__ void embedding_place_rows(Indices t, PositionLists lists) {
  for (std::int64_t r = grid_thread(); r < t.rows; r += grid_threads()) {
    const std::int32_t taken = read(lists.taken + r);
    if (taken > 0) write(lists.base + r, atomic_add(lists.total, taken));
  }
}
__global__ void embedding_scatter(Indices t, PositionLists lists) {
  for (std::int64_t i = grid_thread(); i < t.count; i += grid_threads()) {
    const std::int32_t index = read(t.at + i);
    if (!inside(t, index)) continue;
    const std::int32_t place = read(lists.base + index) + atomic_add(lists.filled + index, 1);
    write(lists.unsorted + place, static_cast<std::int32_t>(i));
  }
}
/// A position's place in its list is the number of smaller ones there.
__global__ void embedding_order(Indices t, PositionLists lists) {
  for (std::int64_t i = grid_thread(); i < t.count; i += grid_threads()) {
    const std::int32_t index = read(t.at + i);
    if (!inside(t, index)) continue;
    const std::int32_t base = read(lists.base + index), taken = read(lists.taken + index);
    std::int32_t rank = 0;
    for (std::int32_t k = 0; k < taken; ++k) rank += read(lists.unsorted + base + k) < i;
    write(lists.sorted + base + rank, static_cast<std::int32_t>(i));
  }
}

/// total[j] = column w.at(j) of a row of d_table: chunks of 128 positions, chunk sums in order.
template <int words, bool whole>
FORNAX_DEVICE void sum_positions(const RowWords<words, whole>& w, const std::int32_t* list,
                                 std::int32_t taken, const float* dy, std::int64_t width,
                                 float (&total)[words]) {
  constexpr auto kChunk = static_cast<std::int32_t>(kColumnSumChunk);
  for (int j = 0; j < words; ++j) total[j] = taken > 0 ? -0.0f : 0.0f;
  for (std::int32_t first = 0; first < taken; first += kChunk) {
    const std::int32_t last = taken - first < kChunk ? taken : first + kChunk;
    float sum[words];
    for (int j = 0; j < words; ++j) sum[j] = -0.0f;
#pragma unroll 2
    for (std::int32_t k = first; k < last; ++k) {
      const float* row = dy + read(list + k) * width;
#pragma unroll
      for (int j = 0; j < words; ++j) sum[j] = sum[j] + read(row + w.at(j));
    }
    for (int j = 0; j < words; ++j) total[j] = total[j] + sum[j];
  }
}

/// A row of d_table.
__global__ void embedding_gradient_warp_per_row(Indices t, PositionLists lists, const float* dy,
                                                std::int64_t width, int lanes, float* d_table) {
  const RowPlace place = row_place(t.rows, lanes);
  if (place.idle) return;
  const std::int32_t taken = read(lists.taken + place.row);
  const std::int32_t* list = lists.sorted + (taken > 0 ? read(lists.base + place.row) : 0);
  float* row = d_table + place.row * width;
  for_row(place, 0, width, [&]<int words, bool whole>(const RowWords<words, whole>& w) {
    float total[words];
    sum_positions(w, list, taken, dy, width, total);
#pragma unroll
    for (int j = 0; j < words; ++j)
      if (w.has(j) && place.writes) write(row + w.at(j), total[j]);
  });
}

Config threads(const char* kernel, std::int64_t count, std::int64_t most = 1 << 16) {
  Config config;
  config.grid = blocks_for(count, kBlock, most), config.block = {kBlock, 1, 1};
  config.name = kernel;
  return config;
}

void launch_embedding(const KernelArgs& args) {
  const Indices t{args.in[1].as<std::int32_t>(), args.in[1].elements(), args.in[0].shape()[0]};
  const std::int64_t width = args.in[0].shape()[1];
  auto* first_bad = reinterpret_cast<u64*>(args.workspace.data());
  if (t.count * width == 0) return;
  args.queue.table->fill_zero(args.queue, first_bad, sizeof(u64));
  const int lanes = lanes_of_row(width);
  launch(args.queue, embedding_warp_per_position,
         threads("embedding_warp_per_position", t.count * lanes, INT32_MAX), t,
         args.in[0].as<float>(), width, lanes, args.out[0].as<float>(), first_bad);
  Config one = threads("embedding_flag", 1);
  one.block = {1, 1, 1};
  launch(args.queue, embedding_flag, one, t, first_bad, args.step);
}

PositionLists position_lists(const Indices& t, std::span<std::byte> workspace) {
  PositionLists lists{};
  lists.total = reinterpret_cast<std::int32_t*>(workspace.data());
  lists.taken = lists.total + 1, lists.filled = lists.taken + t.rows;
  lists.base = lists.filled + t.rows, lists.unsorted = lists.base + t.rows;
  lists.sorted = lists.unsorted + t.count;
  return lists;
}

void launch_gradient(const KernelArgs& args) {
  const Indices t{args.in[1].as<std::int32_t>(), args.in[1].elements(), args.out[0].shape()[0]};
  const std::int64_t width = args.out[0].shape()[1];
  const PositionLists lists = position_lists(t, args.workspace);
  if (t.rows * width == 0) return;
  args.queue.table->fill_zero(args.queue, lists.total,
                              static_cast<std::size_t>(4 * (1 + 2 * t.rows)));
  launch(args.queue, embedding_count, threads("embedding_count", t.count), t, lists);
  launch(args.queue, embedding_place_rows, threads("embedding_place_rows", t.rows), t, lists);
  launch(args.queue, embedding_scatter, threads("embedding_scatter", t.count), t, lists);
  launch(args.queue, embedding_order, threads("embedding_order", t.count), t, lists);
  const int lanes = lanes_of_row(width);
  launch(args.queue, embedding_gradient_warp_per_row,
         threads("embedding_gradient_warp_per_row", t.rows * lanes, INT32_MAX), t, lists,
         args.in[0].as<float>(), width, lanes, args.out[0].as<float>());
}

Offer offer(const Signature& signature, const DeviceModel&) {
  return offer_f32(signature, "embedding_warp_per_position", sizeof(u64));
}
Offer offer_gradient(const Signature& signature, const DeviceModel&) {
  const std::int64_t positions = signature.in[1].shape.elements();
  if (positions > INT32_MAX)
    return {
        "embedding_gradient_warp_per_row: at most 2^31 - 1 "
        "positions, got " +
            std::to_string(positions),
        0, 0};
  const std::int64_t words = 1 + 3 * signature.out[0].shape[0] + 2 * positions;
  return offer_f32(signature, "embedding_gradient_warp_per_row", 4 * words);
}

const Kernel kKernels[] = {
    {"embedding", "embedding_warp_per_position", offer, nullptr, launch_embedding},
    {"embedding_gradient", "embedding_gradient_warp_per_row", offer_gradient, nullptr,
     launch_gradient},
};

}  // namespace

std::span<const Kernel> embedding_cuda_kernels() { return kKernels; }

}  // namespace fornax::kernels
