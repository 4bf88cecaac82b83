// softmax, log_softmax and their gradients on CUDA: one warp a row, which keeps a row of up to 1024
// elements in registers and reads a longer one again from the caches; or several narrow rows a
// warp. Bound by bytes: 8 an element (12 for the gradients).
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

/// Where the row of this thread's warp begins, and whether there is none.
struct WarpRow {
  std::int64_t first;
  bool idle;
  FORNAX_DEVICE explicit WarpRow(const SoftmaxRows& t)
      : first(grid_thread() / 32 * t.width), idle(grid_thread() / 32 >= t.rows) {}
};

template <int words>
__global__ void softmax_kept_row(SoftmaxRows t) {
  const WarpRow row(t);
  if (row.idle) return;
  const KeptRow<words> kept(t.width);
  float v[words];
  kept.read(v, t.a + row.first);
  const float largest = kept.maximum(v);
#pragma unroll
  for (int j = 0; j < words; ++j) v[j] = numeric::exp(v[j] - largest);
  const float inverse = 1.0f / kept.sum([&](int j) { return v[j]; });
  kept.write(t.out + row.first, [&](int j) { return v[j] * inverse; });
}

template <int words>
__global__ void log_softmax_kept_row(SoftmaxRows t) {
  const WarpRow row(t);
  if (row.idle) return;
  const KeptRow<words> kept(t.width);
  float v[words];
  kept.read(v, t.a + row.first);
  const float largest = kept.maximum(v);
  const float log_sum = numeric::log(kept.sum([&](int j) { return numeric::exp(v[j] - largest); }));
  kept.write(t.out + row.first, [&](int j) { return (v[j] - largest) - log_sum; });
}

template <int words>
__global__ void softmax_gradient_kept_row(SoftmaxRows t) {
  const WarpRow row(t);
  if (row.idle) return;
  const KeptRow<words> kept(t.width);
  float dy[words], y[words];
  kept.read(dy, t.a + row.first), kept.read(y, t.y + row.first);
  const float dot = kept.sum([&](int j) { return dy[j] * y[j]; });
  kept.write(t.out + row.first, [&](int j) { return numeric::softmax_gradient(dy[j], y[j], dot); });
}

template <int words>
__global__ void log_softmax_gradient_kept_row(SoftmaxRows t) {
  const WarpRow row(t);
  if (row.idle) return;
  const KeptRow<words> kept(t.width);
  float dy[words], y[words];
  kept.read(dy, t.a + row.first), kept.read(y, t.y + row.first);
  const float sum = kept.sum([&](int j) { return dy[j]; });
  kept.write(t.out + row.first,
             [&](int j) { return numeric::log_softmax_gradient(dy[j], y[j], sum); });
}

/// Kernels of one op: for rows of any width, and of rows of at most 256, 512 and 1024.
struct RowKernels {
  const char *name, *kept_name;
  void (*any)(SoftmaxRows);
  void (*kept[3])(SoftmaxRows);
};

/// Narrower rows share a warp, or are one step of it.
constexpr std::int64_t kLeastKept = 128, kWordsOfLeast = 8;

void launch_rows(const KernelArgs& args, const RowKernels& kernels) {
  SoftmaxRows t{};
  t.a = args.in[0].as<float>(), t.out = args.out[0].as<float>();
  t.y = args.in.size() > 1 ? args.in[1].as<float>() : nullptr;
  t.width = args.in[0].shape()[-1], t.rows = args.in[0].elements() / t.width;
  t.lanes = lanes_of_row(t.width);
  if (t.rows == 0) return;
  Config config;
  config.grid = blocks_for(t.rows * t.lanes, kBlock, INT32_MAX), config.block = {kBlock, 1, 1};
  config.name = kernels.name;
  void (*kernel)(SoftmaxRows) = kernels.any;
  for (int i = 2; i >= 0 && t.width > kLeastKept; --i)
    if (t.width <= 32 * (kWordsOfLeast << i)) kernel = kernels.kept[i];
  if (kernel != kernels.any) config.name = kernels.kept_name;
  launch(args.queue, kernel, config, t);
}

void launch_softmax(const KernelArgs& args) {
  launch_rows(args, {"softmax_warp_per_row",
                     "softmax_kept_row",
                     softmax_warp_per_row,
                     {softmax_kept_row<8>, softmax_kept_row<16>, softmax_kept_row<32>}});
}
void launch_log_softmax(const KernelArgs& args) {
  launch_rows(args,
              {"log_softmax_warp_per_row",
               "log_softmax_kept_row",
               log_softmax_warp_per_row,
               {log_softmax_kept_row<8>, log_softmax_kept_row<16>, log_softmax_kept_row<32>}});
}
void launch_softmax_gradient(const KernelArgs& args) {
  launch_rows(args, {"softmax_gradient_warp_per_row",
                     "softmax_gradient_kept_row",
                     softmax_gradient_warp_per_row,
                     {softmax_gradient_kept_row<8>, softmax_gradient_kept_row<16>,
                      softmax_gradient_kept_row<32>}});
}
void launch_log_softmax_gradient(const KernelArgs& args) {
  launch_rows(args, {"log_softmax_gradient_warp_per_row",
                     "log_softmax_gradient_kept_row",
                     log_softmax_gradient_warp_per_row,
                     {log_softmax_gradient_kept_row<8>, log_softmax_gradient_kept_row<16>,
                      log_softmax_gradient_kept_row<32>}});
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
