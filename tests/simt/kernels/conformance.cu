// One kernel for each primitive. Thread t writes out[t], out[t + 64], ...
#include "kernels/device/atomics.cuh"
#include "kernels/device/copy_async.cuh"
#include "kernels/device/matrix.cuh"
#include "kernels/device/memory.cuh"
#include "kernels/device/warp.cuh"
#include "tests/simt/kernels/conformance.cuh"

namespace fornax::simt_test {
namespace {

using namespace device;

constexpr int kThreads = 64;
using Arguments = ConformanceArguments;

__global__ void shuffles(Arguments p) {
  const int t = thread_index();
  const std::uint32_t value = read(p.in + t);
  write(p.out + t, shuffle_xor(value, 5));
  write(p.out + t + 64, shuffle_down(value, 3));
  write(p.out + t + 128, shuffle_up(value, 9));
  write(p.out + t + 192, shuffle(value, (lane_index() * 7 + 1) % 32));
  if (lane_index() % 2 == 0) write(p.out + t + 256, shuffle_xor(value, 2, 0x55555555u));
}

__global__ void votes(Arguments p) {
  const int t = thread_index();
  const bool odd = read(p.in + t) & 1u;
  write(p.out + t, ballot(odd));
  write(p.out + t + 64, any(odd) ? 1u : 0u);
  write(p.out + t + 128, all(odd) ? 1u : 0u);
  if (lane_index() < 8) write(p.out + t + 192, ballot(odd, 0xffu));
}

struct MatrixShared {
  SharedArray<std::uint32_t, 32, 4> rows;
};
__global__ void load_matrices(Arguments p) {
  MatrixShared& shared = shared_memory<MatrixShared>();
  const int t = thread_index();
  for (int i = t; i < 128; i += kThreads) shared.rows[i / 4][i % 4] = read(p.in + i);
  sync_block();
  if (warp_index() != 0) return;
  std::uint32_t four[4], transposed[4], two[2], two_transposed[2];
  load_matrices_x4(four, &shared.rows[t][0]);
  load_matrices_x4_transposed(transposed, &shared.rows[t][0]);
  load_matrices_x2(two, &shared.rows[t][0]);
  load_matrices_x2_transposed(two_transposed, &shared.rows[t][0]);
  for (int q = 0; q < 4; ++q) {
    write(p.out + 32 * q + t, four[q]);
    write(p.out + 128 + 32 * q + t, transposed[q]);
    write(p.out + 256 + 32 * q + t, q < 2 ? two[q % 2] : two_transposed[q % 2]);
  }
}

template <Primitive primitive>
__global__ void multiply(Arguments p) {
  if (warp_index() != 0) return;
  const int t = thread_index();
  std::uint32_t a[4], b[2];
  float c[4];
  for (int i = 0; i < 4; ++i) a[i] = read(p.in + 32 * i + t);
  for (int i = 0; i < 2; ++i) b[i] = read(p.in + 128 + 32 * i + t);
  for (int i = 0; i < 4; ++i) c[i] = float_of_bits(read(p.in + 192 + 32 * i + t));
  if constexpr (primitive == Primitive::mma_bf16) mma_m16n8k16_bf16(c, a, b);
  if constexpr (primitive == Primitive::mma_f16) mma_m16n8k16_f16(c, a, b);
  if constexpr (primitive == Primitive::mma_tf32) mma_m16n8k8_tf32(c, a, b);
  for (int i = 0; i < 4; ++i) write(p.out + 32 * i + t, bits_of_float(c[i]));
}

struct CopyShared {
  SharedArray<std::uint32_t, kThreads, 4> words;
};
__global__ void copies(Arguments p) {
  CopyShared& shared = shared_memory<CopyShared>();
  const int t = thread_index();
  copy_async<16>(&shared.words[t][0], p.in + 4 * t, t % 5 * 4);
  copy_async_commit();
  copy_async_wait<0>();
  sync_block();
  for (int i = 0; i < 4; ++i) write(p.out + 4 * t + i, shared.words[kThreads - 1 - t][i]);
  sync_block();
  copy_async<8>(&shared.words[t][0], p.in + 2 * t);
  copy_async_commit();
  copy_async<4>(&shared.words[t][2], p.in + t, t % 2 * 4);
  copy_async_commit();
  copy_async_wait<1>();
  write(p.out + 256 + t, shared.words[t][0] ^ shared.words[t][1]);
  copy_async_wait<0>();
  write(p.out + 320 + t, shared.words[t][2]);
}

__global__ void atomics(Arguments p) {
  const int t = thread_index();
  const std::uint32_t value = read(p.in + t);
  atomic_add(p.out, value & 255u);
  atomic_max(p.out + 1, value);
  atomic_min(reinterpret_cast<int*>(p.out + 2), static_cast<int>(value >> 8) - 100);
  atomic_add(reinterpret_cast<u64*>(p.out + 4), static_cast<u64>(value) << 8);
  unsigned seen = load_acquire(p.out + 6);
  for (unsigned old = seen; (old = atomic_compare_swap(p.out + 6, seen, seen + 3)) != seen;)
    seen = old;
  sync_block();
  if (t == 0) store_release(p.out + 7, atomic_exchange(p.out + 8, 5u) + 9u);
}

__global__ void conversions(Arguments p) {
  const int t = thread_index();
  const float value = float_of_bits(read(p.in + t));
  write(p.out + t, static_cast<std::uint32_t>(to_bf16(value).bits));
  write(p.out + t + 64, static_cast<std::uint32_t>(to_f16(value).bits));
  write(p.out + t + 128, to_tf32(value));
  const auto half = static_cast<std::uint16_t>(read(p.in + t + 64));
  write(p.out + t + 192, bits_of_float(to_float(f16{half})));
  write(p.out + t + 256, bits_of_float(to_float(bf16{half})));
}

struct NamedShared {
  SharedArray<std::uint32_t, kThreads> words;
};
__global__ void named_barriers(Arguments p) {
  NamedShared& shared = shared_memory<NamedShared>();
  const int t = thread_index();
  if (warp_index() == 1) {
    shared.words[t] = read(p.in + t);
    arrive_named(3, kThreads);
    return;
  }
  sync_named(3, kThreads);
  write(p.out + t, shared.words[63 - t]);
}

}  // namespace

void run(Primitive primitive, const Queue& queue, const ConformanceArguments& arguments) {
  using Kernel = void (*)(Arguments);
  constexpr Kernel kernels[] = {shuffles,
                                votes,
                                load_matrices,
                                multiply<Primitive::mma_bf16>,
                                multiply<Primitive::mma_f16>,
                                multiply<Primitive::mma_tf32>,
                                copies,
                                atomics,
                                conversions,
                                named_barriers};
  const Config config{{1}, {kThreads}, sizeof(CopyShared)};
  launch(queue, kernels[static_cast<int>(primitive)], config, arguments);
}

}  // namespace fornax::simt_test
