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

/// Contiguous rows of whole lines in the order in which they lie in the source. A run is of those
/// that differ in the axis of the smallest steps, or one row where they are many.
class SourceOrder {
 public:
  explicit SourceOrder(const StridedWalk<1>& walk) : width_(walk.row_elements()) {
    std::int64_t step = walk.row_elements();
    for (int axis = walk.rank - 2; axis >= 0; --axis) {
      int at = axes_++;
      for (; at > 0 && axis_[at - 1].from > walk.stride[0][axis]; --at) axis_[at] = axis_[at - 1];
      axis_[at] = {walk.extent[axis], walk.stride[0][axis], step};
      step *= walk.extent[axis];
    }
    if (axes_ > 0 && axis_[0].extent <= kLongestRun) run_ = axis_[0], outer_ = 1;
  }
  std::int64_t rows_of_run() const { return run_.extent; }
  /// Runs [begin, end), past the caches.
  template <class T>
  void copy(const Copy<T>& c, std::int64_t begin, std::int64_t end) const {
    constexpr std::int64_t size = sizeof(T);
    const host::Pieces run{width_ * size, run_.extent, run_.from * size, run_.to * size};
    const std::int64_t spread = host::lines_of_stream(end - begin);
    const std::int64_t stream = spread > 0 ? spread : (end - begin) / host::kStreams;
    for (std::int64_t i = begin; i < begin + stream; ++i)
      c.writer.copy(
          {place(c, i), place(c, i + stream), place(c, i + 2 * stream), place(c, i + 3 * stream)},
          run);
    for (std::int64_t i = begin + host::kStreams * stream; i < end; ++i) {
      const host::Place first = place(c, i);
      for (std::int64_t n = 0; n < run.count; ++n)
        c.writer.copy(first.from + n * run.from_step, first.to + n * run.to_step, run.bytes);
    }
  }

 private:
  static constexpr std::int64_t kLongestRun = 64;
  struct Axis {
    std::int64_t extent, from, to;  ///< from, to: a step in elements
  };
  template <class T>
  host::Place place(const Copy<T>& c, std::int64_t run) const {
    std::int64_t from = 0, to = 0;
    for (int i = outer_; i < axes_; ++i) {
      const std::int64_t at = run % axis_[i].extent;
      run /= axis_[i].extent;
      from += at * axis_[i].from, to += at * axis_[i].to;
    }
    return {reinterpret_cast<const std::byte*>(c.from + from),
            reinterpret_cast<std::byte*>(c.to + to)};
  }
  std::int64_t width_;
  Axis axis_[Shape::kMaxRank], run_{1, 0, 0};  ///< innermost of the source first
  int axes_ = 0, outer_ = 0;                   ///< outer_: the first beyond the run
};

/// Rows of the walk in their order, as pieces of a stretch of the copy.
template <class T>
class RowPieces {
 public:
  RowPieces(const Copy<T>& c, std::int64_t first)
      : c_(c), row_(first), pieces_(c.to + first * c.walk.row_elements()) {}
  void next() {
    if (left_ == 0) {
      const int outer = c_.walk.rank - 2;
      std::int64_t offset[1];
      c_.walk.row_offsets(row_, offset);
      from_ = c_.from + offset[0], step_ = c_.walk.stride[0][outer];
      left_ = c_.walk.extent[outer] - row_ % c_.walk.extent[outer];
    }
    pieces_.add(from_, c_.walk.row_elements() * std::int64_t{sizeof(T)});
    from_ += step_, --left_, ++row_;
  }
  void end() { pieces_.end(); }

 private:
  const Copy<T>& c_;
  std::int64_t row_, left_ = 0, step_ = 0;
  const T* from_ = nullptr;
  host::StreamedPieces pieces_;
};

/// Rows [begin, end) that are contiguous and share lines in the copy, past the caches.
template <class T>
void stream_rows(const Copy<T>& c, std::int64_t begin, std::int64_t end) {
  const std::int64_t stream = (end - begin) / host::kStreams;
  const std::int64_t row_bytes = c.walk.row_elements() * std::int64_t{sizeof(T)};
  // What a stream asks for ahead is what it takes in its next turn.
  const std::int64_t turn = std::max<std::int64_t>(1, host::StreamedPieces::kAhead / row_bytes);
  RowPieces<T> at[] = {
      {c, begin}, {c, begin + stream}, {c, begin + 2 * stream}, {c, begin + 3 * stream}};
  for (std::int64_t r = 0; r < stream; r += turn)
    for (RowPieces<T>& pieces : at)
      for (std::int64_t i = r; i < std::min(r + turn, stream); ++i) pieces.next();
  for (std::int64_t r = host::kStreams * stream; r < end - begin; ++r) at[3].next();
  for (RowPieces<T>& pieces : at) pieces.end();
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

/// Tiles of 32-bit elements that need no buffer: as many rows of the source as hardware follows at
/// once, of which it goes along all before the next.
class Strips {
 public:
  Strips(const StridedWalk<1>& walk, bool streamed)
      : walk_(walk),
        streamed_(streamed),
        group_(walk.extent[walk.rank - 2]),
        down_((group_ + kRows - 1) / kRows),
        across_((walk.row_elements() + kColumns - 1) / kColumns) {}
  void copy(const float* from, float* to, int threads) const {
    const std::int64_t tiles = walk_.rows() / group_ * down_ * across_;
    const std::int64_t elements =
        std::min(kRows, group_) * std::min(kColumns, walk_.row_elements());
    const host::Writer writer(streamed_);
    host::parallel_for(tiles, host::rows_of_part(elements), threads,
                       [&](std::int64_t begin, std::int64_t end) {
                         for (std::int64_t i = begin; i < end; ++i) copy_tile(from, to, i);
                         writer.end();
                       });
  }

 private:
  void copy_tile(const float* from, float* to, std::int64_t tile) const {
    const std::int64_t width = walk_.row_elements(), stride = walk_.stride[0][walk_.rank - 1];
    const std::int64_t first = tile % down_ * kRows, column = tile / down_ % across_ * kColumns;
    const std::int64_t left = group_ - first;
    const std::int64_t row = tile / down_ / across_ * group_ + first;
    std::int64_t offset[1];
    walk_.row_offsets(row, offset);
    host::transpose({from + offset[0] + column * stride, stride, std::min(kColumns, width - column),
                     std::min(kRows, left), to + row * width + column, width, streamed_,
                     streamed_ ? left : 0});
  }

  static constexpr std::int64_t kRows = 512, kColumns = 32;
  const StridedWalk<1>& walk_;
  bool streamed_;
  std::int64_t group_, down_, across_;
};

bool are_whole_lines(const KernelArgs& args, std::int64_t row_bytes) {
  return row_bytes % host::kLineBytes == 0 && host::begins_line(args.out[0].data);
}

/// Whether rows are contiguous in the source, and none is another's.
bool has_apart_rows(const StridedWalk<1>& walk) {
  for (int axis = 0; axis + 1 < walk.rank; ++axis)
    if (walk.stride[0][axis] <= 0) return false;
  return walk.rank > 1 && walk.stride[0][walk.rank - 1] == 1;
}

template <class T>
void copy_strided(const KernelArgs& args) {
  if (args.out[0].elements() == 0) return;
  const StridedWalk<1> walk = strided_walk<1>(args.in[0].shape(), {args.in[0].type->strides});
  const std::int64_t width = walk.row_elements();
  const bool streamed = host::is_streamed(args, width, args.in[0].as<T>());
  const Copy<T> c{walk, args.in[0].as<T>(), args.out[0].as<T>(), host::Writer(streamed)};
  const bool whole_lines = are_whole_lines(args, width * std::int64_t{sizeof(T)});
  if (is_transposed(c.walk, 0)) {
    if (sizeof(T) == sizeof(float) && (!streamed || whole_lines))
      return Strips(walk, streamed)
          .copy(args.in[0].as<float>(), args.out[0].as<float>(), args.threads);
    const Tiles tiles(c.walk);
    return host::parallel_for(tiles.tiles(), tiles.tiles_of_part(), args.threads,
                              [&](std::int64_t begin, std::int64_t end) {
                                copy_tiles(c, tiles, begin, end);
                                c.writer.end();
                              });
  }
  // Rows that share lines: all of the output is whole lines nevertheless.
  const bool pieces = !streamed && walk.rank > 1 && walk.stride[0][walk.rank - 1] == 1 &&
                      host::is_streamed(args, args.out[0].elements(), args.in[0].as<T>());
  if (streamed && has_apart_rows(walk) && whole_lines) {
    const SourceOrder order(walk);
    const std::int64_t run = order.rows_of_run();
    return host::parallel_for(walk.rows() / run, host::rows_of_part(width * run), args.threads,
                              [&](std::int64_t begin, std::int64_t end) {
                                order.copy(c, begin, end);
                                c.writer.end();
                              });
  }
  host::parallel_for(walk.rows(), host::rows_of_part(width), args.threads,
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
