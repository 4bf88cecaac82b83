// Register tiles and packing of the matrix product, and products of few rows, compiled once for
// each instruction set.
#pragma once
#include <algorithm>

#include "kernels/host/gemm.h"

namespace fornax::host {

/// Rows so many floats apart share a set of L1, which has fewer ways than a tile has rows.
inline constexpr std::int64_t page_floats = 1024;

/// How a tile's accumulators begin and what happens to c with them.
enum class TileStart {
  zero,    ///< acc = +0.0; c = acc
  resume,  ///< acc = c; c = acc: the chain goes on
  add,     ///< acc = +0.0; c = c + acc: the next chunk of the sum
};

/// Memory that later tiles or packing need, row after row: tiles ask for a few lines every few k,
/// so that no burst of requests stalls the FMAs.
struct FetchAhead {
  const float* from;       ///< the next line
  std::int64_t lines;      ///< that are left
  std::int64_t left;       ///< of them in this row
  std::int64_t row_lines;  ///< of a whole row
  std::int64_t gap;        ///< floats from the end of a row's last line to the next row
  std::int64_t share;      ///< lines at a time
  bool to_write = false;   ///< what they are asked for

  struct Run {
    const float* from;
    std::int64_t lines;
  };
  /// The next lines of a row, at most `most`; none when all were asked for.
  Run next(std::int64_t most) {
    const Run run{from, std::min({most, left, lines})};
    from += run.lines * 16, lines -= run.lines, left -= run.lines;
    if (left == 0) from += gap, left = row_lines;
    return run;
  }
};

/// Tiles of equal height that share a panel of b, one below the other.
struct TileArguments {
  const float* a;         // element (row, k) is a[row + k * a_stride], or a[row * a_stride + k]
  std::int64_t a_stride;  // where the tile's function reads rows that lie apart
  std::int64_t a_tile;    // from a tile's a to that of the next
  const float* b;         // element (k, column) is b[k * b_stride + column]
  std::int64_t b_stride;
  float* c;
  std::int64_t c_stride;
  std::int64_t depth;
  std::int64_t columns;  // outputs written per row, at most vectors * lanes
  std::int64_t tiles;
  TileStart start;
  std::int64_t c_share;  ///< rows of c that a tile asks for with each request; 0: none
  FetchAhead* ahead;     ///< `aheads` of them, which move on
  int aheads;
};

using TileFunction = void (*)(const TileArguments&);

struct PackArguments {
  GemmOperand source;  // element (i, k) for i < valid, k < depth
  std::int64_t depth;
  std::int64_t valid;
  std::int64_t width;
  float* out;  // out[k * width + i]; what stands at valid <= i < width is finite if the source is
};

/// Panels of a tile's columns side by side, packed row after row of memory.
struct PackPanelsArguments {
  GemmOperand source;  // element (i, k) for k < depth; row_stride 1
  std::int64_t depth;
  std::int64_t panels;
  float* out;  // panel p begins at out[p * depth * TileShape::columns()]
};

/// The widest tile of any instruction set, and how far packing may write past its last element.
inline constexpr int gemm_max_tile_rows = 14;
inline constexpr int gemm_tile_vectors = 2;
inline constexpr int gemm_pack_slack = 16;

inline constexpr int gemm_fetches_at_once = 1 << 30;  // no tile is as deep

struct TileShape {
  int rows, lanes;
  int fetch_depth;  ///< steps of k between a tile's requests for memory
  int columns() const { return gemm_tile_vectors * lanes; }
  std::int64_t requests(std::int64_t depth) const { return (depth - 1) / fetch_depth + 1; }
  /// Whether a tile asks in its midst; else all at once when it begins, which stalls the FMAs.
  constexpr bool spreads() const { return fetch_depth < gemm_fetches_at_once; }
};

/// Columns [column, column + columns) of a product of at most gemm_few_rows rows, unpacked.
struct FewRowsArguments {
  const Gemm& gemm;
  std::int64_t column, columns;
};
inline constexpr int gemm_few_rows = 8;
/// Columns of which few_rows takes more steps of k at once: of b that memory does not hand over.
inline constexpr std::int64_t gemm_deep_columns = 512;
/// Whether b may be in a cache of all threads.
inline bool may_be_cached(const Gemm& gemm) { return gemm.N * gemm.K <= 3 << 20; }

/// Whether few_rows computes it: rows of a, or a few of a^T, in place, b or b^T too, and one chain
/// for the sum.
bool is_few_rows(const Gemm& gemm);

/// Whether few_rows computes it, gemm_few_rows rows at a time: outputs of so few steps of k bound
/// it, and are written row after row.
bool is_shallow(const Gemm& gemm);
inline constexpr int gemm_shallow = 8;  // measured

struct GemmKernels {
  TileShape shape;
  using Table = TileFunction[gemm_max_tile_rows + 1][gemm_tile_vectors + 1];  // [rows][vectors]
  Table rows_together;  ///< the rows of a tile stand side by side: packed, or a^T in place
  Table rows_apart;
  void (*pack)(const PackArguments&);
  void (*pack_panels)(const PackPanelsArguments&);
  void (*few_rows)(const FewRowsArguments&);
};

/// The tiles of the active instruction set.
const GemmKernels& gemm_kernels();

/// Tile shapes of every compiled instruction set, for workspaces that fit them all.
std::span<const TileShape> gemm_tile_shapes();

}  // namespace fornax::host
