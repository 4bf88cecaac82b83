// The matrix product of bf16 and f16 on tensor cores: a ring of shared stages filled by cp.async,
// ldmatrix, mma m16n8k16 with f32 sums. Right on an H100; it was not timed there.
#include "kernels/device/copy_async.cuh"
#include "kernels/device/launch.cuh"
#include "kernels/device/matrix.cuh"
#include "kernels/device/shared.cuh"
#include "kernels/device/warp.cuh"
#include "kernels/linear/linear_finish.cuh"

namespace fornax::kernels {
namespace {

using namespace fornax::device;

// A block of 4 warps makes 128 x 64 outputs, a warp 64 x 32; three stages stay below 48 KiB.
constexpr int kRows = 128, kColumns = 64, kDepth = 32, kStages = 3, kBlock = 128;
constexpr int kOutputPitch = kColumns + 8;  ///< 4 rows of 4 float2 lie in 32 banks

/// A stage of one operand: [tile, kDepth + 8] when it runs along k, else [kDepth, tile + 8]. The
/// pad of 16 bytes puts the 8 rows of a matrix into different banks.
template <bool by_k, int tile>
struct Operand {
  static constexpr int kPitch = (by_k ? kDepth : tile) + 8;
  static constexpr int kElements = (by_k ? tile : kDepth) * kPitch;

  template <class E>
  FORNAX_DEVICE static void load(E* stage, const TileSide<E>& side, std::int64_t k,
                                 std::int64_t end) {
    constexpr int kPieces = (by_k ? kDepth : tile) / 8;
    for (int i = thread_index(); i < tile * kDepth / 8; i += kBlock) {
      // Along k, 8 lanes write to lines l and l + 4, which lie in different banks.
      const int n = i / kPieces, line = by_k ? n / 8 * 8 + n % 2 * 4 + n % 8 / 2 : n;
      const int piece = i % kPieces * 8;
      const std::int64_t row = side.first + (by_k ? line : piece), at = k + (by_k ? piece : line);
      const bool inside = row < side.extent && at < end;
      const std::int64_t offset = by_k ? row * side.ld + at : at * side.ld + row;
      copy_async<16>(stage + line * kPitch + piece, side.x + (inside ? offset : 0),
                     inside ? 16 : 0);
    }
  }
  /// The 16 x 16 part of a at (row, k).
  template <class E>
  FORNAX_DEVICE static void fragment_a(std::uint32_t (&a)[4], const E* stage, int row, int k) {
    const int lane = lane_index();
    if constexpr (by_k)
      load_matrices_x4(a, stage + (row + lane % 16) * kPitch + k + lane / 16 * 8);
    else
      load_matrices_x4_transposed(
          a, stage + (k + lane / 16 * 8 + lane % 8) * kPitch + row + lane / 8 % 2 * 8);
  }
  /// Two 16 x 8 parts of b at (k, column) and (k, column + 8).
  template <class E>
  FORNAX_DEVICE static void fragment_b(std::uint32_t (&b)[4], const E* stage, int column, int k) {
    const int lane = lane_index();
    if constexpr (by_k)
      load_matrices_x4(b,
                       stage + (column + lane % 8 + lane / 16 * 8) * kPitch + k + lane / 8 % 2 * 8);
    else
      load_matrices_x4_transposed(
          b, stage + (k + lane % 8 + lane / 8 % 2 * 8) * kPitch + column + lane / 16 * 8);
  }
};

template <bool a_by_k, bool b_by_k>
struct Stages {
  using A = Operand<a_by_k, kRows>;
  using B = Operand<b_by_k, kColumns>;
  static constexpr int kStage = A::kElements + B::kElements;
  static constexpr int kRing = kStages * kStage / 2, kOutputs = kRows * kOutputPitch;
  /// The ring; afterwards the f32 outputs.
  SharedArray<float, (kRing > kOutputs ? kRing : kOutputs)> words;
};

template <class E>
FORNAX_DEVICE void multiply(float (&c)[4], const std::uint32_t (&a)[4],
                            const std::uint32_t (&b)[2]) {
  if constexpr (std::is_same_v<E, bf16>)
    mma_m16n8k16_bf16(c, a, b);
  else
    mma_m16n8k16_f16(c, a, b);
}

template <class E, class S>
FORNAX_DEVICE void multiply_stage(float (&sum)[4][4][4], const E* stage) {
  const int row = warp_index() % 2 * 64, column = warp_index() / 2 * 32;
#pragma unroll
  for (int k = 0; k < kDepth; k += 16) {
    std::uint32_t a[4][4], b[2][4];
#pragma unroll
    for (int i = 0; i < 4; ++i) S::A::fragment_a(a[i], stage, row + 16 * i, k);
#pragma unroll
    for (int j = 0; j < 2; ++j) S::B::fragment_b(b[j], stage + S::A::kElements, column + 16 * j, k);
#pragma unroll
    for (int i = 0; i < 16; ++i) {
      const std::uint32_t(&pair)[4] = b[i % 4 / 2];
      multiply<E>(sum[i / 4][i % 4], a[i / 4], {pair[i % 2 * 2], pair[i % 2 * 2 + 1]});
    }
  }
}

/// Lane holds rows lane / 4 and + 8, columns 2 (lane % 4) and + 1 of each 16 x 8 part; the outputs
/// pass through shared memory, so that global accesses are coalesced.
template <class E>
FORNAX_DEVICE void store_outputs(const TileProduct<E>& p, float* words, const float (&sum)[4][4][4],
                                 std::int64_t m, std::int64_t n) {
  const int row = warp_index() % 2 * 64 + lane_index() / 4;
  const int column = warp_index() / 2 * 32 + lane_index() % 4 * 2;
  sync_block();
#pragma unroll
  for (int i = 0; i < 16; ++i) {
    const float(&part)[4] = sum[i / 4][i % 4];
    float* at = words + (row + i / 4 * 16) * kOutputPitch + column + i % 4 * 8;
    write_vector(at, float2{part[0], part[1]});
    write_vector(at + 8 * kOutputPitch, float2{part[2], part[3]});
  }
  sync_block();
  finish_tile<kRows, kColumns, kOutputPitch, kBlock>(p, words, m, n);
}

/// A block owns a tile of c (grid x: columns, y: rows) and a chunk of k (z). 128 threads along x.
template <class E, bool a_by_k, bool b_by_k>
__global__ void __launch_bounds__(kBlock, 2) linear_mma(TileProduct<E> p) {
  using S = Stages<a_by_k, b_by_k>;
  float* words = &shared_memory<S>().words[0];
  E* ring = reinterpret_cast<E*>(words);
  const std::int64_t m = std::int64_t{blockIdx.y} * kRows, n = std::int64_t{blockIdx.x} * kColumns;
  const std::int64_t begin = (p.first_chunk + blockIdx.z) * p.chunk;
  const std::int64_t end = begin + p.chunk < p.K ? begin + p.chunk : p.K;
  const int steps = static_cast<int>((end - begin + kDepth - 1) / kDepth);
  const TileSide<E> a{p.a, p.lda, m, p.M}, b{p.b, p.ldb, n, p.N};
  const auto load = [&](int step) {
    if (step < steps) {
      E* stage = ring + step % kStages * S::kStage;
      const std::int64_t k = begin + std::int64_t{step} * kDepth;
      S::A::load(stage, a, k, end);
      S::B::load(stage + S::A::kElements, b, k, end);
    }
    copy_async_commit();  // an empty group at the end keeps the count
  };
  for (int step = 0; step < kStages - 1; ++step) load(step);
  float sum[4][4][4] = {};
  for (int step = 0; step < steps; ++step) {
    copy_async_wait<kStages - 2>();
    sync_block();
    load(step + kStages - 1);
    multiply_stage<E, S>(sum, ring + step % kStages * S::kStage);
  }
  copy_async_wait<0>();
  store_outputs(p, words, sum, m, n);
}

}  // namespace

template <class E>
void mma_product(const Queue& queue, TileLayout layout, const TileProduct<E>& p,
                 std::int64_t chunks) {
  if (p.M == 0 || p.N == 0 || chunks == 0) return;
  Config config;
  config.grid = {static_cast<unsigned>((p.N + kColumns - 1) / kColumns),
                 static_cast<unsigned>((p.M + kRows - 1) / kRows), static_cast<unsigned>(chunks)};
  config.block = {kBlock, 1, 1};
  config.name = "linear_mma_128x64";
  if (layout == TileLayout::forward) {
    config.shared_bytes = sizeof(Stages<true, true>);
    return launch(queue, linear_mma<E, true, true>, config, p);
  }
  if (layout == TileLayout::dgrad) {
    config.shared_bytes = sizeof(Stages<true, false>);
    return launch(queue, linear_mma<E, true, false>, config, p);
  }
  config.shared_bytes = sizeof(Stages<false, false>);
  launch(queue, linear_mma<E, false, false>, config, p);
}

template void mma_product(const Queue&, TileLayout, const TileProduct<bf16>&, std::int64_t);
template void mma_product(const Queue&, TileLayout, const TileProduct<f16>&, std::int64_t);

}  // namespace fornax::kernels
