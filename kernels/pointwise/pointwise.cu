// Elementwise arithmetic, fill and cast on CUDA. Bound by memory.
#include "kernels/device/element.cuh"
#include "kernels/device/launch.cuh"
#include "kernels/launch_plan.h"
#include "kernels/pointwise/cast.cuh"
#include "kernels/pointwise/pointwise_walk.h"

namespace fornax::kernels {
namespace {

using namespace fornax::device;

constexpr int kBlock = 256;

/// Operand k is in[k] by the walk's strides, or the number where in[k] is null.
template <class E>
struct PointwiseTask {
  StridedWalk<3> walk;
  const E* in[3];
  E* out;
  std::int64_t count;
  float number;
  Pointwise function;
};

/// Operands of any strides: one element a thread at a time.
template <class E, class Index>
__global__ void pointwise_strided(PointwiseTask<E> t) {
  for (std::int64_t i = grid_thread(); i < t.count; i += grid_threads()) {
    std::int64_t offset[3];
    t.walk.element_offsets(static_cast<Index>(i), offset);
    float v[3];
    for (int k = 0; k < 3; ++k) v[k] = t.in[k] ? read_element(t.in[k] + offset[k]) : t.number;
    write_element(t.out + i, numeric::pointwise(t.function, v[0], v[1], v[2]));
  }
}

/// Four elements of operand k from `offset` on, or one for all four.
template <class E>
FORNAX_DEVICE Four strided_four(const PointwiseTask<E>& t, int k, std::int64_t offset) {
  float one = t.number;
  if (t.in[k]) {
    if (t.walk.stride[k][t.walk.rank - 1] != 0) return read_four(t.in[k] + offset);
    one = read_element(t.in[k] + offset);
  }
  return {{one, one, one, one}};
}

/// The same for a walk of fours (count_in_fours).
template <class E, class Index>
__global__ void pointwise_strided_fours(PointwiseTask<E> t) {
  for (std::int64_t i = grid_thread(); i < t.count / 4; i += grid_threads()) {
    std::int64_t offset[3];
    t.walk.element_offsets(static_cast<Index>(i), offset);
    const Four a = strided_four(t, 0, offset[0]), b = strided_four(t, 1, offset[1]);
    const Four c = strided_four(t, 2, offset[2]);
    Four y;
    for (int j = 0; j < 4; ++j) y.v[j] = numeric::pointwise(t.function, a.v[j], b.v[j], c.v[j]);
    write_four(t.out + 4 * i, y);
  }
}

/// Row-major operands of the output's shape: operand k at element i.
template <class E>
FORNAX_DEVICE Four operand_four(const PointwiseTask<E>& t, int k, std::int64_t i) {
  if (t.in[k]) return read_four(t.in[k] + i);
  return {{t.number, t.number, t.number, t.number}};
}
template <class E>
FORNAX_DEVICE float operand(const PointwiseTask<E>& t, int k, std::int64_t i) {
  return t.in[k] ? read_element(t.in[k] + i) : t.number;
}

/// Four elements a thread at a time; all operands aligned to four.
template <class E>
__global__ void pointwise_fours(PointwiseTask<E> t) {
  const std::int64_t whole = t.count / 4 * 4;
  for (std::int64_t i = 4 * grid_thread(); i < whole; i += 4 * grid_threads()) {
    const Four a = operand_four(t, 0, i), b = operand_four(t, 1, i), c = operand_four(t, 2, i);
    Four y;
    for (int j = 0; j < 4; ++j) y.v[j] = numeric::pointwise(t.function, a.v[j], b.v[j], c.v[j]);
    write_four(t.out + i, y);
  }
  const std::int64_t last = whole + grid_thread();
  if (last < t.count)
    write_element(t.out + last, numeric::pointwise(t.function, operand(t, 0, last),
                                                   operand(t, 1, last), operand(t, 2, last)));
}

Offer offer_elements(const Signature& s, const DeviceModel&) {
  if (has_element(s.out[0].dtype)) return {};
  return {.refusal =
              "pointwise_fours: f32, bf16 or f16 needed, got " + std::string(name(s.out[0].dtype))};
}

/// Makes the last axis one of fours where every operand goes along it or stays, by whole fours.
template <class E>
bool count_in_fours(PointwiseTask<E>& t) {
  const int last = t.walk.rank - 1;
  bool fours = t.walk.extent[last] % 4 == 0 && aligned_to_four(t.out);
  for (int k = 0; k < 3; ++k) {
    if (!t.in[k] || t.walk.stride[k][last] == 0) continue;
    fours = fours && t.walk.stride[k][last] == 1 && aligned_to_four(t.in[k]);
    for (int axis = 0; axis < last; ++axis) fours = fours && t.walk.stride[k][axis] % 4 == 0;
  }
  if (!fours) return false;
  t.walk.extent[last] /= 4;
  for (int k = 0; k < 3; ++k) t.walk.stride[k][last] *= 4;
  return true;
}

template <class E>
void run_pointwise(Pointwise function, const KernelArgs& args) {
  const PointwiseWalk walk = pointwise_walk(args);
  PointwiseTask<E> t{};
  t.walk = walk.axes;
  t.out = args.out[0].as<E>(), t.count = args.out[0].elements();
  t.number = static_cast<float>(walk.scalar), t.function = function;
  bool row_major = walk.axes.rank == 1 && aligned_to_four(t.out);
  for (int k = 0; k < operand_count(function); ++k) {
    if (k == walk.scalar_operand) continue;
    t.in[k] = args.in[static_cast<std::size_t>(k)].as<E>();
    row_major = row_major && walk.last_stride(k) == 1 && aligned_to_four(t.in[k]);
  }
  if (t.count == 0) return;
  Config config;
  config.block = {kBlock, 1, 1};
  const bool small = t.count <= INT32_MAX;
  if (row_major || count_in_fours(t)) {
    config.grid = blocks_for((t.count + 3) / 4, kBlock);
    config.name = row_major ? "pointwise_fours" : "pointwise_strided_fours";
    if (row_major) return launch(args.queue, pointwise_fours<E>, config, t);
    if (small) return launch(args.queue, pointwise_strided_fours<E, std::uint32_t>, config, t);
    return launch(args.queue, pointwise_strided_fours<E, std::uint64_t>, config, t);
  }
  config.grid = blocks_for(t.count, kBlock);
  config.name = "pointwise_strided";
  if (small) return launch(args.queue, pointwise_strided<E, std::uint32_t>, config, t);
  launch(args.queue, pointwise_strided<E, std::uint64_t>, config, t);
}

template <int function>
void launch_pointwise(const KernelArgs& args) {
  with_element(args.out[0].type->dtype,
               [&]<class E>(E) { run_pointwise<E>(static_cast<Pointwise>(function), args); });
}

template <int... i>
std::span<const Kernel> all_kernels(std::integer_sequence<int, i...>) {
  static const Kernel kernels[] = {Kernel{kPointwiseNames[i], "pointwise_fours", offer_elements,
                                          nullptr, launch_pointwise<i>}...,
                                   fill_cuda_kernel(), cast_cuda_kernel()};
  return kernels;
}

}  // namespace

std::span<const Kernel> pointwise_cuda_kernels() {
  return all_kernels(std::make_integer_sequence<int, kPointwiseCount>());
}

}  // namespace fornax::kernels
