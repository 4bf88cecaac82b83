// softmax, log_softmax and their gradients on CUDA: one warp a row, or several
// narrow rows, read again from the caches. Bytes: 8 an element (12 for the gradients); on an
// H100 the time is 1.7 times theirs, also where a warp kept its row in registers.
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

/// a: x or dy; y: of the gradients.
struct SoftmaxRows {
  const float *a, *y;
  float* out;
  std::int64_t rows, width;
  int lanes;
};

__global__ void softmax_warp_per_row(SoftmaxRows t) {
  const RowPlace place = row_place(t.rows, t.lanes);
  if (place.idle) return;
  const std::int64_t first = place.row * t.width;
  const float* x = t.a + first;
  const float largest = maximum_of_row(place, x, t.width);
  const float inverse = 1.0f / sum_of_exp(place, x, largest, t.width);
  map_row(place, t.width, t.out + first,
          [=](std::int64_t i) { return numeric::exp(read(x + i) - largest) * inverse; });
}

__global__ void log_softmax_warp_per_row(SoftmaxRows t) {
  const RowPlace place = row_place(t.rows, t.lanes);
  if (place.idle) return;
  const std::int64_t first = place.row * t.width;
  const float* x = t.a + first;
  const float largest = maximum_of_row(place, x, t.width);
  const float log_sum = numeric::log(sum_of_exp(place, x, largest, t.width));
  map_row(place, t.width, t.out + first,
          [=](std::int64_t i) { return (read(x + i) - largest) - log_sum; });
}

__global__ void softmax_gradient_warp_per_row(SoftmaxRows t) {
  const RowPlace place = row_place(t.rows, t.lanes);
  if (place.idle) return;
  const std::int64_t first = place.row * t.width;
  const float *dy = t.a + first, *y = t.y + first;
  const float dot =
      sum_of_row(place, t.width, [=](std::int64_t i) { return read(dy + i) * read(y + i); });
  map_row(place, t.width, t.out + first, [=](std::int64_t i) {
    return numeric::softmax_gradient(read(dy + i), read(y + i), dot);
  });
}

__global__ void log_softmax_gradient_warp_per_row(SoftmaxRows t) {
  const RowPlace place = row_place(t.rows, t.lanes);
  if (place.idle) return;
  const std::int64_t first = place.row * t.width;
  const float *dy = t.a + first, *y = t.y + first;
  const float sum = sum_of_row(place, t.width, [=](std::int64_t i) { return read(dy + i); });
  map_row(place, t.width, t.out + first, [=](std::int64_t i) {
    return numeric::log_softmax_gradient(read(dy + i), read(y + i), sum);
  });
}

void launch_rows(const KernelArgs& args, void (*kernel)(SoftmaxRows), const char* name) {
  SoftmaxRows t{};
  t.a = args.in[0].as<float>(), t.out = args.out[0].as<float>();
  t.y = args.in.size() > 1 ? args.in[1].as<float>() : nullptr;
  t.width = args.in[0].shape()[-1], t.rows = args.in[0].elements() / t.width;
  t.lanes = lanes_of_row(t.width);
  if (t.rows == 0) return;
  Config config;
  config.grid = blocks_for(t.rows * t.lanes, kBlock, INT32_MAX), config.block = {kBlock, 1, 1};
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
