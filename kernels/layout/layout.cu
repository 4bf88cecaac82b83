// Copies between layouts on CUDA. Bound by memory: each element is read and written once.
#include "kernels/device/element.cuh"
#include "kernels/device/launch.cuh"
#include "kernels/device/shared.cuh"
#include "kernels/device/warp.cuh"
#include "kernels/launch_plan.h"
#include "kernels/layout/contiguous.h"
#include "kernels/layout/strided.h"
#include "kernels/rules.h"

namespace fornax::kernels {
namespace {

using namespace fornax::device;

constexpr int kBlock = 256;
constexpr int kTile = 32;
constexpr int kTileRows = 4;  ///< rows that a block of 32 x 4 threads moves at once

/// One element a thread at a time, writes in order.
template <class E, class Index>
__global__ void copy_strided(StridedWalk<1> walk, const E* from, E* to, std::int64_t count) {
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    std::int64_t offset[1];
    walk.element_offsets(static_cast<Index>(i), offset);
    write(to + i, read(from + offset[0]));
  }
}

/// Rows are an odd number of words (8-byte elements: of pairs), so a column lies in 32 banks.
template <class E>
struct Tile {
  static constexpr int kPad = sizeof(E) < 4 ? 4 / sizeof(E) : 1;
  SharedArray<E, kTile, kTile + kPad> element;
};

/// Source contiguous along the last axis but one: tiles of 32 x 32 through shared memory, so that
/// both sides are coalesced. Block 32 x 4 as 128 threads along x; grid (tiles of both axes,
/// others).
template <class E>
__global__ void copy_transposed(StridedWalk<1> walk, const E* from, E* to) {
  Tile<E>& tile = shared_memory<Tile<E>>();
  const std::int64_t rows = walk.extent[walk.rank - 2], columns = walk.extent[walk.rank - 1];
  const std::int64_t stride = walk.stride[0][walk.rank - 1];
  const std::int64_t across = (columns + kTile - 1) / kTile;
  const std::int64_t row = blockIdx.x / across * kTile, column = blockIdx.x % across * kTile;
  const std::int64_t matrix = blockIdx.y * rows;
  std::int64_t offset[1];
  walk.row_offsets(matrix, offset);
  const int x = thread_index() % kTile, y = thread_index() / kTile;
  constexpr int kTimes = kTile / kTileRows;
  E v[kTimes] = {};
#pragma unroll
  for (int k = 0; k < kTimes; ++k) {
    const std::int64_t to_column = column + y + k * kTileRows;
    if (row + x < rows && to_column < columns)
      v[k] = read(from + offset[0] + row + x + to_column * stride);
  }
#pragma unroll
  for (int k = 0; k < kTimes; ++k) write(&tile.element[y + k * kTileRows][x], v[k]);
  sync_block();
#pragma unroll
  for (int k = 0; k < kTimes; ++k) {
    const int j = y + k * kTileRows;
    if (row + j < rows && column + x < columns)
      write(to + (matrix + row + j) * columns + column + x, read(&tile.element[x][j]));
  }
}

/// dx [outer, width] gets dy [outer, end - begin] at columns begin .. end-1, else 0.
template <class E>
__global__ void pad_rows(const E* dy, E* dx, std::int64_t count, std::int64_t width,
                         std::int64_t begin, std::int64_t end) {
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const std::int64_t row = i / width, column = i % width;
    const bool inside = column >= begin && column < end;
    write(dx + i, inside ? read(dy + row * (end - begin) + column - begin) : E());
  }
}

Offer accept(const Signature&, const DeviceModel&) { return {}; }

/// Calls visit(E()) with an unsigned type of the dtype's size.
template <class Visit>
void with_size(DType dtype, const Visit& visit) {
  switch (size_bytes(dtype)) {
    case 1: return visit(std::uint8_t());
    case 2: return visit(std::uint16_t());
    case 4: return visit(std::uint32_t());
    default: return visit(std::uint64_t());
  }
}

Config config_of(const char* kernel, Dim3 grid) {
  Config config;
  config.grid = grid, config.block = {kBlock, 1, 1};
  config.name = kernel;
  return config;
}

template <class E>
void run_strided(const Queue& queue, const StridedWalk<1>& walk, const E* from, E* to) {
  const std::int64_t count = walk.rows() * walk.row_elements();
  const Config config = config_of("copy_strided", blocks_for(count, kBlock));
  if (count <= INT32_MAX)
    launch(queue, copy_strided<E, std::uint32_t>, config, walk, from, to, count);
  else
    launch(queue, copy_strided<E, std::uint64_t>, config, walk, from, to, count);
}

/// Copies by units of type U where the last axis and every step consist of whole ones.
template <class U, class E>
bool run_by_units(const Queue& queue, StridedWalk<1> walk, const E* from, E* to) {
  constexpr std::int64_t kOfUnit = sizeof(U) / sizeof(E);
  const int last = walk.rank - 1;
  const auto aligned = [](const void* p) {
    return reinterpret_cast<std::uintptr_t>(p) % sizeof(U) == 0;
  };
  bool whole = kOfUnit > 1 && walk.stride[0][last] == 1 && walk.extent[last] % kOfUnit == 0 &&
               aligned(from) && aligned(to);
  for (int axis = 0; axis < last; ++axis) whole = whole && walk.stride[0][axis] % kOfUnit == 0;
  if (!whole) return false;
  walk.extent[last] /= kOfUnit;
  for (int axis = 0; axis < last; ++axis) walk.stride[0][axis] /= kOfUnit;
  run_strided(queue, walk, reinterpret_cast<const U*>(from), reinterpret_cast<U*>(to));
  return true;
}

template <class E>
void run_copy(const KernelArgs& args) {
  if (args.out[0].elements() == 0) return;
  const auto walk = strided_walk<1>(args.in[0].shape(), {args.in[0].type->strides});
  const E* from = args.in[0].as<E>();
  E* to = args.out[0].as<E>();
  if (walk.rank >= 2 && walk.stride[0][walk.rank - 2] == 1) {
    const std::int64_t rows = walk.extent[walk.rank - 2], columns = walk.row_elements();
    const std::int64_t tiles = (rows + kTile - 1) / kTile * ((columns + kTile - 1) / kTile);
    const std::int64_t matrices = walk.rows() / rows;
    if (tiles <= INT32_MAX && matrices <= 65535) {
      Config config = config_of("copy_transposed",
                                {static_cast<unsigned>(tiles), static_cast<unsigned>(matrices), 1});
      config.block.x = kTile * kTileRows, config.shared_bytes = sizeof(Tile<E>);
      return launch(args.queue, copy_transposed<E>, config, walk, from, to);
    }
  }
  if (run_by_units<uint4>(args.queue, walk, from, to)) return;
  if (run_by_units<std::uint64_t>(args.queue, walk, from, to)) return;
  run_strided(args.queue, walk, from, to);
}

void launch_contiguous(const KernelArgs& args) {
  with_size(args.out[0].type->dtype, [&]<class E>(E) { run_copy<E>(args); });
}

void launch_slice_grad(const KernelArgs& args) {
  const Shape& shape = args.out[0].shape();
  const auto axis = static_cast<int>(args.attributes->integer("axis"));
  const std::int64_t unit = extent_product(shape, axis + 1, shape.rank());
  const std::int64_t count = args.out[0].elements();
  if (count == 0) return;
  with_size(args.out[0].type->dtype, [&]<class E>(E) {
    launch(args.queue, pad_rows<E>, config_of("pad_rows", blocks_for(count, kBlock)),
           args.in[0].as<E>(), args.out[0].as<E>(), count, shape[axis] * unit,
           args.attributes->integer("begin") * unit, args.attributes->integer("end") * unit);
  });
}

const Kernel kKernels[] = {
    {"contiguous", "copy_transposed_or_strided", accept, nullptr, launch_contiguous},
    {"slice_grad", "pad_rows", accept, nullptr, launch_slice_grad},
};

}  // namespace

void copy_contiguous_cuda(const KernelArgs& args) { launch_contiguous(args); }

std::span<const Kernel> layout_cuda_kernels() { return kKernels; }

}  // namespace fornax::kernels
