// Copies between layouts on the CPU: whole rows where they are contiguous, square tiles where the
// source runs along another axis.
#include <algorithm>
#include <cstring>

#include "kernels/host/offer.h"
#include "kernels/host/parallel.h"
#include "kernels/host/past_caches.h"
#include "kernels/layout/contiguous.h"
#include "kernels/layout/tiles.h"
#include "kernels/rules.h"

namespace fornax::kernels {
namespace {

Offer accept(const Signature&, const DeviceModel&) { return {}; }

/// One copy, for the threads that share it.
template <class T>
struct Copy {
  StridedWalk<1> walk;
  const T* from;
  T* to;
  host::Writer writer;

  void copy(const T* x, T* y, std::int64_t count) const {
    writer.copy(x, y, count * std::int64_t{sizeof(T)});
  }
};

/// Rows that follow each other in the copy and lie one step apart in the source.
struct Run {
  std::int64_t row, count;
};

/// The order in which rows are copied. Where the source has rows of the axis before theirs side by
/// side (of all heads of a position), 16 of each take turns, so that the source is read nearly in
/// order.
class RowOrder {
 public:
  explicit RowOrder(const StridedWalk<1>& walk) {
    if (walk.rank < 2) return;
    run_ = walk.extent[walk.rank - 2];
    if (walk.rank < 3) return;
    const std::int64_t stride = walk.stride[0][walk.rank - 3];
    if (stride > 0 && stride < walk.stride[0][walk.rank - 2] && run_ % kInTurn == 0)
      across_ = walk.extent[walk.rank - 3], blocks_ = run_ / kInTurn, run_ = kInTurn;
  }
  /// The rows of the turns from `turn` on, `end` at most, that make a run.
  Run run(std::int64_t turn, std::int64_t end) const {
    const std::int64_t group = turn / run_, past = turn % run_;
    const std::int64_t count = std::min(run_ - past, end - turn);
    if (blocks_ == 0) return {turn, count};
    const std::int64_t across = group % across_;
    const std::int64_t block = group / across_ % blocks_, outer = group / across_ / blocks_;
    return {((outer * across_ + across) * blocks_ + block) * kInTurn + past, count};
  }

 private:
  static constexpr std::int64_t kInTurn = 16;
  std::int64_t run_ = 1, across_ = 0, blocks_ = 0;
};

/// `count` rows from x on, `step` apart.
template <class T>
void copy_run(const Copy<T>& c, const T* x, std::int64_t step, T* y, std::int64_t count) {
  const std::int64_t width = c.walk.row_elements(), stride = c.walk.stride[0][c.walk.rank - 1];
  for (std::int64_t r = 0; r < count; ++r, x += step, y += width) {
    if (stride == 1)
      c.copy(x, y, width);
    else if (stride == 0)
      std::fill_n(y, width, *x);
    else
      for (std::int64_t i = 0; i < width; ++i) y[i] = x[i * stride];
  }
}

/// Rows [begin, end) of the walk, by their turns.
template <class T>
void copy_rows(const Copy<T>& c, std::int64_t begin, std::int64_t end) {
  const std::int64_t width = c.walk.row_elements();
  const std::int64_t step = c.walk.rank > 1 ? c.walk.stride[0][c.walk.rank - 2] : 0;
  const RowOrder order(c.walk);
  for (std::int64_t turn = begin; turn < end;) {
    const Run run = order.run(turn, end);
    std::int64_t offset[1];
    c.walk.row_offsets(run.row, offset);
    copy_run(c, c.from + offset[0], step, c.to + run.row * width, run.count);
    turn += run.count;
  }
}

/// The same of contiguous rows that share lines in the copy, past the caches.
template <class T>
void stream_rows(const Copy<T>& c, std::int64_t begin, std::int64_t end) {
  const std::int64_t width = c.walk.row_elements(), outer = c.walk.rank - 2;
  const std::int64_t along = c.walk.extent[outer], step = c.walk.stride[0][outer];
  host::StreamedPieces pieces(c.to + begin * width);
  for (std::int64_t row = begin; row < end;) {
    std::int64_t offset[1];
    c.walk.row_offsets(row, offset);
    const T* x = c.from + offset[0];
    for (const std::int64_t past = std::min(end, (row / along + 1) * along); row < past;
         ++row, x += step)
      pieces.add(x, width * std::int64_t{sizeof(T)});
  }
  pieces.end();
}

/// Tiles [begin, end). A tile's lines of the source may share one set of the cache, so they pass
/// through a buffer of their own.
template <class T>
void copy_tiles(const Copy<T>& c, const Tiles<1>& tiles, std::int64_t begin, std::int64_t end) {
  const std::int64_t width = c.walk.row_elements(), stride = c.walk.stride[0][c.walk.rank - 1];
  alignas(64) T buffer[kTile * kTile];
  for (std::int64_t i = begin; i < end; ++i) {
    const Tile tile = tiles.tile(i);
    std::int64_t offset[1];
    c.walk.row_offsets(tile.row, offset);
    transpose_tile(c.from + offset[0] + tile.column * stride, stride, tile, buffer);
    for (std::int64_t r = 0; r < tile.rows; ++r)
      c.copy(buffer + r * kTile, c.to + (tile.row + r) * width + tile.column, tile.columns);
  }
}

template <class T>
void copy_strided(const KernelArgs& args) {
  if (args.out[0].elements() == 0) return;
  const StridedWalk<1> walk = strided_walk<1>(args.in[0].shape(), {args.in[0].type->strides});
  const std::int64_t width = walk.row_elements();
  const bool streamed = host::is_streamed(args.out[0], width, args.in[0].as<T>());
  const Copy<T> c{walk, args.in[0].as<T>(), args.out[0].as<T>(), host::Writer(streamed)};
  if (is_transposed(c.walk, 0)) {
    const Tiles tiles(c.walk);
    return host::parallel_for(tiles.tiles(), tiles.tiles_of_part(), args.threads,
                              [&](std::int64_t begin, std::int64_t end) {
                                copy_tiles(c, tiles, begin, end);
                                c.writer.end();
                              });
  }
  // Rows that share lines: all of the output is whole lines nevertheless.
  const bool pieces = !streamed && walk.rank > 1 && walk.stride[0][walk.rank - 1] == 1 &&
                      host::is_streamed(args.out[0], args.out[0].elements(), args.in[0].as<T>());
  host::parallel_for(c.walk.rows(), host::rows_of_part(width), args.threads,
                     [&](std::int64_t begin, std::int64_t end) {
                       if (pieces) return stream_rows(c, begin, end);
                       copy_rows(c, begin, end);
                       c.writer.end();
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

void copy_contiguous_cpu(const KernelArgs& args) { launch_contiguous(args); }

std::span<const Kernel> layout_cpu_kernels() { return kKernels; }

}  // namespace fornax::kernels
