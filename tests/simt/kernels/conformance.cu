// The primitives of blocks and warps, one kernel each. Thread t writes out[t], out[t + 64], ...
#include "kernels/device/atomics.cuh"
#include "kernels/device/matrix.cuh"
#include "kernels/device/memory.cuh"
#include "kernels/device/warp.cuh"
#include "tests/simt/kernels/conformance.cuh"

namespace fornax::simt_test {
namespace {

using namespace device;

constexpr int kThreads = 64;
using Arguments = ConformanceArguments;

/// Eight bytes, and a float.
__global__ void wide_shuffles(Arguments p) {
  const int t = thread_index();
  const u64 value = static_cast<u64>(read(p.in + t)) << 32 | read(p.in + t + 64);
  const u64 results[] = {shuffle_xor(value, 16), shuffle_down(value, 5), shuffle_up(value, 2),
                         shuffle(value, 31 - lane_index())};
  for (int i = 0; i < 4; ++i) {
    write(p.out + 128 * i + t, static_cast<std::uint32_t>(results[i]));
    write(p.out + 128 * i + 64 + t, static_cast<std::uint32_t>(results[i] >> 32));
  }
  const float number = shuffle_xor(float_of_bits(read(p.in + t)), 1);
  write(p.out + 512 + t, bits_of_float(number));
}

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
  for (int i = t; i < 128; i += kThreads) write(&shared.rows[i / 4][i % 4], read(p.in + i));
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

enum class Format { bf16, f16, tf32 };

/// `steps` products one after another into the same sums.
template <Format format, int steps>
__global__ void multiply(Arguments p) {
  if (warp_index() != 0) return;
  const int t = thread_index();
  std::uint32_t a[4], b[2];
  float c[4];
  for (int i = 0; i < 4; ++i) c[i] = float_of_bits(read(p.in + 192 + 32 * i + t));
  for (int step = 0; step < steps; ++step) {
    const std::uint32_t* in = p.in + (step == 0 ? 0 : 128 + 192 * step);
    for (int i = 0; i < 4; ++i) a[i] = read(in + 32 * i + t);
    for (int i = 0; i < 2; ++i) b[i] = read(in + 128 + 32 * i + t);
    if constexpr (format == Format::bf16) mma_m16n8k16_bf16(c, a, b);
    if constexpr (format == Format::f16) mma_m16n8k16_f16(c, a, b);
    if constexpr (format == Format::tf32) mma_m16n8k8_tf32(c, a, b);
  }
  for (int i = 0; i < 4; ++i) write(p.out + 32 * i + t, bits_of_float(c[i]));
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
    write(&shared.words[t], read(p.in + t));
    arrive_named(3, kThreads);
    return;
  }
  sync_named(3, kThreads);
  write(p.out + t, read(&shared.words[63 - t]));
}

struct WarpShared {
  SharedArray<std::uint32_t, kThreads> all, half;
};
/// All of a warp, then half of it, passes words on through shared memory.
__global__ void warp_barriers(Arguments p) {
  WarpShared& shared = shared_memory<WarpShared>();
  const int t = thread_index();
  write(&shared.all[t], read(p.in + t));
  sync_warp();
  write(p.out + t + 64, read(&shared.all[t ^ 31]));
  if (lane_index() >= 16) return;
  write(&shared.half[t], read(p.in + t));
  sync_warp(0xffffu);
  write(p.out + t, read(&shared.half[t ^ 15]));
}

}  // namespace

std::span<const Primitive> warp_primitives() {
  static constexpr Primitive all[] = {{"shuffles", shuffles},
                                      {"wide_shuffles", wide_shuffles},
                                      {"votes", votes},
                                      {"load_matrices", load_matrices},
                                      {"mma_bf16", multiply<Format::bf16, 1>},
                                      {"mma_f16", multiply<Format::f16, 1>},
                                      {"mma_tf32", multiply<Format::tf32, 1>},
                                      {"mma_bf16_rounding", multiply<Format::bf16, 4>, true},
                                      {"mma_f16_rounding", multiply<Format::f16, 4>, true},
                                      {"mma_tf32_rounding", multiply<Format::tf32, 4>, true},
                                      {"conversions", conversions},
                                      {"named_barrier", named_barriers},
                                      {"warp_barriers", warp_barriers}};
  return all;
}

void run(const Primitive& primitive, const Queue& queue, const ConformanceArguments& arguments) {
  const Config config{{1}, {kThreads}, 4096, {}, primitive.name};
  launch(queue, primitive.kernel, config, arguments);
}

}  // namespace fornax::simt_test
