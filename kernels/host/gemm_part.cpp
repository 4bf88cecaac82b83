// Packing, panels and pieces of one part of the matrix product.
#include "kernels/host/gemm_part.h"

#include <algorithm>

#include "kernels/host/gemm_ahead.h"

namespace fornax::host {
namespace {

constexpr std::int64_t outputs_at_hand = 8 * 1024;   // floats of c that stay in L1
constexpr std::int64_t beside_at_hand = 128 * 1024;  // of what an epilogue takes, that stay in L2
constexpr std::int64_t least_depth_beside = 64;      // of products that hide what an epilogue takes

/// A block of the part and the piece of the sum that is added to it now.
struct Piece {
  GemmBlock block;
  std::int64_t k, depth;
  TileStart start;
};

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

/// What the next piece or block begins with.
Ahead ahead_of(const Part& part, const Piece& piece, std::int64_t tiles) {
  Ahead ahead{};
  if (part.cached) return ahead;
  const bool spreads = part.kernels.shape.spreads();
  const GemmBlock& block = piece.block;
  const GemmBlock& area = part.area;
  const GemmOperand &a = part.gemm.a, &b = part.gemm.b;
  const std::int64_t steps = tiles * part.kernels.shape.requests(piece.depth);
  const std::int64_t k = piece.k + piece.depth;
  const std::int64_t depth = std::min(part.blocking.depth, part.behind - k);
  const std::int64_t row = block.row + block.rows;
  const std::int64_t rows = std::min(block.rows, area.row + area.rows - row);
  const std::int64_t column = block.column + block.columns;
  const std::int64_t columns = std::min(block.columns, area.column + area.columns - column);
  // Whole rows of operands in place: they are short.
  if (part.blocking.a_in_place && a.row_stride == 1) {
    if (depth > 0) ahead.add(from(a, area.row, k).data, 1, depth * a.column_stride, 0, steps);
  } else if (rows > 0 && (spreads || part.blocking.a_in_place)) {
    ahead.add(from(a, row, piece.k), rows, piece.depth, steps);
  }
  if (part.blocking.b_in_place) {
    if (depth > 0) ahead.add(from(b, area.column, k).data, 1, depth * b.column_stride, 0, steps);
  } else if (spreads && rows <= 0 && columns > 0) {
    ahead.add(from(b, column, piece.k), columns, piece.depth, steps);
  } else if (spreads && rows <= 0 && depth > 0) {
    ahead.add(from(b, area.column, k), std::min(part.blocking.columns, area.columns), depth, steps);
  }
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

/// Rows of c that a tile asks for at a time. Rows whole pages apart share a set of L1: all at once
/// they were slower.
std::int64_t outputs_to_fetch(const Part& part, const Piece& piece) {
  const TileShape& tile = part.kernels.shape;
  const std::int64_t stride = part.gemm.c_stride;
  if (part.cached || part.area.rows * stride <= outputs_at_hand) return 0;
  const bool at_once = !tile.spreads();
  if (at_once && (piece.start == TileStart::resume || stride % page_floats == 0)) return 0;
  return divide_up(tile.rows, tile.requests(piece.depth));
}

/// What the epilogue of these columns of the block reads, or writes, where their last products are
/// long enough for it to come beside them.
void add_beside(const Part& part, const Piece& piece, std::int64_t j, std::int64_t columns,
                Ahead& ahead) {
  const GemmEpilogue& epilogue = part.gemm.epilogue;
  const float* matrix = epilogue.beside[0];
  const bool last = piece.k + piece.depth >= part.gemm.K;
  const bool at_hand = part.cached || part.gemm.M * part.gemm.c_stride <= beside_at_hand;
  if (!last || matrix == nullptr || at_hand || piece.depth < least_depth_beside) return;
  const GemmBlock& block = piece.block;
  const TileShape& tile = part.kernels.shape;
  const std::int64_t stride = part.gemm.c_stride;
  ahead.add(matrix + block.row * stride + block.column + j, block.rows, columns, stride,
            divide_up(block.rows, tile.rows) * tile.requests(piece.depth));
  ahead.range[ahead.count - 1].to_write = epilogue.writes_beside;
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
  t.c_share = outputs_to_fetch(part, piece);
  const int lasting = ahead.count;
  add_beside(part, piece, j, columns, ahead);
  t.ahead = ahead.range, t.aheads = ahead.count;
  for_tiles(block.rows, part.kernels.shape.rows,
            [&](std::int64_t begin, std::int64_t number, std::int64_t height) {
              t.tiles = number;
              multiply_tiles(part, piece, t, begin, height, vectors);
            });
  ahead.count = lasting;
}

/// One block, b's panels outermost; what is finished is handed on while it is in cache.
void multiply(const Part& part, const Piece& piece) {
  const GemmBlock& block = piece.block;
  const bool last = piece.k + piece.depth >= part.gemm.K;
  const bool at_once = block.rows * block.columns <= gemm_finished_at_once;
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

}  // namespace

/// k outermost: chains are resumed from c, chunks are added to c.
void run_part(const Part& part) {
  const GemmBlock& area = part.area;
  const std::int64_t K = part.gemm.K;
  Piece piece{area, 0, 0, part.gemm.resumes ? TileStart::resume : TileStart::zero};
  do {
    piece.depth = std::min(part.blocking.depth, K - piece.k);
    piece.block = area;
    if (area.rows <= part.blocking.rows && !part.a_packed) pack_a(part, piece);
    for (std::int64_t n = 0; n < area.columns; n += part.blocking.columns) {
      piece.block.column = area.column + n;
      piece.block.columns = std::min(part.blocking.columns, area.columns - n);
      if (!part.b_packed) pack_b(part, piece);
      multiply_rows(part, piece);
    }
    piece.start = part.gemm.sum_chunk > 0 ? TileStart::add : TileStart::resume;
    piece.k += piece.depth;
  } while (piece.k < K);
}

}  // namespace fornax::host
