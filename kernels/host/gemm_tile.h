// Register tiles and packing of the matrix product, compiled once for each instruction set.
#pragma once
#include "kernels/host/gemm.h"

namespace fornax::host {

/// How a tile's accumulators begin and what happens to c with them.
enum class TileStart {
  zero,    ///< acc = +0.0; c = acc
  resume,  ///< acc = c; c = acc: the chain goes on
  add,     ///< acc = +0.0; c = c + acc: the next chunk of the sum
};

struct TileArguments {
  const float* a;         // packed: [depth, rows]; direct: row r begins at a + r * a_stride
  std::int64_t a_stride;  // direct only
  const float* b;         // [depth, vectors * lanes], packed
  float* c;
  std::int64_t c_stride;
  std::int64_t depth;
  std::int64_t columns;  // outputs written per row, at most vectors * lanes
  TileStart start;
};

using TileFunction = void (*)(const TileArguments&);

struct PackArguments {
  GemmOperand source;  // element (i, k) for i < valid, k < depth
  std::int64_t depth;
  std::int64_t valid;
  std::int64_t width;
  float* out;  // out[k * width + i]; what stands at valid <= i < width is finite if the source is
};

/// The widest tile of any instruction set, and how far packing may write past its last element.
inline constexpr int gemm_max_tile_rows = 14;
inline constexpr int gemm_tile_vectors = 2;
inline constexpr int gemm_pack_slack = 16;

struct TileShape {
  int rows, lanes;
  int columns() const { return gemm_tile_vectors * lanes; }
};

struct GemmKernels {
  TileShape shape;
  TileFunction packed[gemm_max_tile_rows + 1][gemm_tile_vectors + 1];  // [rows][vectors]
  TileFunction direct[gemm_max_tile_rows + 1][gemm_tile_vectors + 1];
  void (*pack)(const PackArguments&);
};

/// The tiles of the active instruction set.
const GemmKernels& gemm_kernels();

/// Tile shapes of every compiled instruction set, for workspaces that fit them all.
std::span<const TileShape> gemm_tile_shapes();

}  // namespace fornax::host
