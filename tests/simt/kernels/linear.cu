// y = x w^T + bias. One block makes a 64x64 tile of y: 2 warps of 32x64, a ring of 3 stages of
// 64x32 of x and of w filled by cp.async, ldmatrix, mma m16n8k16.
// Launch: grid (ceil n/64, ceil m/64), 64 threads, so that TSan has a place for every thread of two
// blocks (docs/simt.md).
#include "kernels/device/copy_async.cuh"
#include "kernels/device/matrix.cuh"
#include "kernels/device/memory.cuh"
#include "kernels/device/warp.cuh"
#include "tests/simt/kernels/linear.cuh"

namespace fornax::simt_test {
namespace {

using namespace device;

constexpr int kTile = 64, kDepth = 32, kStages = 3, kThreads = 64;
constexpr int kPitch = kDepth + 8;  // 80 bytes: the 8 rows of a matrix lie in 8 different banks

struct Shared {
  SharedArray<bf16, kStages, kTile, kPitch> x, w;
};
using Stage = bf16[kTile][kPitch];

struct Source {
  const bf16* matrix;
  int row0, rows, k;
};

// One 64x32 stage of a row-major matrix; what lies outside it becomes 0.
template <LinearFault fault>
FORNAX_DEVICE void load_stage(Stage& stage, const Source& from, int column0) {
  for (int i = thread_index(); i < kTile * kDepth / 8; i += kThreads) {
    const int row = i / 4, column = i % 4 * 8;
    const int from_row = from.row0 + row, from_column = column0 + column;
    const bool inside = from_row < from.rows || fault == LinearFault::unguarded_rows;
    const int valid = inside && from_column < from.k ? 16 : 0;
    const std::int64_t offset = static_cast<std::int64_t>(from_row) * from.k + from_column;
    const int shift = fault == LinearFault::misaligned_copy ? 1 : 0;
    copy_async<16>(&stage[row][column], valid ? from.matrix + offset + shift : from.matrix, valid);
  }
}

FORNAX_DEVICE void multiply_stage(float (&sum)[2][8][4], Stage& x, Stage& w, int warp, int lane) {
  const int row0 = warp * 32;
#pragma unroll
  for (int k = 0; k < kDepth; k += 16) {
    std::uint32_t a[2][4], b[4][4];  // b[j]: columns 16 j .. + 7 in [0], [1], + 8 .. 15 in [2], [3]
#pragma unroll
    for (int i = 0; i < 2; ++i)
      load_matrices_x4(a[i], &x[row0 + i * 16 + lane % 16][k + lane / 16 * 8]);
#pragma unroll
    for (int j = 0; j < 4; ++j)
      load_matrices_x4(b[j], &w[j * 16 + lane % 8 + lane / 16 * 8][k + lane / 8 % 2 * 8]);
#pragma unroll
    for (int i = 0; i < 16; ++i) {
      const std::uint32_t(&pair)[4] = b[i % 8 / 2];
      mma_m16n8k16_bf16(sum[i / 8][i % 8], a[i / 8], {pair[i % 2 * 2], pair[i % 2 * 2 + 1]});
    }
  }
}

// Lane holds rows lane / 4 and + 8, columns 2 (lane % 4) and + 1 of each 16x8 part.
template <LinearFault fault>
FORNAX_DEVICE void store_tile(const float (&sum)[2][8][4], const LinearArguments& p, int row0,
                              int column0) {
#pragma unroll
  for (int i = 0; i < 64; ++i) {
    const int r = i % 4;
    const int row = row0 + i / 32 * 16 + lane_index() / 4 + r / 2 * 8;
    const int column = column0 + i / 4 % 8 * 8 + lane_index() % 4 * 2 + r % 2;
    const bool outside = row >= p.m || column >= p.n;
    if (outside && fault != LinearFault::unguarded_store) continue;
    const float bias = column < p.n ? read(p.bias + column) : 0.0f;
    write(p.y + static_cast<std::int64_t>(row) * p.n + column,
          to_bf16(sum[i / 32][i / 4 % 8][r] + bias));
  }
}

template <LinearFault fault>
__global__ void __launch_bounds__(kThreads) linear_kernel(LinearArguments p) {
  Shared& shared = shared_memory<Shared>();
  const int warp = warp_index(), lane = lane_index();
  const int tile_row = static_cast<int>(blockIdx.y) * kTile, tile_column = block_index() * kTile;
  const int steps = (p.k + kDepth - 1) / kDepth;
  const Source x{p.x, tile_row, p.m, p.k}, w{p.w, tile_column, p.n, p.k};
  const auto load = [&](int step) {
    if (step < steps) {
      load_stage<fault>(shared.x[step % kStages], x, step * kDepth);
      load_stage<fault>(shared.w[step % kStages], w, step * kDepth);
    }
    copy_async_commit();  // an empty group at the end keeps the count
  };
  for (int step = 0; step < kStages - 1; ++step) load(step);

  float sum[2][8][4] = {};
  for (int step = 0; step < steps; ++step) {
    if constexpr (fault == LinearFault::late_wait)
      copy_async_wait<kStages - 1>();
    else if constexpr (fault != LinearFault::no_wait)
      copy_async_wait<kStages - 2>();
    if constexpr (fault == LinearFault::load_before_barrier) load(step + kStages - 1);
    if constexpr (fault != LinearFault::no_barrier) sync_block();
    if constexpr (fault != LinearFault::load_before_barrier) load(step + kStages - 1);
    multiply_stage(sum, shared.x[step % kStages], shared.w[step % kStages], warp, lane);
    if constexpr (fault == LinearFault::divergent_barrier)
      if (warp == 0) sync_block();
  }
  store_tile<fault>(sum, p, tile_row + warp * 32, tile_column);
  if constexpr (fault == LinearFault::blocks_share_element)
    if (threadIdx.x == 0) p.y[0] = p.y[1];
}

}  // namespace

template <LinearFault fault>
void linear(const Queue& queue, const LinearArguments& p) {
  const auto tiles = [](int extent) { return static_cast<unsigned>((extent + kTile - 1) / kTile); };
  const Config config{{tiles(p.n), tiles(p.m)}, {kThreads}, sizeof(Shared)};
  launch(queue, linear_kernel<fault>, config, p);
}

template void linear<LinearFault::none>(const Queue&, const LinearArguments&);
#if FORNAX_TWIN
template void linear<LinearFault::no_wait>(const Queue&, const LinearArguments&);
template void linear<LinearFault::late_wait>(const Queue&, const LinearArguments&);
template void linear<LinearFault::no_barrier>(const Queue&, const LinearArguments&);
template void linear<LinearFault::load_before_barrier>(const Queue&, const LinearArguments&);
template void linear<LinearFault::divergent_barrier>(const Queue&, const LinearArguments&);
template void linear<LinearFault::unguarded_rows>(const Queue&, const LinearArguments&);
template void linear<LinearFault::unguarded_store>(const Queue&, const LinearArguments&);
template void linear<LinearFault::blocks_share_element>(const Queue&, const LinearArguments&);
template void linear<LinearFault::misaligned_copy>(const Queue&, const LinearArguments&);
#endif

}  // namespace fornax::simt_test
