// Cache blocks and shares of the matrix product.
#include "kernels/host/gemm_blocking.h"

#include <algorithm>

namespace fornax::host {
namespace {

constexpr std::int64_t depth_target = 1024;          // of a chain's piece: c is resumed seldom
constexpr std::int64_t a_block_floats = 64 * 1024;   // stays in L2 beside a tile's panel of b
constexpr std::int64_t whole_a_floats = 144 * 1024;  // the same where L2 has a MiB, of all of a
constexpr std::int64_t least_depth = 512;            // of a piece, so that all of a stays there
constexpr std::int64_t b_block_floats = 512 * 1024;  // stays in L3
constexpr std::int64_t panels_at_once = 2;           // of b where all of a is packed
constexpr std::int64_t narrow_b_floats = 32 * 1024;  // all of b is packed and stays in L1 or L2
constexpr std::int64_t direct_depth = 256;           // longest rows of a that are read in place
constexpr std::int64_t narrow_tiles = 8;             // of one block where a is read in place
constexpr std::int64_t short_row = 128;              // rows of a^T and b^T that are read in place
constexpr std::int64_t short_rows_depth = 128;       // of a piece of them
constexpr std::int64_t unpacked_tiles = 20;          // of rows of c, for which b is not packed
constexpr std::int64_t unpacked_depth = 32;          // of a piece of b that so many tiles read
constexpr std::int64_t shallow_unpacked_tiles = 4;   // that read a piece of fewer steps
constexpr std::int64_t unpacked_floats = 1 << 20;    // of a piece of b that L3 has for them
constexpr std::int64_t part_products = 160 * 1024;   // fma that are worth waking a thread
constexpr std::int64_t unit_products = 256 * 1024;   // of a unit that a thread fetches
constexpr std::int64_t unit_side = 256;              // of one that packs an operand again
constexpr std::int64_t units_of_thread = 4;          // fewer are not worth packing again
constexpr std::int64_t output_products = 32;         // fma that cost as much as to finish an output
constexpr std::int64_t chunk_outputs = 32 * 1024;    // up to here threads share the sum's chunks
constexpr std::int64_t partial_floats = 256 * 1024;  // of one wave of chunks

/// Rows of a^T or b^T so short that a tile's piece of many of them fits the caches.
bool has_short_rows(const GemmOperand& operand) {
  return operand.row_stride == 1 && operand.column_stride <= short_row;
}

/// Tiles of rows up to which packing b did not pay; measured. With more of them it did for pieces
/// of few steps (1.2 with 10), and with short vectors where rows of b share sets of L1 (1.3
/// to 1.45).
std::int64_t most_unpacked_tiles(const Gemm& gemm, std::int64_t depth, const TileShape& tile) {
  const bool share_sets = gemm.b.column_stride % page_floats == 0;
  if (share_sets && tile.lanes < 16) return 1;
  return depth < unpacked_depth ? shallow_unpacked_tiles : unpacked_tiles;
}

/// Whether b^T is read where it lies, its rows apart: few tiles would not pay for packing them.
bool is_read_apart(const Gemm& gemm, std::int64_t depth, const TileShape& tile) {
  return gemm.b.row_stride == 1 && gemm.N * depth <= unpacked_floats &&
         gemm.M <= most_unpacked_tiles(gemm, depth, tile) * tile.rows;
}

/// Floats of a that are packed whole. Most processors with vectors of 16 lanes have an L2 of a MiB
/// or more; measured on one of 2 MiB.
std::int64_t most_whole_floats(const TileShape& tile) {
  return tile.lanes == 16 ? whole_a_floats : a_block_floats;
}

/// Of pieces of a's M rows.
std::int64_t block_depth(const Gemm& gemm, std::int64_t M, const TileShape& tile) {
  const std::int64_t depth = std::max<std::int64_t>(gemm.K, 1);
  if (gemm.sum_chunk > 0) return std::min(gemm.sum_chunk, depth);
  if (has_short_rows(gemm.a) && has_short_rows(gemm.b)) return std::min(depth, short_rows_depth);
  const std::int64_t whole_depth = most_whole_floats(tile) / std::max<std::int64_t>(M, 1);
  const bool shorter = tile.lanes == 16 && whole_depth >= least_depth && whole_depth < depth_target;
  const std::int64_t target = shorter ? whole_depth : depth_target;
  if (depth <= target + (shorter ? 0 : depth_target / 4)) return depth;
  return round_up(divide_up(depth, divide_up(depth, target)), 8);
}

/// What a thread's rows are a multiple of.
std::int64_t row_unit(const Gemm& gemm, const TileShape& tile) {
  return gemm.row_unit > 1 ? gemm.row_unit : tile.rows;
}

void count_units(const Gemm& gemm, GemmShares& shares) {
  shares.row_units = divide_up(gemm.M, shares.unit_rows);
  shares.column_units = divide_up(gemm.N, shares.unit_columns);
}

/// Cuts what one thread would get into smaller units: strips of columns where threads share
/// columns, else of rows. Where each packs an operand again they are wide, or what they were if
/// they would be few.
void cut_units(const Gemm& gemm, const TileShape& tile, GemmShares& shares) {
  const std::int64_t K = std::max<std::int64_t>(gemm.K, 1), cost = K + output_products;
  const bool one_piece = K <= block_depth(gemm, shares.unit_rows, tile);
  GemmShares cut = shares;
  bool packs_again = false;
  if (shares.unit_columns < gemm.N) {
    packs_again = !one_piece || shares.unit_rows * K > most_whole_floats(tile);
    const std::int64_t least = packs_again ? unit_side : 1;
    cut.unit_columns = round_up(std::max(divide_up(unit_products, shares.unit_rows * cost), least),
                                tile.columns());
  } else {
    packs_again = !one_piece || gemm.N * K > narrow_b_floats;
    const std::int64_t least = packs_again ? unit_side : 1;
    cut.unit_rows =
        round_up(std::max(divide_up(unit_products, gemm.N * cost), least), row_unit(gemm, tile));
  }
  count_units(gemm, cut);
  if (!packs_again || cut.units() >= units_of_thread * shares.threads) shares = cut;
}

}  // namespace

int useful_threads(const Gemm& gemm, int threads) {
  const std::int64_t products = gemm.M * gemm.N * (gemm.K + output_products);
  return static_cast<int>(
      std::clamp<std::int64_t>(products / part_products, 1, std::max(threads, 1)));
}

GemmShares share_gemm(const Gemm& gemm, const TileShape& tile, int threads) {
  const int useful = useful_threads(gemm, threads);
  GemmShares best{1, 0, gemm.M, gemm.N, 1, 1, gemm.M, gemm.N};
  if (gemm.sum_chunk > 0 && gemm.K > gemm.sum_chunk && gemm.M * gemm.N <= chunk_outputs) {
    const std::int64_t chunks = divide_up(gemm.K, gemm.sum_chunk);
    best.wave =
        std::min(chunks, std::max<std::int64_t>(useful, partial_floats / (gemm.M * gemm.N)));
    best.threads = static_cast<int>(std::min<std::int64_t>(best.wave, useful));
    return best;
  }
  if (useful == 1) return best;
  // Cost of a thread per k: its fma and, dearer per element, the packing of its operands.
  const std::int64_t unit = row_unit(gemm, tile);
  double least = 0;
  for (std::int64_t row_parts = 1; row_parts <= useful; ++row_parts) {
    const std::int64_t column_parts = useful / row_parts;
    const std::int64_t rows = std::min(gemm.M, round_up(divide_up(gemm.M, row_parts), unit));
    const std::int64_t columns =
        std::min(gemm.N, round_up(divide_up(gemm.N, column_parts), tile.columns()));
    const double cost = static_cast<double>(rows) * static_cast<double>(columns) +
                        4.0 * static_cast<double>(rows + columns);
    if (least == 0 || cost < least) {
      least = cost;
      best.unit_rows = rows, best.unit_columns = columns;
    }
  }
  best.threads = useful;
  count_units(gemm, best);
  cut_units(gemm, tile, best);
  const std::int64_t most = GuidedShares::most(best.units(), 1, useful);
  const bool by_rows = best.column_units == 1;
  best.part_rows = std::min(gemm.M, (by_rows ? most : 1) * best.unit_rows);
  best.part_columns = std::min(gemm.N, (by_rows ? 1 : most) * best.unit_columns);
  return best;
}

GemmBlock next_area(const Gemm& gemm, const GemmShares& shares, ShareRange& range) {
  const std::int64_t row = range.begin / shares.column_units,
                     column = range.begin % shares.column_units;
  const bool whole_rows = shares.column_units == 1;
  const std::int64_t end =
      std::min(range.end, whole_rows ? range.end : (row + 1) * shares.column_units);
  const std::int64_t taken = end - range.begin;
  range.begin = end;
  const std::int64_t first_row = row * shares.unit_rows,
                     first_column = column * shares.unit_columns;
  return {first_row, std::min((whole_rows ? taken : 1) * shares.unit_rows, gemm.M - first_row),
          first_column, std::min(taken * shares.unit_columns, gemm.N - first_column)};
}

GemmBlocking block_gemm(const Gemm& gemm, std::int64_t M, std::int64_t N, const TileShape& tile) {
  GemmBlocking blocking{};
  const std::int64_t depth = blocking.depth = block_depth(gemm, M, tile);
  const std::int64_t most_rows =
      std::max<std::int64_t>(a_block_floats / depth / tile.rows, 1) * tile.rows;
  const std::int64_t whole_rows = std::max(most_rows, most_whole_floats(tile) / depth);
  const bool apart = gemm.a.column_stride == 1 && gemm.a.row_stride % page_floats != 0;
  if (M <= whole_rows) {  // a is packed once, b a few panels at a time
    blocking.rows = M;
    blocking.columns = std::min<std::int64_t>(N, panels_at_once * tile.columns());
    blocking.a_in_place = has_short_rows(gemm.a) || (apart && gemm.N <= tile.columns());
    // Of all of b, not of a part's columns: a vector must not pass the end of the last row.
    blocking.b_in_place =
        (has_short_rows(gemm.b) || is_read_apart(gemm, depth, tile)) && gemm.N % tile.lanes == 0;
    if (blocking.b_in_place) blocking.columns = N;
  } else if (N * depth <= narrow_b_floats) {  // b is packed once, a a few tiles at a time
    blocking.a_in_place = apart && gemm.K <= direct_depth;
    blocking.rows = blocking.a_in_place ? narrow_tiles * tile.rows : tile.rows;
    blocking.columns = N;
  } else {
    blocking.rows = round_up(divide_up(M, divide_up(M, most_rows)), tile.rows);
    blocking.columns =
        std::clamp<std::int64_t>(b_block_floats / depth / tile.columns() * tile.columns(),
                                 tile.columns(), round_up(N, tile.columns()));
  }
  return blocking;
}

std::int64_t packed_a_floats(const GemmBlocking& blocking) {
  return blocking.a_in_place ? 0 : round_up(blocking.rows * blocking.depth + gemm_pack_slack, 16);
}

std::int64_t packed_b_floats(const GemmBlocking& blocking, const TileShape& tile) {
  if (blocking.b_in_place) return 0;
  return round_up(round_up(blocking.columns, tile.lanes) * blocking.depth + gemm_pack_slack, 16);
}

}  // namespace fornax::host
