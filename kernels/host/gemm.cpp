// The loops around the register tiles of the matrix product, and its shares among threads.
#include "kernels/host/gemm.h"

#include <fornax/error.h>

#include <algorithm>
#include <iterator>
#include <string>

#include "kernels/host/gemm_blocking.h"
#include "kernels/host/gemm_small.h"
#include "kernels/host/gemm_tile.h"
#include "kernels/host/gemm_transposed.h"
#include "kernels/host/parallel.h"

namespace fornax::host {
namespace {

constexpr std::int64_t line_bytes = 64;
constexpr std::int64_t line_floats = 16;
constexpr std::int64_t finished_at_once = 4096;  // outputs that stay in L1
// Of b in products by bands: measured; with 512 x 512 the layers one after another are no slower.
constexpr std::int64_t band_depth = 256, band_operand_floats = 64 * 1024;

/// One part of c, computed by one thread with its own packed blocks.
struct Part {
  const Gemm& gemm;
  const GemmKernels& kernels;
  GemmBlocking blocking;
  GemmBlock area;
  float* packed_a;
  float* packed_b;
  std::int64_t behind;  ///< k up to which rows in place may be fetched ahead
};

/// A block of the part and the piece of the sum that is added to it now.
struct Piece {
  GemmBlock block;
  std::int64_t k, depth;
  TileStart start;
};

/// Element (row, k) of an operand onwards.
GemmOperand from(const GemmOperand& operand, std::int64_t row, std::int64_t k) {
  return {operand.data + row * operand.row_stride + k * operand.column_stride, operand.row_stride,
          operand.column_stride};
}

/// Rows of tile `index` of `count` near-equal tiles: short tiles at the end would starve the FMAs.
std::int64_t tile_begin(std::int64_t rows, std::int64_t count, std::int64_t index) {
  return rows / count * index + std::min(index, rows % count);
}

void pack_a(const Part& part, const Piece& piece) {
  if (part.blocking.a_in_place) return;
  const std::int64_t rows = piece.block.rows;
  const std::int64_t count = divide_up(rows, part.kernels.shape.rows);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t begin = tile_begin(rows, count, i);
    const std::int64_t height = tile_begin(rows, count, i + 1) - begin;
    part.kernels.pack({from(part.gemm.a, piece.block.row + begin, piece.k), piece.depth, height,
                       height, part.packed_a + begin * piece.depth});
  }
}

std::int64_t panel_vectors(const Part& part, std::int64_t columns) {
  return columns > part.kernels.shape.lanes ? gemm_tile_vectors : 1;
}

void pack_b(const Part& part, const Piece& piece) {
  if (part.blocking.b_in_place) return;
  const TileShape& tile = part.kernels.shape;
  const GemmOperand b = from(part.gemm.b, piece.block.column, piece.k);
  const std::int64_t panels = b.row_stride == 1 ? piece.block.columns / tile.columns() : 0;
  part.kernels.pack_panels({b, piece.depth, panels, part.packed_b});
  for (std::int64_t j = panels * tile.columns(); j < piece.block.columns; j += tile.columns()) {
    const std::int64_t columns = std::min<std::int64_t>(tile.columns(), piece.block.columns - j);
    part.kernels.pack({from(part.gemm.b, piece.block.column + j, piece.k), piece.depth, columns,
                       panel_vectors(part, columns) * tile.lanes, part.packed_b + j * piece.depth});
  }
}

void finish(const Part& part, const GemmBlock& block) {
  const GemmEpilogue& epilogue = part.gemm.epilogue;
  if (epilogue.apply == nullptr) return;
  const std::int64_t stride = part.gemm.c_stride;
  epilogue.apply(epilogue.context, part.gemm.c + block.row * stride + block.column, stride, block);
}

/// Operands in place that the next piece or block begins with, in shares of `tiles` tiles. Hardware
/// sees no stream in rows of which a tile reads a part.
struct Ahead {
  FetchAhead range[2];

  void add(const float* from, std::int64_t floats, std::int64_t tiles) {
    range[range[0].share > 0] = {from, round_up(divide_up(floats, tiles), line_floats)};
  }
};

Ahead ahead_of(const Part& part, const Piece& piece, std::int64_t tiles) {
  Ahead ahead{};
  const GemmBlock& block = piece.block;
  const GemmOperand &a = part.gemm.a, &b = part.gemm.b;
  const std::int64_t k = piece.k + piece.depth;
  const std::int64_t depth = std::min(part.blocking.depth, part.behind - k);
  if (depth > 0 && part.blocking.a_in_place && a.row_stride == 1)
    ahead.add(from(a, part.area.row, k).data, depth * a.column_stride, tiles);
  if (depth > 0 && part.blocking.b_in_place)
    ahead.add(from(b, part.area.column, k).data, depth * b.column_stride, tiles);
  const std::int64_t row = block.row + block.rows;
  const std::int64_t rows = std::min(block.rows, part.area.row + part.area.rows - row);
  if (rows > 0 && part.blocking.a_in_place && a.row_stride != 1)
    ahead.add(from(a, row, piece.k).data, rows * a.row_stride, tiles);
  return ahead;
}

/// `tiles` tiles of `height` rows from row `begin` of the block on, with the panel of t.
void multiply_tiles(const Part& part, const Piece& piece, TileArguments t, std::int64_t begin,
                    std::int64_t height, std::int64_t vectors) {
  const GemmOperand& a = part.gemm.a;
  const bool in_place = part.blocking.a_in_place;
  const bool apart = in_place && a.row_stride != 1;
  t.a = in_place ? from(a, piece.block.row + begin, piece.k).data
                 : part.packed_a + begin * piece.depth;
  t.a_stride = apart ? a.row_stride : in_place ? a.column_stride : height;
  t.a_tile = height * (in_place ? a.row_stride : piece.depth);
  t.c += begin * t.c_stride;
  (apart ? part.kernels.rows_apart : part.kernels.rows_together)[height][vectors](t);
}

/// All tiles of the block in the panel of columns [j, j + columns); `ahead` moves on.
void multiply_panel(const Part& part, const Piece& piece, std::int64_t j, std::int64_t columns,
                    Ahead& ahead) {
  const GemmBlock& block = piece.block;
  const std::int64_t vectors = panel_vectors(part, columns);
  const bool in_place = part.blocking.b_in_place;
  TileArguments t{};
  t.b = in_place ? from(part.gemm.b, block.column + j, piece.k).data
                 : part.packed_b + j * piece.depth;
  t.b_stride = in_place ? part.gemm.b.column_stride : vectors * part.kernels.shape.lanes;
  t.c = part.gemm.c + block.row * part.gemm.c_stride + block.column + j;
  t.c_stride = part.gemm.c_stride;
  t.depth = piece.depth, t.columns = columns, t.start = piece.start;
  t.fetches_c = t.c_stride % page_floats != 0;
  for_tiles(block.rows, part.kernels.shape,
            [&](std::int64_t begin, std::int64_t number, std::int64_t height) {
              t.tiles = number;
              std::copy(std::begin(ahead.range), std::end(ahead.range), t.ahead);
              for (FetchAhead& range : ahead.range) range.from += number * range.share;
              multiply_tiles(part, piece, t, begin, height, vectors);
            });
}

/// One block, b's panels outermost; what is finished is handed on while it is in cache.
void multiply(const Part& part, const Piece& piece) {
  const GemmBlock& block = piece.block;
  const bool last = piece.k + piece.depth >= part.gemm.K;
  const bool at_once = block.rows * block.columns <= finished_at_once;
  const std::int64_t width = part.kernels.shape.columns();
  Ahead ahead =
      ahead_of(part, piece,
               divide_up(block.columns, width) * divide_up(block.rows, part.kernels.shape.rows));
  for (std::int64_t j = 0; j < block.columns; j += width) {
    const std::int64_t columns = std::min(width, block.columns - j);
    multiply_panel(part, piece, j, columns, ahead);
    if (last && !at_once) finish(part, {block.row, block.rows, block.column + j, columns});
  }
  if (last && at_once) finish(part, block);
}

void multiply_rows(const Part& part, Piece piece) {
  const GemmBlock& area = part.area;
  const bool several = area.rows > part.blocking.rows;
  for (std::int64_t m = 0; m < area.rows; m += part.blocking.rows) {
    piece.block.row = area.row + m;
    piece.block.rows = std::min(part.blocking.rows, area.rows - m);
    if (several) pack_a(part, piece);
    multiply(part, piece);
  }
}

/// k outermost: chains are resumed from c, chunks are added to c.
void run(const Part& part) {
  const GemmBlock& area = part.area;
  const std::int64_t K = part.gemm.K;
  Piece piece{area, 0, 0, part.gemm.resumes ? TileStart::resume : TileStart::zero};
  do {
    piece.depth = std::min(part.blocking.depth, K - piece.k);
    piece.block = area;
    if (area.rows <= part.blocking.rows) pack_a(part, piece);
    for (std::int64_t n = 0; n < area.columns; n += part.blocking.columns) {
      piece.block.column = area.column + n;
      piece.block.columns = std::min(part.blocking.columns, area.columns - n);
      pack_b(part, piece);
      multiply_rows(part, piece);
    }
    piece.start = part.gemm.sum_chunk > 0 ? TileStart::add : TileStart::resume;
    piece.k += piece.depth;
  } while (piece.k < K);
}

/// The product whose sum is one chunk of g's.
Gemm one_chunk(Gemm g) {
  g.K = std::min(g.K, g.sum_chunk);
  g.sum_chunk = 0;
  return g;
}

/// Floats of one part's packed blocks.
std::int64_t part_floats(const GemmBlocking& blocking, const TileShape& tile) {
  return packed_a_floats(blocking) + packed_b_floats(blocking, tile);
}

std::int64_t workspace_floats(const Gemm& g, const TileShape& tile, int threads) {
  if (is_transposed(g)) return transposed_workspace_floats(g, tile, threads);
  const GemmShares shares = share_gemm(g, tile, threads);
  const GemmBlocking blocking =
      block_gemm(shares.wave > 0 ? one_chunk(g) : g, shares.part_rows, shares.part_columns, tile);
  const std::int64_t partials = shares.wave * round_up(g.M * g.N, 16);
  return shares.parts() * part_floats(blocking, tile) + partials;
}

void run_grid(const Gemm& g, const GemmKernels& kernels, const GemmShares& shares, float* space,
              int threads) {
  const GemmBlocking blocking = block_gemm(g, shares.part_rows, shares.part_columns, kernels.shape);
  const std::int64_t floats = part_floats(blocking, kernels.shape);
  parallel_for(shares.parts(), 1, threads, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      const std::int64_t row = p / shares.column_parts * shares.part_rows;
      const std::int64_t column = p % shares.column_parts * shares.part_columns;
      float* own = space + p * floats;
      run({g,
           kernels,
           blocking,
           {row, std::min(shares.part_rows, g.M - row), column,
            std::min(shares.part_columns, g.N - column)},
           own,
           own + packed_a_floats(blocking),
           g.K});
    }
  });
}

/// c[row] = (first ? partial 0 : c[row] + partial 0) + partial 1 + ..., in this order.
void add_partials(const Gemm& g, const float* partials, std::int64_t count, std::int64_t row,
                  bool first) {
  const std::int64_t stride = round_up(g.M * g.N, 16);
  float* c = g.c + row * g.c_stride;
  const float* partial = partials + row * g.N;
  for (std::int64_t i = 0; i < count; ++i, partial += stride) {
    const bool begin = first && i == 0;
    for (std::int64_t n = 0; n < g.N; ++n) c[n] = begin ? partial[n] : c[n] + partial[n];
  }
}

/// Chunks of the sum are shared among threads, `wave` of them at a time, then added in order.
void run_chunks(const Gemm& g, const GemmKernels& kernels, const GemmShares& shares, float* space,
                int threads) {
  const GemmBlocking blocking = block_gemm(one_chunk(g), g.M, g.N, kernels.shape);
  const std::int64_t floats = part_floats(blocking, kernels.shape);
  const std::int64_t stride = round_up(g.M * g.N, 16);
  float* partials = space + shares.parts() * floats;
  const std::int64_t chunks = divide_up(g.K, g.sum_chunk);
  for (std::int64_t base = 0; base < chunks; base += shares.wave) {
    const std::int64_t count = std::min(shares.wave, chunks - base);
    const std::int64_t parts = std::min(shares.parts(), count);
    parallel_for(parts, 1, threads, [&](std::int64_t begin, std::int64_t end) {
      float* own = space + begin * floats;
      for (std::int64_t p = tile_begin(count, parts, begin); p < tile_begin(count, parts, end);
           ++p) {
        const std::int64_t k = (base + p) * g.sum_chunk;
        Gemm chunk = one_chunk(g);
        chunk.K = std::min(g.sum_chunk, g.K - k);
        chunk.a = from(g.a, 0, k), chunk.b = from(g.b, 0, k);
        chunk.c = partials + p * stride, chunk.c_stride = g.N;
        chunk.epilogue = {};
        run({chunk,
             kernels,
             blocking,
             {0, g.M, 0, g.N},
             own,
             own + packed_a_floats(blocking),
             g.K - k});
      }
    });
    const bool last = base + count == chunks;
    parallel_for(g.M, divide_up(8192, g.N), threads, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t m = begin; m < end; ++m) add_partials(g, partials, count, m, base == 0);
      if (!last || g.epilogue.apply == nullptr) return;
      g.epilogue.apply(g.epilogue.context, g.c + begin * g.c_stride, g.c_stride,
                       {begin, end - begin, 0, g.N});
    });
  }
}

}  // namespace

std::int64_t gemm_workspace_bytes(const Gemm& gemm, int threads) {
  if (gemm.M == 0 || gemm.N == 0 || is_scalar(gemm) || is_few_rows(gemm)) return 0;
  std::int64_t floats = 0;
  for (const TileShape& tile : gemm_tile_shapes()) {
    floats = std::max(floats, workspace_floats(gemm, tile, threads));
  }
  return floats * static_cast<std::int64_t>(sizeof(float)) + line_bytes;
}

bool is_band_operand(std::int64_t N, std::int64_t K) {
  return K > 0 && N > 0 && K <= band_depth && N * K <= band_operand_floats;
}

std::int64_t band_workspace_bytes(std::int64_t N, std::int64_t K) {
  std::int64_t floats = 0;
  for (const TileShape& tile : gemm_tile_shapes()) {
    const GemmBlocking product{0, N, K, true, false};
    Gemm sum;
    sum.M = N, sum.N = K, sum.K = gemm_sum_chunk;
    floats = std::max(
        {floats, packed_b_floats(product, tile), part_floats(block_gemm(sum, N, K, tile), tile)});
  }
  return floats * static_cast<std::int64_t>(sizeof(float));
}

void multiply_band(const Gemm& gemm, std::byte* space, bool packed) {
  const GemmKernels& kernels = gemm_kernels();
  const std::int64_t tiles =
      std::max<std::int64_t>(finished_at_once / gemm.N / kernels.shape.rows, 1);
  const GemmBlocking blocking{tiles * kernels.shape.rows, gemm.N, gemm.K, true, false};
  auto* b = reinterpret_cast<float*>(space);
  const Part part{gemm, kernels, blocking, {0, gemm.M, 0, gemm.N}, nullptr, b, gemm.K};
  const Piece piece{part.area, 0, gemm.K, TileStart::zero};
  if (!packed) pack_b(part, piece);
  multiply_rows(part, piece);
}

void add_band(const Gemm& gemm, std::byte* space) {
  const GemmKernels& kernels = gemm_kernels();
  const GemmBlocking blocking = block_gemm(gemm, gemm.M, gemm.N, kernels.shape);
  auto* own = reinterpret_cast<float*>(space);
  run({gemm,
       kernels,
       blocking,
       {0, gemm.M, 0, gemm.N},
       own,
       own + packed_a_floats(blocking),
       gemm.K});
}

void gemm(const Gemm& gemm, std::span<std::byte> workspace, int threads) {
  if (gemm.M == 0 || gemm.N == 0) return;
  if (is_scalar(gemm)) return run_scalar(gemm);
  const GemmKernels& kernels = gemm_kernels();
  if (is_few_rows(gemm)) return run_few_rows(gemm, kernels, threads);
  const auto given = static_cast<std::int64_t>(workspace.size());
  const std::int64_t needed = gemm_workspace_bytes(gemm, threads);
  if (given < needed) {
    throw Error(ErrorCode::internal,
                "gemm: workspace of " + std::to_string(given) + " bytes, " +
                    std::to_string(needed) + " needed for M, N, K = " + std::to_string(gemm.M) +
                    ", " + std::to_string(gemm.N) + ", " + std::to_string(gemm.K) +
                    "; ask gemm_workspace_bytes with the same problem and threads");
  }
  const auto address = reinterpret_cast<std::uintptr_t>(workspace.data());
  const auto past = static_cast<std::int64_t>(address % line_bytes);
  auto* space = reinterpret_cast<float*>(workspace.data() + (line_bytes - past) % line_bytes);
  if (is_transposed(gemm)) return run_transposed(gemm, kernels, space, threads);
  const GemmShares shares = share_gemm(gemm, kernels.shape, threads);
  if (shares.wave > 0) return run_chunks(gemm, kernels, shares, space, threads);
  run_grid(gemm, kernels, shares, space, threads);
}

}  // namespace fornax::host
