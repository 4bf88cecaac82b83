// Packing, blocks and shares of c^T = b a^T.
#include "kernels/host/gemm_transposed.h"

#include <algorithm>
#include <utility>

#include "kernels/host/gemm_ahead.h"
#include "kernels/host/gemm_blocking.h"
#include "kernels/host/parallel.h"
#include "kernels/host/transpose.h"

namespace fornax::host {
namespace {

constexpr std::int64_t most_rows = 128;              // of a; measured up to here
constexpr std::int64_t least_columns = 16;           // of c; for fewer, packing a does not pay
constexpr std::int64_t piece_floats = 96 * 1024;     // of packed a; stays in L2
constexpr std::int64_t block_columns = 112;          // of c, rows of b that a panel of a meets
constexpr std::int64_t fetched_floats = 512 * 1024;  // of b that no L2 has: rows are asked for
constexpr std::int64_t unit_products = 256 * 1024;   // fma of the least part of a thread
constexpr std::int64_t pack_part_floats = 8 * 1024;  // to pack that are worth waking a thread
constexpr std::int64_t copies_floats = 1024 * 1024;  // of every thread's packed a; else one for all
constexpr std::int64_t copy_columns = 128;  // of a thread that are worth packing a for them

/// Extents of packed a, in panels of a tile's columns, and of b's blocks.
struct Layout {
  std::int64_t padded_rows;  ///< of a, in whole vectors
  std::int64_t panels, panel;
  std::int64_t depth, pieces;
  int threads;
  bool copies;  ///< each thread packs a for itself: quicker than lines of another core's cache
  std::int64_t packed_floats(std::int64_t K) const { return round_up(padded_rows * K, 16) + 16; }
};

Layout layout_of(const Gemm& g, const TileShape& tile, int threads) {
  Layout layout{};
  layout.threads = useful_threads(g, threads);
  layout.padded_rows = round_up(g.M, tile.lanes);
  layout.panel = tile.columns();
  layout.panels = divide_up(g.M, layout.panel);
  layout.pieces = divide_up(g.K, std::max<std::int64_t>(piece_floats / layout.padded_rows, 8));
  layout.depth = round_up(divide_up(g.K, layout.pieces), 8);
  layout.pieces = divide_up(g.K, layout.depth);
  layout.copies = g.N >= layout.threads * copy_columns &&
                  layout.threads * layout.packed_floats(g.K) <= copies_floats;
  return layout;
}

/// Columns of c^T in panel p, in whole vectors.
std::int64_t panel_columns(const Layout& layout, std::int64_t p) {
  return std::min(layout.panel, layout.padded_rows - p * layout.panel);
}

/// Piece by piece of k, panel by panel.
float* packed_panel(const Layout& layout, float* packed, std::int64_t k, std::int64_t depth,
                    std::int64_t p) {
  return packed + k * layout.padded_rows + p * layout.panel * depth;
}

/// Panels [begin, end) of all pieces.
void pack(const Gemm& g, const GemmKernels& kernels, const Layout& layout, float* packed,
          ShareRange panels) {
  for (std::int64_t i = panels.begin; i < panels.end; ++i) {
    const std::int64_t k = i / layout.panels * layout.depth, p = i % layout.panels;
    const std::int64_t depth = std::min(layout.depth, g.K - k), row = p * layout.panel;
    const GemmOperand from{g.a.data + row * g.a.row_stride + k * g.a.column_stride, g.a.row_stride,
                           g.a.column_stride};
    kernels.pack({from, depth, std::min(layout.panel, g.M - row), panel_columns(layout, p),
                  packed_panel(layout, packed, k, depth, p)});
  }
}

void pack_together(const Gemm& g, const GemmKernels& kernels, const Layout& layout, float* packed) {
  const std::int64_t grain =
      divide_up(pack_part_floats, layout.depth * std::min(layout.panel, layout.padded_rows));
  parallel_for(layout.pieces * layout.panels, grain, layout.threads,
               [&](std::int64_t begin, std::int64_t end) {
                 pack(g, kernels, layout, packed, {begin, end});
               });
}

/// One panel of c^T for `rows` rows of b from t.a on.
void multiply_panel(const Gemm& g, const GemmKernels& kernels, TileArguments t, std::int64_t rows) {
  const std::int64_t vectors = t.b_stride / kernels.shape.lanes;
  const float* b = t.a;
  float* c = t.c;
  for_tiles(rows, kernels.shape.rows,
            [&](std::int64_t first, std::int64_t number, std::int64_t height) {
              t.tiles = number;
              t.a = b + first * g.b.row_stride;
              t.a_tile = height * g.b.row_stride;
              t.c = c + first * t.c_stride;
              kernels.rows_apart[height][vectors](t);
            });
}

/// Outputs of the block's columns: of c^T on the stack, then of c.
void multiply_block(const Gemm& g, const GemmKernels& kernels, const Layout& layout,
                    const GemmBlock& block, float* packed) {
  const std::int64_t next = block.column + block.columns;
  const std::int64_t steps = kernels.shape.requests(layout.depth) * layout.pieces * layout.panels *
                             divide_up(block.columns, kernels.shape.rows);
  Ahead ahead{};
  if (g.N * g.K > fetched_floats)
    ahead.add({g.b.data + next * g.b.row_stride, g.b.row_stride, 1},
              std::min(block_columns, g.N - next), g.K, steps);
  ahead.add(g.c + block.column, g.M, block.columns, g.c_stride, steps);
  ahead.range[ahead.count - 1].to_write = true;
  alignas(64) float transposed[block_columns * most_rows];
  for (std::int64_t k = 0; k < g.K; k += layout.depth) {
    const std::int64_t depth = std::min(layout.depth, g.K - k);
    for (std::int64_t p = 0; p < layout.panels; ++p) {
      TileArguments t{};
      t.a = g.b.data + block.column * g.b.row_stride + k;
      t.a_stride = g.b.row_stride;
      t.b = packed_panel(layout, packed, k, depth, p);
      t.b_stride = t.columns = panel_columns(layout, p);
      t.c = transposed + p * layout.panel;
      t.c_stride = layout.padded_rows;
      t.depth = depth;
      t.ahead = ahead.range, t.aheads = ahead.count;
      t.start = k == 0 ? TileStart::zero : TileStart::resume;
      multiply_panel(g, kernels, t, block.columns);
    }
  }
  float* c = g.c + block.column;
  transpose({transposed, layout.padded_rows, block.columns, g.M, c, g.c_stride, false});
  if (g.epilogue.apply) g.epilogue.apply(g.epilogue.context, c, g.c_stride, block);
}

}  // namespace

bool is_transposed(const Gemm& g) {
  return g.M <= most_rows && g.N > least_columns && g.K > 0 && g.sum_chunk == 0 &&
         g.b.column_stride == 1 && g.b.row_stride % page_floats != 0;
}

GemmFloats transposed_floats(const Gemm& g, const TileShape& tile, int threads) {
  const Layout layout = layout_of(g, tile, threads);
  const std::int64_t packed = layout.packed_floats(g.K);
  return layout.copies ? GemmFloats{0, packed} : GemmFloats{packed, 0};
}

void run_transposed(const Gemm& g, const GemmKernels& kernels, const GemmRoom& room, int threads) {
  const Layout layout = layout_of(g, kernels.shape, threads);
  if (!layout.copies) pack_together(g, kernels, layout, room.shared);
  // In whole vectors: their rows are turned at once.
  const std::int64_t grain = round_up(divide_up(unit_products, g.M * g.K), kernels.shape.lanes);
  GuidedShares shares(g.N, grain, layout.threads);
  parallel_for(layout.threads, 1, layout.threads, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const int thread = static_cast<int>(i);
      float* packed = layout.copies ? room.own(i) : room.shared;
      bool is_packed = !layout.copies;
      for (ShareRange part = shares.next(thread); !part.empty(); part = shares.next(thread)) {
        if (!std::exchange(is_packed, true))
          pack(g, kernels, layout, packed, {0, layout.pieces * layout.panels});
        for (std::int64_t n = part.begin; n < part.end; n += block_columns)
          multiply_block(g, kernels, layout, {0, g.M, n, std::min(block_columns, part.end - n)},
                         packed);
      }
    }
  });
}

}  // namespace fornax::host
