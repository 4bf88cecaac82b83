// The loops around the register tiles of the matrix product, and its shares among threads.
#include "kernels/host/gemm.h"

#include <fornax/error.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/host/gemm_blocking.h"
#include "kernels/host/gemm_tile.h"
#include "kernels/host/parallel.h"

namespace fornax::host {
namespace {

constexpr std::int64_t line_bytes = 64;
constexpr std::int64_t scalar_products = 512;  // up to here packing costs more than it gives

/// One part of c, computed by one thread with its own packed blocks.
struct Part {
  const Gemm& gemm;
  const GemmKernels& kernels;
  GemmBlocking blocking;
  GemmBlock area;
  float* packed_a;
  float* packed_b;
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
  if (part.blocking.direct) return;
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
  const TileShape& tile = part.kernels.shape;
  for (std::int64_t j = 0; j < piece.block.columns; j += tile.columns()) {
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

/// All tiles of one block, b's panel outermost; a panel is finished while it is in cache.
void multiply(const Part& part, const Piece& piece) {
  const GemmBlock& block = piece.block;
  const TileShape& shape = part.kernels.shape;
  const std::int64_t count = divide_up(block.rows, shape.rows);
  const bool last = piece.k + piece.depth >= part.gemm.K;
  for (std::int64_t j = 0; j < block.columns; j += shape.columns()) {
    const std::int64_t columns = std::min<std::int64_t>(shape.columns(), block.columns - j);
    const std::int64_t vectors = panel_vectors(part, columns);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t begin = tile_begin(block.rows, count, i);
      const std::int64_t rows = tile_begin(block.rows, count, i + 1) - begin;
      const std::int64_t row = block.row + begin;
      const float* a = part.blocking.direct ? from(part.gemm.a, row, piece.k).data
                                            : part.packed_a + begin * piece.depth;
      const auto& tiles = part.blocking.direct ? part.kernels.direct : part.kernels.packed;
      tiles[rows][vectors]({a, part.gemm.a.row_stride, part.packed_b + j * piece.depth,
                            part.gemm.c + row * part.gemm.c_stride + block.column + j,
                            part.gemm.c_stride, piece.depth, columns, piece.start});
    }
    if (last && count > 1) finish(part, {block.row, block.rows, block.column + j, columns});
  }
  if (last && count == 1) finish(part, block);
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
  Piece piece{area, 0, 0, TileStart::zero};
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

/// Outputs of one row, four chains at a time.
template <int count>
void scalar_outputs(const Gemm& g, std::int64_t m, std::int64_t n) {
  const float* a = g.a.data + m * g.a.row_stride;
  const float* b = g.b.data + n * g.b.row_stride;
  const std::int64_t chunk = g.sum_chunk > 0 ? g.sum_chunk : std::max<std::int64_t>(g.K, 1);
  float total[count] = {};
  for (std::int64_t k0 = 0; k0 < g.K; k0 += chunk) {
    float acc[count] = {};
    const std::int64_t end = std::min(g.K, k0 + chunk);
    for (std::int64_t k = k0; k < end; ++k) {
      const float x = a[k * g.a.column_stride];
      const float* y = b + k * g.b.column_stride;
      for (int j = 0; j < count; ++j) acc[j] = std::fma(x, y[j * g.b.row_stride], acc[j]);
    }
    for (int j = 0; j < count; ++j) total[j] = k0 == 0 ? acc[j] : total[j] + acc[j];
  }
  for (int j = 0; j < count; ++j) g.c[m * g.c_stride + n + j] = total[j];
}

void run_scalar(const Gemm& g) {
  for (std::int64_t m = 0; m < g.M; ++m) {
    std::int64_t n = 0;
    for (; n + 4 <= g.N; n += 4) scalar_outputs<4>(g, m, n);
    for (; n < g.N; ++n) scalar_outputs<1>(g, m, n);
  }
  if (g.epilogue.apply) g.epilogue.apply(g.epilogue.context, g.c, g.c_stride, {0, g.M, 0, g.N});
}

bool is_scalar(const Gemm& g) { return g.M * g.N * g.K <= scalar_products; }

/// Floats of one part's packed blocks.
std::int64_t part_floats(const GemmBlocking& blocking, const TileShape& tile) {
  return packed_a_floats(blocking) + packed_b_floats(blocking, tile);
}

std::int64_t workspace_floats(const Gemm& g, const TileShape& tile, int threads) {
  const GemmShares shares = share_gemm(g, tile, threads);
  const GemmBlocking blocking = block_gemm(g, shares.part_rows, shares.part_columns, tile);
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
           own + packed_a_floats(blocking)});
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
  const GemmBlocking blocking = block_gemm(g, g.M, g.N, kernels.shape);
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
        const Gemm chunk{g.M,
                         g.N,
                         std::min(g.sum_chunk, g.K - k),
                         from(g.a, 0, k),
                         from(g.b, 0, k),
                         partials + p * stride,
                         g.N,
                         g.sum_chunk,
                         {}};
        run({chunk, kernels, blocking, {0, g.M, 0, g.N}, own, own + packed_a_floats(blocking)});
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
  if (gemm.M == 0 || gemm.N == 0 || is_scalar(gemm)) return 0;
  std::int64_t floats = 0;
  for (const TileShape& tile : gemm_tile_shapes()) {
    floats = std::max(floats, workspace_floats(gemm, tile, threads));
  }
  return floats * static_cast<std::int64_t>(sizeof(float)) + line_bytes;
}

void gemm(const Gemm& gemm, std::span<std::byte> workspace, int threads) {
  if (gemm.M == 0 || gemm.N == 0) return;
  if (is_scalar(gemm)) return run_scalar(gemm);
  const GemmKernels& kernels = gemm_kernels();
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
  const GemmShares shares = share_gemm(gemm, kernels.shape, threads);
  if (shares.wave > 0) return run_chunks(gemm, kernels, shares, space, threads);
  run_grid(gemm, kernels, shares, space, threads);
}

}  // namespace fornax::host
