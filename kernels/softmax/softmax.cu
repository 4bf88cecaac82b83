// softmax, log_softmax and their gradients on CUDA: one warp a row, read again
// from the caches. Bound by bytes: 8 an element (12 for the gradients).
#include "kernels/device/launch.cuh"
#include "kernels/launch_plan.h"
#include "kernels/numeric/numeric.h"
#include "kernels/offer.h"
#include "kernels/softmax/row.cuh"
#include "kernels/softmax/softmax_row.h"

namespace fornax::kernels {
namespace {

using namespace fornax::device;

constexpr int kBlock = 128;

/// a: x or dy; y: of the gradients. `aligned`: every row of every operand
/// starts at 16 bytes.
struct SoftmaxRows {
  const float *a, *y;
  float* out;
  std::int64_t rows, width;
  bool aligned;
};

/// out = map(a, y) over the row that starts at `first`.
template <class Map>
FORNAX_DEVICE void map_row(const SoftmaxRows& t, std::int64_t first, const Map& map) {
  sync_warp();  // out may be a: no lane writes before all have read
  for_fours(0, t.width, [&](std::int64_t i, int valid) {
    Four v = read_up_to_four(t.a + first + i, valid, t.aligned);
    const Four y = t.y ? read_up_to_four(t.y + first + i, valid, t.aligned) : v;
    for (int j = 0; j < 4; ++j) v.v[j] = map(v.v[j], y.v[j]);
    write_up_to_four(t.out + first + i, v, valid, t.aligned);
  });
}

/// One warp a row; blocks of whole warps along x.
__global__ void softmax_warp_per_row(SoftmaxRows t) {
  const std::int64_t row = grid_thread() / 32, first = row * t.width;
  if (row >= t.rows) return;
  const float largest = warp_maximum(t.a + first, t.width, t.aligned);
  const float inverse = 1.0f / warp_sum_of_exp(t.a + first, largest, t.width, t.aligned);
  map_row(t, first, [=](float x, float) { return numeric::exp(x - largest) * inverse; });
}

__global__ void log_softmax_warp_per_row(SoftmaxRows t) {
  const std::int64_t row = grid_thread() / 32, first = row * t.width;
  if (row >= t.rows) return;
  const float largest = warp_maximum(t.a + first, t.width, t.aligned);
  const float log_sum = numeric::log(warp_sum_of_exp(t.a + first, largest, t.width, t.aligned));
  map_row(t, first, [=](float x, float) { return (x - largest) - log_sum; });
}

__global__ void softmax_gradient_warp_per_row(SoftmaxRows t) {
  const std::int64_t row = grid_thread() / 32, first = row * t.width;
  if (row >= t.rows) return;
  const float dot = warp_sum(t.width, [=](std::int64_t i, int valid) {
    Four v = read_up_to_four(t.a + first + i, valid, t.aligned);
    const Four y = read_up_to_four(t.y + first + i, valid, t.aligned);
    for (int j = 0; j < 4; ++j) v.v[j] = v.v[j] * y.v[j];
    return v;
  });
  map_row(t, first, [=](float dy, float y) { return numeric::softmax_gradient(dy, y, dot); });
}

__global__ void log_softmax_gradient_warp_per_row(SoftmaxRows t) {
  const std::int64_t row = grid_thread() / 32, first = row * t.width;
  if (row >= t.rows) return;
  const float sum = warp_sum(t.width, [=](std::int64_t i, int valid) {
    return read_up_to_four(t.a + first + i, valid, t.aligned);
  });
  map_row(t, first, [=](float dy, float y) { return numeric::log_softmax_gradient(dy, y, sum); });
}

void launch_rows(const KernelArgs& args, void (*kernel)(SoftmaxRows), const char* name) {
  SoftmaxRows t{};
  t.a = args.in[0].as<float>(), t.out = args.out[0].as<float>();
  t.y = args.in.size() > 1 ? args.in[1].as<float>() : nullptr;
  t.width = args.in[0].shape()[-1], t.rows = args.in[0].elements() / t.width;
  t.aligned =
      t.width % 4 == 0 && aligned_to_four(t.a) && aligned_to_four(t.out) && aligned_to_four(t.y);
  if (t.rows == 0) return;
  Config config;
  config.grid = blocks_for(t.rows * 32, kBlock, INT32_MAX), config.block = {kBlock, 1, 1};
  config.name = name;
  launch(args.queue, kernel, config, t);
}

void launch_softmax(const KernelArgs& args) {
  launch_rows(args, softmax_warp_per_row, "softmax_warp_per_row");
}
void launch_log_softmax(const KernelArgs& args) {
  launch_rows(args, log_softmax_warp_per_row, "log_softmax_warp_per_row");
}
void launch_softmax_gradient(const KernelArgs& args) {
  launch_rows(args, softmax_gradient_warp_per_row, "softmax_gradient_warp_per_row");
}
void launch_log_softmax_gradient(const KernelArgs& args) {
  launch_rows(args, log_softmax_gradient_warp_per_row, "log_softmax_gradient_warp_per_row");
}

Offer offer(const Signature& signature, const DeviceModel&) {
  return offer_f32(signature, "softmax_warp_per_row");
}

const Kernel kKernels[] = {
    {"softmax", "softmax_warp_per_row", offer, nullptr, launch_softmax},
    {"log_softmax", "log_softmax_warp_per_row", offer, nullptr, launch_log_softmax},
    {"softmax_gradient", "softmax_gradient_warp_per_row", offer, nullptr, launch_softmax_gradient},
    {"log_softmax_gradient", "log_softmax_gradient_warp_per_row", offer, nullptr,
     launch_log_softmax_gradient},
};

}  // namespace

std::span<const Kernel> softmax_cuda_kernels() { return kKernels; }

}  // namespace fornax::kernels
