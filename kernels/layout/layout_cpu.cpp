// Copies between layouts on the CPU: whole rows where they are contiguous, square tiles where the
// source runs along another axis.
#include <algorithm>
#include <cstring>

#include "kernels/host/offer.h"
#include "kernels/host/parallel.h"
#include "kernels/layout/strided.h"
#include "kernels/rules.h"

namespace fornax::kernels {
namespace {

constexpr std::int64_t kTile = 16;         ///< rows of a tile: a cache line of floats of the source
constexpr std::int64_t kTileColumns = 64;  ///< so many lines are read, each once

Offer accept(const Signature&, const DeviceModel&) { return {}; }

/// Rows [begin, end) of the walk.
template <class T>
void copy_rows(const StridedWalk<1>& walk, const T* from, T* to, std::int64_t begin,
               std::int64_t end) {
  const std::int64_t width = walk.row_elements(), stride = walk.stride[0][walk.rank - 1];
  for (std::int64_t row = begin; row < end; ++row) {
    std::int64_t offset[1];
    walk.row_offsets(row, offset);
    const T* x = from + offset[0];
    T* y = to + row * width;
    if (stride == 1) {
      std::copy(x, x + width, y);
    } else if (stride == 0) {
      std::fill(y, y + width, *x);
    } else {
      for (std::int64_t i = 0; i < width; ++i) y[i] = x[i * stride];
    }
  }
}

/// The source is contiguous along the last axis but one: rows are gathered in tiles. A tile's lines
/// of the source may share one set of the cache, so they pass through a buffer of their own.
template <class T>
void copy_tiles(const StridedWalk<1>& walk, const T* from, T* to, std::int64_t begin,
                std::int64_t end) {
  const std::int64_t width = walk.row_elements(), stride = walk.stride[0][walk.rank - 1];
  const std::int64_t group = walk.extent[walk.rank - 2];
  T tile[kTileColumns * kTile];
  for (std::int64_t row = begin; row < end;) {
    const std::int64_t rows = std::min({kTile, end - row, group - row % group});
    std::int64_t offset[1];
    walk.row_offsets(row, offset);
    const T* x = from + offset[0];
    for (std::int64_t first = 0; first < width; first += kTileColumns) {
      const std::int64_t columns = std::min(kTileColumns, width - first);
      for (std::int64_t i = 0; i < columns; ++i)
        std::copy_n(x + (first + i) * stride, rows, tile + i * kTile);
      for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t i = 0; i < columns; ++i)
          to[(row + r) * width + first + i] = tile[i * kTile + r];
    }
    row += rows;
  }
}

template <class T>
void copy_strided(const KernelArgs& args) {
  if (args.out[0].elements() == 0) return;
  const auto walk = strided_walk<1>(args.in[0].shape(), {args.in[0].type->strides});
  const bool tiles = walk.rank >= 2 && walk.stride[0][walk.rank - 2] == 1;
  const std::int64_t grain = host::rows_of_part(walk.row_elements());
  const std::int64_t whole = tiles ? (grain + kTile - 1) / kTile * kTile : grain;
  const T* from = args.in[0].as<T>();
  T* to = args.out[0].as<T>();
  host::parallel_for(walk.rows(), whole, args.threads, [&](std::int64_t begin, std::int64_t end) {
    (tiles ? copy_tiles<T> : copy_rows<T>)(walk, from, to, begin, end);
  });
}

void launch_contiguous(const KernelArgs& args) {
  switch (size_bytes(args.out[0].type->dtype)) {
    case 1: return copy_strided<std::uint8_t>(args);
    case 2: return copy_strided<std::uint16_t>(args);
    case 4: return copy_strided<std::uint32_t>(args);
    default: return copy_strided<std::uint64_t>(args);
  }
}

/// Each row of dx is zeros, a row of dy, zeros.
void launch_slice_grad(const KernelArgs& args) {
  const Shape& shape = args.out[0].shape();
  if (args.out[0].elements() == 0) return;
  const auto axis = static_cast<int>(args.attributes->integer("axis"));
  const std::int64_t unit =
      extent_product(shape, axis + 1, shape.rank()) * size_bytes(args.out[0].type->dtype);
  const std::int64_t before = args.attributes->integer("begin") * unit;
  const std::int64_t until = args.attributes->integer("end") * unit;
  const std::int64_t width = shape.begin()[axis] * unit, kept = until - before;
  const std::byte* from = args.in[0].as<std::byte>();
  std::byte* to = args.out[0].as<std::byte>();
  const auto size = [](std::int64_t bytes) { return static_cast<std::size_t>(bytes); };
  host::parallel_for(extent_product(shape, 0, axis), host::rows_of_part(width / 4), args.threads,
                     [&](std::int64_t begin, std::int64_t end) {
                       for (std::int64_t r = begin; r < end; ++r) {
                         std::byte* row = to + r * width;
                         std::memset(row, 0, size(before));
                         if (kept > 0) std::memcpy(row + before, from + r * kept, size(kept));
                         std::memset(row + until, 0, size(width - until));
                       }
                     });
}

const Kernel kKernels[] = {
    {"contiguous", "copy_rows_or_tiles", accept, nullptr, launch_contiguous},
    {"slice_grad", "pad_rows", accept, nullptr, launch_slice_grad},
};

}  // namespace

std::span<const Kernel> layout_cpu_kernels() { return kKernels; }

}  // namespace fornax::kernels
