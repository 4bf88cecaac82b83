// The matrix product whose every output is one fma chain in order of k, so that its f32 bits are
// those of the reference. Register tiles over shared tiles (Volkov, Demmel 2008,
// doi:10.1109/SC.2008.5214359); only the order of each sum is our own. Bound by the fma units.
#include "kernels/device/element.cuh"
#include "kernels/device/launch.cuh"
#include "kernels/device/shared.cuh"
#include "kernels/device/warp.cuh"
#include "kernels/linear/linear_finish.cuh"

namespace fornax::kernels {
namespace {

using namespace fornax::device;

constexpr int kDepth = 16;  ///< of a shared tile, in k
constexpr int kSide = 16;   ///< a block is kSide x kSide threads along x
constexpr int kBlock = kSide * kSide;

/// Tiles of 16 T x 16 T outputs, T x T a thread; rows of shared memory are padded by 16 bytes.
template <int T>
struct Tiles {
  static constexpr int kTile = kSide * T, kRow = kTile + 4, kOperand = kDepth * kRow;
  /// Two stages of a and b; afterwards 64 rows of finished outputs.
  SharedArray<float, 4 * kOperand> words;
};

/// This thread's share of the next shared tile of one operand.
template <int T>
struct Staged {
  float v[T];
};

/// Where this thread's element j of an operand lies in the tile. Along k, a warp takes sectors of
/// 32 bytes; of f32 those are 4 rows of 8, whose stores then reach all banks.
template <bool by_k, int T, class E>
struct Place {
  int row, at;
  FORNAX_DEVICE explicit Place(int j) {
    constexpr int kTile = kSide * T, kAcross = 32 / sizeof(E) < kDepth ? 32 / sizeof(E) : kDepth;
    const int e = thread_index() + j * kBlock;
    row = by_k ? e / kAcross % kTile : e % kTile;
    at = by_k ? e / (kAcross * kTile) * kAcross + e % kAcross : e / kTile;
  }
};

/// Elements of the tile at k; 0 outside.
template <bool by_k, int T, class E>
FORNAX_DEVICE void fetch(Staged<T>& to, const TileSide<E>& side, std::int64_t k, std::int64_t end) {
  for (int j = 0; j < T; ++j) {
    const Place<by_k, T, E> place(j);
    const std::int64_t row = side.first + place.row, at = k + place.at;
    to.v[j] = 0;
    if (row < side.extent && at < end)
      to.v[j] = read_element(side.x + (by_k ? row * side.ld + at : at * side.ld + row));
  }
}
template <bool by_k, class E, int T>
FORNAX_DEVICE void put(float* tile, const Staged<T>& from) {
  for (int j = 0; j < T; ++j) {
    const Place<by_k, T, E> place(j);
    write(tile + place.at * Tiles<T>::kRow + place.row, from.v[j]);
  }
}

/// One step of k: rows 4 y .. 4 y + 3 of every 64, columns alike with x.
template <int T>
FORNAX_DEVICE void multiply_step(const float* a, const float* b, float (&acc)[T][T]) {
  const int x = thread_index() % kSide, y = thread_index() / kSide;
  float row[T], column[T];
  for (int g = 0; g < T / 4; ++g) {
    const float4 u = read4(a + g * 64 + 4 * y), v = read4(b + g * 64 + 4 * x);
    row[4 * g] = u.x, row[4 * g + 1] = u.y, row[4 * g + 2] = u.z, row[4 * g + 3] = u.w;
    column[4 * g] = v.x, column[4 * g + 1] = v.y, column[4 * g + 2] = v.z, column[4 * g + 3] = v.w;
  }
#pragma unroll
  for (int i = 0; i < T; ++i)
#pragma unroll
    for (int j = 0; j < T; ++j) acc[i][j] = numeric::fma(row[i], column[j], acc[i][j]);
}

/// Through shared memory, 64 rows at a time, so that global accesses are coalesced.
template <int T, class E>
FORNAX_DEVICE void store_tile(const TileProduct<E>& p, float* words, const float (&acc)[T][T],
                              std::int64_t m, std::int64_t n) {
  const int x = thread_index() % kSide, y = thread_index() / kSide;
  constexpr int kTile = Tiles<T>::kTile, kRow = Tiles<T>::kRow;
#pragma unroll
  for (int half = 0; half < T / 4; ++half) {
    sync_block();
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int g = 0; g < T / 4; ++g) {
        const float* v = acc[4 * half + i] + 4 * g;
        write4(words + (4 * y + i) * kRow + g * 64 + 4 * x, float4{v[0], v[1], v[2], v[3]});
      }
    sync_block();
#pragma unroll 1
    for (int e = thread_index(); e < 64 * kTile; e += kBlock) {
      const std::int64_t row = m + 64 * half + e / kTile, column = n + e % kTile;
      if (row < p.M && column < p.N)
        finish_output(p, row, column, read(words + e / kTile * kRow + e % kTile));
    }
  }
}

/// A block owns a tile of c (grid x: columns, y: rows) and a chunk of k (z). 256 threads along x.
template <class E, bool a_by_k, bool b_by_k, int T>
__global__ void __launch_bounds__(kBlock, T == 4 ? 2 : 1) linear_exact(TileProduct<E> p) {
  using Layout = Tiles<T>;
  float* words = &shared_memory<Layout>().words[0];
  const std::int64_t m = std::int64_t{blockIdx.y} * Layout::kTile;
  const std::int64_t n = std::int64_t{blockIdx.x} * Layout::kTile;
  const std::int64_t begin = (p.first_chunk + blockIdx.z) * p.chunk;
  const std::int64_t end = begin + p.chunk < p.K ? begin + p.chunk : p.K;
  const TileSide<E> side_a{p.a, p.lda, m, p.M}, side_b{p.b, p.ldb, n, p.N};
  float acc[T][T] = {};
  Staged<T> a, b;
  fetch<a_by_k>(a, side_a, begin, end);
  fetch<b_by_k>(b, side_b, begin, end);
  int stage = 0;
  for (std::int64_t k = begin; k < end; k += kDepth, stage ^= 1) {
    float* at = words + stage * 2 * Layout::kOperand;
    put<a_by_k, E>(at, a);
    put<b_by_k, E>(at + Layout::kOperand, b);
    sync_block();
    if (k + kDepth < end) {
      fetch<a_by_k>(a, side_a, k + kDepth, end);
      fetch<b_by_k>(b, side_b, k + kDepth, end);
    }
    if (end - k >= kDepth) {
#pragma unroll
      for (int i = 0; i < kDepth; ++i)
        multiply_step<T>(at + i * Layout::kRow, at + Layout::kOperand + i * Layout::kRow, acc);
    } else {  // no step beyond K: fma(0, 0, -0) would be +0
      for (int i = 0; i < end - k; ++i)
        multiply_step<T>(at + i * Layout::kRow, at + Layout::kOperand + i * Layout::kRow, acc);
    }
  }
  store_tile<T>(p, words, acc, m, n);
}

template <int T, class E>
void launch_tiles(const Queue& queue, TileLayout layout, const TileProduct<E>& p,
                  std::int64_t chunks) {
  constexpr std::int64_t kTile = Tiles<T>::kTile;
  Config config;
  config.grid = {static_cast<unsigned>((p.N + kTile - 1) / kTile),
                 static_cast<unsigned>((p.M + kTile - 1) / kTile), static_cast<unsigned>(chunks)};
  config.block = {kBlock, 1, 1};
  config.shared_bytes = sizeof(Tiles<T>);
  config.name = T == 8 ? "linear_exact_128x128" : "linear_exact_64x64";
  if (layout == TileLayout::forward)
    return launch(queue, linear_exact<E, true, true, T>, config, p);
  if (layout == TileLayout::dgrad) return launch(queue, linear_exact<E, true, false, T>, config, p);
  launch(queue, linear_exact<E, false, false, T>, config, p);
}

}  // namespace

template <class E>
void exact_product(const Queue& queue, TileLayout layout, const TileProduct<E>& p,
                   std::int64_t chunks) {
  if (p.M == 0 || p.N == 0 || chunks == 0) return;
  if constexpr (std::is_same_v<E, float>) {
    // Large tiles where they fill a GPU; the bits are the same.
    const std::int64_t blocks = (p.M + 127) / 128 * ((p.N + 127) / 128) * chunks;
    if (blocks >= 128) return launch_tiles<8>(queue, layout, p, chunks);
  }
  launch_tiles<4>(queue, layout, p, chunks);
}

template void exact_product(const Queue&, TileLayout, const TileProduct<float>&, std::int64_t);
template void exact_product(const Queue&, TileLayout, const TileProduct<bf16>&, std::int64_t);
template void exact_product(const Queue&, TileLayout, const TileProduct<f16>&, std::int64_t);

}  // namespace fornax::kernels
