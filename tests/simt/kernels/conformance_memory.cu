// The primitives of memory, one kernel each. Thread t writes out[t], out[t + 64], ...
#include "kernels/device/atomics.cuh"
#include "kernels/device/copy_async.cuh"
#include "kernels/device/element.cuh"
#include "kernels/device/warp.cuh"
#include "tests/simt/kernels/conformance.cuh"

namespace fornax::simt_test {
namespace {

using namespace device;

constexpr int kThreads = 64;
using Arguments = ConformanceArguments;

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
  for (int i = 0; i < 4; ++i)
    write(p.out + 4 * t + i, read(&shared.words[kThreads - 1 - t][i]));
  sync_block();
  copy_async<8>(&shared.words[t][0], p.in + 2 * t);
  copy_async_commit();
  copy_async<4>(&shared.words[t][2], p.in + t, t % 2 * 4);
  copy_async_commit();
  copy_async_wait<1>();
  write(p.out + 256 + t, read(&shared.words[t][0]) ^ read(&shared.words[t][1]));
  copy_async_wait<0>();
  write(p.out + 320 + t, read(&shared.words[t][2]));
}

/// Three groups: group i is complete when at most 2 - i are pending. Also 8 bytes of which 4 are
/// valid, and 16 of which none are.
__global__ void copy_groups(Arguments p) {
  CopyShared& shared = shared_memory<CopyShared>();
  const int t = thread_index();
  copy_async<8>(&shared.words[t][0], p.in + 2 * t, 4);
  copy_async_commit();
  copy_async<4>(&shared.words[t][2], p.in + 256 + t);
  copy_async_commit();
  copy_async<4>(&shared.words[t][3], p.in + 320 + t);
  copy_async_commit();
  copy_async_wait<2>();
  write(p.out + t, read(&shared.words[t][0]));
  write(p.out + 64 + t, read(&shared.words[t][1]));
  copy_async_wait<1>();
  write(p.out + 128 + t, read(&shared.words[t][2]));
  copy_async_wait<0>();
  write(p.out + 192 + t, read(&shared.words[t][3]));
  copy_async<16>(&shared.words[t][0], p.in, 0);
  copy_async_commit();
  copy_async_wait<0>();
  std::uint32_t any = 0;
  for (int i = 0; i < 4; ++i) any |= read(&shared.words[t][i]);
  write(p.out + 256 + t, any + 1);
}

/// Vectors of every width, and fours of elements as f32.
__global__ void vectors(Arguments p) {
  const int t = thread_index();
  const uint4 four = read_vector<uint4>(p.in + 4 * t);
  write_vector(p.out + 4 * t, uint4{four.w, four.z, four.y, four.x});
  const uint2 two = read_vector<uint2>(p.in + 2 * t);
  write_vector(p.out + 256 + 2 * t, uint2{two.y, two.x});
  const Four halves = read_four(reinterpret_cast<const bf16*>(p.in + 2 * t));
  write_four(reinterpret_cast<bf16*>(p.out + 384 + 2 * t),
             Four{{halves.v[3], halves.v[2], halves.v[1], halves.v[0]}});
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

/// The same on 64 bits, on int, and in shared memory.
struct AtomicShared {
  SharedArray<std::uint32_t, 8> words;
};
__global__ void more_atomics(Arguments p) {
  AtomicShared& shared = shared_memory<AtomicShared>();
  const int t = thread_index();
  const std::uint32_t value = read(p.in + t);
  if (t < 8) write(&shared.words[t], 0u);
  sync_block();
  const u64 wide = static_cast<u64>(value) << 20 | static_cast<u64>(t);
  atomic_max(reinterpret_cast<u64*>(p.out), wide);
  atomic_exchange(reinterpret_cast<u64*>(p.out + 2), u64{7} << 40);
  atomic_compare_swap(reinterpret_cast<u64*>(p.out + 4), u64{0}, u64{5} << 33);
  atomic_add(reinterpret_cast<int*>(p.out + 6), static_cast<int>(value >> 24) - 128);
  atomic_max(reinterpret_cast<int*>(p.out + 7), static_cast<int>(value));
  atomic_compare_swap(reinterpret_cast<int*>(p.out + 8), 0, -3);
  atomic_add(&shared.words[t % 4], 1u + value % 16);
  atomic_max(&shared.words[4 + t % 4], value);
  sync_block();
  if (t < 8) write(p.out + 16 + t, read(&shared.words[t]));
}

/// Warp 1 writes words and raises a flag, warp 0 polls it: by release and acquire, then by fences
/// around relaxed atomics.
__global__ void publications(Arguments p) {
  const int t = thread_index();
  if (warp_index() == 1) {
    write(p.out + t, read(p.in + t));
    sync_warp();
    if (lane_index() == 0) store_release(p.out + 256, 1u);
    write(p.out + 64 + t, ~read(p.in + t));
    fence_device();
    sync_warp();
    if (lane_index() == 0) atomic_exchange(p.out + 257, 1u);
    return;
  }
  while (load_acquire(p.out + 256) == 0) {
  }
  write(p.out + 128 + t, read(p.out + 32 + t));
  while (atomic_max(p.out + 257, 0u) == 0) {
  }
  fence_device();
  write(p.out + 192 + t, read(p.out + 96 + t));
}

}  // namespace

std::span<const Primitive> memory_primitives() {
  static constexpr Primitive all[] = {{"copy_async", copies},
                                      {"copy_groups", copy_groups},
                                      {"vectors", vectors},
                                      {"atomics", atomics},
                                      {"more_atomics", more_atomics},
                                      {"publications", publications}};
  return all;
}

}  // namespace fornax::simt_test
