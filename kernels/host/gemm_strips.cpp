// Strips of the product: the epilogue's part of one is contiguous in memory, so that hardware
// fetches it ahead of the epilogue, and its outputs stay in L2, where the epilogue may go on
// between the products of the next strip.
#include "kernels/host/gemm_strips.h"

#include <algorithm>
#include <utility>

#include "kernels/host/gemm_ahead.h"
#include "kernels/host/gemm_part.h"
#include "kernels/host/parallel.h"

namespace fornax::host {
namespace {

constexpr std::int64_t strip_tiles = 2;               // share a panel of b in L1
constexpr std::int64_t block_floats = 256 * 1024;     // of b's columns; stay in L2
constexpr std::int64_t in_place_depth = 128;          // of columns read where they lie
constexpr std::int64_t pack_part_floats = 16 * 1024;  // to pack that are worth waking a thread
constexpr std::int64_t least_rows_between = 8;        // fewer leave FMAs idle
constexpr std::int64_t depth_of_matrix = 64;          // whose FMAs hide one matrix of the epilogue

/// How a product is cut: blocks of columns, and for each all strips.
struct Layout {
  std::int64_t strips, panels, columns;  ///< panels and columns of a block
  std::int64_t strip_rows, tile_rows;    ///< at most
  bool in_place;                         ///< b's columns are not packed
  bool between;  ///< strips are contiguous in c, and tiles leave registers to GemmBetween
  int threads;

  std::int64_t packed_b_floats(std::int64_t K, const TileShape& tile) const {
    return in_place ? 0 : round_up(panels * tile.columns() * K + gemm_pack_slack, 16);
  }
  std::int64_t strip_a_floats(std::int64_t K) const {
    return round_up(strip_rows * K + gemm_pack_slack, 16);
  }
  std::int64_t output_floats() const { return round_up(strip_rows * columns, 16); }
  /// Of each thread: a strip of a, behind it its outputs and those of the strip before.
  std::int64_t own_floats(std::int64_t K) const {
    return strip_a_floats(K) + (between ? 2 : 1) * output_floats();
  }
};

/// Rows of a tile beside whose products a strip before is worked on: as many as these products have
/// time for, if that is not too few.
std::int64_t rows_between(std::int64_t K) {
  const std::int64_t vectors = K / GemmBetween::depth_of_vector;
  return std::clamp(vectors / gemm_tile_vectors, least_rows_between, GemmBetween::most_rows);
}

Layout layout_of(const Gemm& g, const TileShape& tile, int threads) {
  Layout layout{};
  layout.threads = useful_threads(g, threads);
  const std::int64_t panels = divide_up(g.N, tile.columns());
  const std::int64_t most =
      std::max<std::int64_t>(block_floats / std::max<std::int64_t>(g.K, 1) / tile.columns(), 1);
  layout.panels = divide_up(panels, divide_up(panels, most));
  layout.columns = std::min(g.N, layout.panels * tile.columns());
  layout.between = tile.lanes == 16 && layout.columns == g.N && g.c_stride == g.N;
  layout.tile_rows = layout.between ? rows_between(g.K) : tile.rows;
  layout.strip_rows = strip_tiles * layout.tile_rows;
  layout.strips = std::min(round_up(divide_up(g.M, layout.strip_rows), layout.threads), g.M);
  // A vector must not pass the end of the last row; rows pages apart share a set of L1.
  layout.in_place = g.b.row_stride == 1 && g.K <= in_place_depth && g.N % tile.lanes == 0 &&
                    g.b.column_stride % page_floats != 0;
  return layout;
}

/// A product under way.
struct Strips {
  const Gemm& gemm;
  const GemmKernels& kernels;
  const Layout layout;
  float* packed_b;
  /// The work on a strip between the products of the next; null: all of it after its own.
  const GemmBetween* between() const { return layout.between ? gemm.epilogue.between : nullptr; }
};

/// What a thread has for itself.
struct Own {
  float* a;
  float* outputs;         ///< of the next strip
  float* outputs_before;  ///< worked on
  bool is_first = true;   ///< strip, to which columns read in place may be new
  bool works = false;     ///< the strip before is not finished
  alignas(64) std::byte state[GemmBetween::state_bytes] = {};
};

/// Panels [begin, end) of the block of `columns` columns from b on.
void pack_panels(const Strips& s, const GemmOperand& b, std::int64_t columns, ShareRange panels) {
  const std::int64_t width = s.kernels.shape.columns(), K = s.gemm.K;
  const std::int64_t whole = std::min(panels.end, columns / width) - panels.begin;
  if (b.row_stride == 1 && whole > 0) {
    s.kernels.pack_panels(
        {from(b, panels.begin * width, 0), K, whole, s.packed_b + panels.begin * width * K});
    panels.begin += whole;
  }
  for (std::int64_t p = panels.begin; p < panels.end; ++p)
    s.kernels.pack({from(b, p * width, 0), K, std::min(width, columns - p * width), width,
                    s.packed_b + p * width * K});
}

void pack_block(const Strips& s, std::int64_t column, std::int64_t columns) {
  const std::int64_t width = s.kernels.shape.columns();
  const std::int64_t grain =
      divide_up(pack_part_floats, std::max<std::int64_t>(s.gemm.K, 1) * width);
  parallel_for(divide_up(columns, width), grain, s.layout.threads,
               [&](std::int64_t begin, std::int64_t end) {
                 pack_panels(s, from(s.gemm.b, column, 0), columns, {begin, end});
               });
}

/// What a strip's tiles ask for: as many matrices of the epilogue as their FMAs hide. More lines
/// under way than a core has buffers for would keep the tiles from their own operands.
Ahead beside(const Strips& s, const GemmBlock& at, std::int64_t steps) {
  Ahead ahead{};
  const std::int64_t hidden = std::max<std::int64_t>(s.gemm.K / depth_of_matrix, 1);
  const std::int64_t most = std::min(hidden, GemmEpilogue::most_beside);
  const std::int64_t stride = s.gemm.c_stride;
  for (const float* matrix : s.gemm.epilogue.beside) {
    if (matrix != nullptr && ahead.count < most)
      ahead.add(matrix + at.row * stride + at.column, at.rows, at.columns, stride, steps);
  }
  return ahead;
}

/// The strip's tiles in one panel of b, of t.columns columns.
void multiply_panel(const Strips& s, std::int64_t rows, TileArguments t, Own& own) {
  const TileShape& tile = s.kernels.shape;
  const GemmBetween* between = own.works && t.columns == tile.columns() ? s.between() : nullptr;
  float* outputs = t.c;
  for_tiles(rows, s.layout.tile_rows,
            [&](std::int64_t begin, std::int64_t number, std::int64_t height) {
              t.a = own.a + begin * t.depth, t.a_stride = height, t.a_tile = height * t.depth;
              t.c = outputs + begin * t.c_stride, t.tiles = number;
              if (between && height >= GemmBetween::least_rows && height <= GemmBetween::most_rows)
                return between->tiles[height](t, own.state);
              s.kernels.rows_together[height][t.columns > tile.lanes ? gemm_tile_vectors : 1](t);
            });
}

/// The outputs of a strip are there.
void hand_over(const Strips& s, const GemmBlock& at, Own& own) {
  const GemmEpilogue& epilogue = s.gemm.epilogue;
  const GemmBetween* between = s.between();
  if (!between) return epilogue.apply(epilogue.context, own.outputs, at.columns, at);
  if (own.works) between->finish(own.state);
  between->begin(epilogue.context, own.state, own.outputs, at.row * s.gemm.c_stride,
                 at.rows * at.columns);
  own.works = true;
  std::swap(own.outputs, own.outputs_before);
}

void run_strip(const Strips& s, const GemmBlock& at, Own& own) {
  const Gemm& g = s.gemm;
  const TileShape& tile = s.kernels.shape;
  const std::int64_t panel_steps = divide_up(at.rows, s.layout.tile_rows) * tile.requests(g.K);
  for_tiles(
      at.rows, s.layout.tile_rows,
      [&](std::int64_t begin, std::int64_t number, std::int64_t height) {
        for (std::int64_t row = begin; row < begin + number * height; row += height)
          s.kernels.pack({from(g.a, at.row + row, 0), g.K, height, height, own.a + row * g.K});
      });
  Ahead ahead{};
  if (!s.between()) ahead = beside(s, at, divide_up(at.columns, tile.columns()) * panel_steps);
  const int shared = ahead.count;
  TileArguments t{};
  t.c_stride = at.columns;
  t.depth = g.K, t.start = TileStart::zero;
  t.ahead = ahead.range;
  for (std::int64_t j = 0; j < at.columns; j += tile.columns()) {
    t.columns = std::min<std::int64_t>(tile.columns(), at.columns - j);
    const GemmOperand b = from(g.b, at.column + j, 0);
    t.b = s.layout.in_place ? b.data : s.packed_b + j * g.K;
    t.b_stride = s.layout.in_place ? b.column_stride : tile.columns();
    t.c = own.outputs + j;
    ahead.count = shared;
    if (s.layout.in_place && own.is_first)
      ahead.add(from(b, t.columns, 0),
                std::min<std::int64_t>(tile.columns(), at.columns - j - t.columns), g.K,
                panel_steps);
    t.aheads = ahead.count;
    multiply_panel(s, at.rows, t, own);
  }
  own.is_first = false;
  hand_over(s, at, own);
}

Own own_of(const Strips& s, float* space) {
  float* outputs = space + s.layout.strip_a_floats(s.gemm.K);
  return {space, outputs, s.layout.between ? outputs + s.layout.output_floats() : nullptr};
}

/// All strips of a block.
void run_block(const Strips& s, std::int64_t column, std::int64_t columns, const GemmRoom& room) {
  const std::int64_t count = s.layout.strips, M = s.gemm.M;
  GuidedShares strips(count, 1, s.layout.threads);
  parallel_for(s.layout.threads, 1, s.layout.threads, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const int thread = static_cast<int>(i);
      Own own = own_of(s, room.own(i));
      for (ShareRange range = strips.next(thread); !range.empty(); range = strips.next(thread))
        for (std::int64_t strip = range.begin; strip < range.end; ++strip) {
          const std::int64_t row = tile_begin(M, count, strip);
          const std::int64_t rows = tile_begin(M, count, strip + 1) - row;
          run_strip(s, {row, rows, column, columns}, own);
        }
      if (own.works) s.between()->finish(own.state);
    }
  });
}

}  // namespace

GemmFloats strips_floats(const Gemm& g, const TileShape& tile, int threads) {
  const Layout layout = layout_of(g, tile, threads);
  return {layout.packed_b_floats(g.K, tile), layout.own_floats(g.K)};
}

void run_strips(const Gemm& g, const GemmKernels& kernels, const GemmRoom& room, int threads) {
  const Strips s{g, kernels, layout_of(g, kernels.shape, threads), room.shared};
  for (std::int64_t column = 0; column < g.N; column += s.layout.columns) {
    const std::int64_t columns = std::min(s.layout.columns, g.N - column);
    if (!s.layout.in_place) pack_block(s, column, columns);
    run_block(s, column, columns, room);
  }
}

}  // namespace fornax::host
