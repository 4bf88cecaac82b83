// The matrix product shared among threads, and its bands of rows.
#include "kernels/host/gemm.h"

#include <fornax/error.h>

#include <algorithm>
#include <string>

#include "kernels/host/gemm_blocking.h"
#include "kernels/host/gemm_part.h"
#include "kernels/host/gemm_small.h"
#include "kernels/host/gemm_strips.h"
#include "kernels/host/gemm_tile.h"
#include "kernels/host/gemm_transposed.h"
#include "kernels/host/parallel.h"

namespace fornax::host {
namespace {

constexpr std::int64_t line_bytes = 64, float_bytes = sizeof(float);
// Of b in products by bands: measured; with 512 x 512 the layers one after another are no slower.
constexpr std::int64_t band_depth = 256, band_operand_floats = 64 * 1024;

/// Bytes of so many floats, in whole lines wherever they begin.
std::int64_t aligned_bytes(std::int64_t floats) {
  return floats == 0 ? 0 : round_up(floats * float_bytes, line_bytes) + line_bytes;
}

std::span<std::byte> whole_lines(std::span<std::byte> bytes) {
  const std::size_t past = reinterpret_cast<std::uintptr_t>(bytes.data()) % line_bytes;
  return bytes.subspan(std::min(past == 0 ? 0 : line_bytes - past, bytes.size()));
}

/// Throws where the space is too small.
GemmRoom room_in(const GemmSpace& space, const Gemm& g, int threads) {
  const GemmBytes needed = gemm_bytes(g, threads);
  const auto given = static_cast<std::int64_t>(space.workspace.size());
  const std::int64_t of_thread = static_cast<std::int64_t>(space.threads.size()) / threads;
  if (given < needed.workspace || of_thread < needed.thread)
    throw Error(ErrorCode::internal, "gemm: workspace of " + std::to_string(given) + " bytes and " +
                                         std::to_string(of_thread) + " for each thread, " +
                                         std::to_string(needed.workspace) + " and " +
                                         std::to_string(needed.thread) +
                                         " needed for M, N, K = " + std::to_string(g.M) + ", " +
                                         std::to_string(g.N) + ", " + std::to_string(g.K) +
                                         "; ask gemm_bytes with the same problem and threads");
  const std::span<std::byte> own = whole_lines(space.threads);
  const std::int64_t part = static_cast<std::int64_t>(own.size()) / threads / line_bytes;
  return {reinterpret_cast<float*>(whole_lines(space.workspace).data()),
          reinterpret_cast<float*>(own.data()), part * (line_bytes / float_bytes)};
}

/// The product whose sum is one chunk of g's.
Gemm one_chunk(Gemm g) {
  g.K = std::min(g.K, g.sum_chunk);
  g.sum_chunk = 0;
  return g;
}

GemmFloats floats_of(const Gemm& g, const TileShape& tile, int threads) {
  if (!g.keeps_outputs) return strips_floats(g, tile, threads);
  if (is_transposed(g)) return transposed_floats(g, tile, threads);
  const GemmShares shares = share_gemm(g, tile, threads);
  const GemmBlocking blocking =
      block_gemm(shares.wave > 0 ? one_chunk(g) : g, shares.part_rows, shares.part_columns, tile);
  return {shares.wave * round_up(g.M * g.N, 16), part_floats(blocking, tile)};
}

/// Threads take parts of c, ever smaller ones, until none is left. What a thread has packed serves
/// its next part where that has the same rows of a, or the same columns of b.
void run_grid(const Gemm& g, const GemmKernels& kernels, const GemmShares& shares,
              const GemmRoom& room, int threads) {
  const GemmBlocking blocking = block_gemm(g, shares.part_rows, shares.part_columns, kernels.shape);
  const bool one_piece = blocking.depth >= g.K;
  GuidedShares units(shares.units(), 1, shares.threads);
  parallel_for(shares.threads, 1, threads, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const int thread = static_cast<int>(i);
      float* own = room.own(i);
      Part part{g, kernels, blocking, {-1, 0, 0, 0}, own, own + packed_a_floats(blocking), g.K};
      for (ShareRange range = units.next(thread); !range.empty();) {
        const GemmBlock area = next_area(g, shares, range);
        const bool goes_on = one_piece && part.area.row >= 0;
        part.a_packed = goes_on && area.row == part.area.row;
        part.b_packed = goes_on && shares.column_units == 1 && area.columns <= blocking.columns;
        part.area = area;
        run_part(part);
        if (range.empty()) range = units.next(thread);
      }
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

/// The sum of chunk `p` of the wave that begins with chunk `base`, into its partial.
void run_chunk(const Part& whole, std::int64_t base, std::int64_t p, float* partials) {
  const Gemm& g = whole.gemm;
  const std::int64_t k = (base + p) * g.sum_chunk;
  Gemm chunk = one_chunk(g);
  chunk.K = std::min(g.sum_chunk, g.K - k);
  chunk.a = from(g.a, 0, k), chunk.b = from(g.b, 0, k);
  chunk.c = partials + p * round_up(g.M * g.N, 16), chunk.c_stride = g.N;
  chunk.epilogue = {};
  run_part(
      {chunk, whole.kernels, whole.blocking, whole.area, whole.packed_a, whole.packed_b, g.K - k});
}

/// Chunks of the sum are shared among threads, `wave` of them at a time, then added in order.
void run_chunks(const Gemm& g, const GemmKernels& kernels, const GemmShares& shares,
                const GemmRoom& room, int threads) {
  const GemmBlocking blocking = block_gemm(one_chunk(g), g.M, g.N, kernels.shape);
  float* partials = room.shared;
  const std::int64_t chunks = divide_up(g.K, g.sum_chunk);
  for (std::int64_t base = 0; base < chunks; base += shares.wave) {
    const std::int64_t count = std::min(shares.wave, chunks - base);
    GuidedShares wave(count, 1, shares.threads);
    parallel_for(shares.threads, 1, threads, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const int thread = static_cast<int>(i);
        float* own = room.own(i);
        const Part whole{
            g, kernels, blocking, {0, g.M, 0, g.N}, own, own + packed_a_floats(blocking), g.K};
        for (ShareRange range = wave.next(thread); !range.empty(); range = wave.next(thread))
          for (std::int64_t p = range.begin; p < range.end; ++p)
            run_chunk(whole, base, p, partials);
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

GemmBytes gemm_bytes(const Gemm& gemm, int threads) {
  if (gemm.M == 0 || gemm.N == 0 || is_scalar(gemm) || is_few_rows(gemm) || is_shallow(gemm))
    return {};
  GemmBytes bytes;
  for (const TileShape& tile : gemm_tile_shapes()) {
    const GemmFloats floats = floats_of(gemm, tile, threads);
    bytes.workspace = std::max(bytes.workspace, aligned_bytes(floats.shared));
    bytes.thread = std::max(bytes.thread, aligned_bytes(floats.own));
  }
  return bytes;
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
      std::max<std::int64_t>(gemm_finished_at_once / gemm.N / kernels.shape.rows, 1);
  const GemmBlocking blocking{tiles * kernels.shape.rows, gemm.N, gemm.K, true, false};
  auto* b = reinterpret_cast<float*>(space);
  Part part{gemm, kernels, blocking, {0, gemm.M, 0, gemm.N}, nullptr, b, gemm.K};
  part.b_packed = packed, part.cached = true;
  run_part(part);
}

void add_band(const Gemm& gemm, std::byte* space) {
  const GemmKernels& kernels = gemm_kernels();
  Gemm task = gemm;  // the space is that of its blocks: those of fewer rows may be larger
  task.K = gemm_sum_chunk;
  const GemmBlocking blocking = block_gemm(task, gemm.M, gemm.N, kernels.shape);
  auto* own = reinterpret_cast<float*>(space);
  Part part{gemm,  kernels, blocking, {0, gemm.M, 0, gemm.N}, own, own + packed_a_floats(blocking),
            gemm.K};
  part.cached = true;
  run_part(part);
}

void gemm(const Gemm& gemm, const GemmSpace& space, int threads) {
  if (gemm.M == 0 || gemm.N == 0) return;
  if (!gemm.keeps_outputs && (gemm.sum_chunk == 0 || gemm.K > gemm.sum_chunk)) {
    throw Error(ErrorCode::internal,
                "gemm: outputs that are not kept are one chunk of the sum; K = " +
                    std::to_string(gemm.K) + ", sum_chunk = " + std::to_string(gemm.sum_chunk));
  }
  if (is_scalar(gemm)) return run_scalar(gemm);
  const GemmKernels& kernels = gemm_kernels();
  if (is_few_rows(gemm)) return run_few_rows(gemm, kernels, threads);
  if (is_shallow(gemm)) return run_shallow(gemm, kernels, threads);
  const GemmRoom room = room_in(space, gemm, threads);
  if (!gemm.keeps_outputs) return run_strips(gemm, kernels, room, threads);
  if (is_transposed(gemm)) return run_transposed(gemm, kernels, room, threads);
  const GemmShares shares = share_gemm(gemm, kernels.shape, threads);
  if (shares.wave > 0) return run_chunks(gemm, kernels, shares, room, threads);
  run_grid(gemm, kernels, shares, room, threads);
}

}  // namespace fornax::host
