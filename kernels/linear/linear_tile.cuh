// The exact matrix product of the CUDA backend and what happens to its tiles.
#pragma once
#include "kernels/activation/activation_kind.h"
#include "kernels/device/launch_table.h"
#include "kernels/op.h"

namespace fornax::kernels {

/// c[m, n] = sum over k of a[m, k] b[n, k]. a_by_k: element (m, k) is a[m lda + k], else
/// a[k lda + m]; b alike. K is cut into chunks; with one chunk the epilogue follows.
template <class E>
struct TileProduct {
  const E *a, *b;
  std::int64_t lda, ldb;
  std::int64_t M, N, K;
  std::int64_t chunk;        ///< elements of k of one chain; the grid's z counts chunks
  std::int64_t first_chunk;  ///< of this launch
  float* partial;            ///< [chunks, M, N]: takes the chains; null: the epilogue runs
  E* c;                      ///< [M, N]
  const E* bias;             ///< [N] or null
  E* before;                 ///< [M, N] or null: takes the value before the activation
  const E* saved;            ///< [M, N] or null: multiply by the activation's gradient there
  Activation activation;
  bool whole_fours;  ///< rows of all of these are whole fours, aligned to them
};

/// One operand as a tile sees it: rows [first, extent).
template <class E>
struct TileSide {
  const E* x;
  std::int64_t ld, first, extent;
};

enum class TileLayout { forward, dgrad, wgrad };  ///< a and b: both by k; only a; neither

/// Outputs of a block of the exact product; `best`: as many as suit the extents.
enum class Tile { best, of_128x64, of_64x64, of_32x64, of_16x32 };

/// Launches it over `chunks` chunks. E is float, bf16 or f16, whose tile is always 64 x 64; a tile
/// of 128 x 64 needs whole_rows().
template <class E>
void exact_product(const device::Queue& queue, TileLayout layout, const TileProduct<E>& product,
                   std::int64_t chunks, Tile tile);

/// The same on tensor cores, f32 accumulation. E is bf16 or f16. Needs whole_rows().
template <class E>
void mma_product(const device::Queue& queue, TileLayout layout, const TileProduct<E>& product,
                 std::int64_t chunks);

/// Rows of a and b begin at multiples of 16 bytes.
template <class E>
bool whole_rows(const TileProduct<E>& p) {
  const auto whole = [](const E* x, std::int64_t ld) {
    return ld * sizeof(E) % 16 == 0 && reinterpret_cast<std::uintptr_t>(x) % 16 == 0;
  };
  return whole(p.a, p.lda) && whole(p.b, p.ldb);
}

}  // namespace fornax::kernels
