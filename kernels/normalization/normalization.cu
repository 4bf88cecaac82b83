// Batch norm on CUDA: one thread a channel and chunk of 128 rows, one thread a channel that adds
// the chunks in order, one thread 8 elements of a channel. Bound by bytes: 16 an element in
// training, 8 else.
#include "kernels/device/element.cuh"
#include "kernels/device/launch.cuh"
#include "kernels/launch_plan.h"
#include "kernels/normalization/batch_norm_element.h"
#include "kernels/offer.h"
#include "kernels/reduction/chain_sum.cuh"
#include "kernels/reduction/column_sum.h"

namespace fornax::kernels {
namespace {

using namespace fornax::device;

constexpr int kBlock = 128;
constexpr int kTermsAtOnce = 16;  ///< of a chain, read before they are added
constexpr int kRowsOfThread = 8;  ///< of a kernel over elements

/// Vectors have one element a channel, sums one a chunk and channel; unused
/// ones are null.
struct BatchNorm {
  const float *x, *dy, *mean, *variance, *scale, *shift;
  float *inverse, *slope, *mean_shift, *mean_scale;
  float *sums, *other_sums, *out;
  std::int64_t rows, channels, chunks;
  float epsilon;
};

/// A thread's channel and rows: first .. last - 1, chunk `chunk` of `length`.
struct ChannelRows {
  std::int64_t channel, chunk, first, last;
};
FORNAX_DEVICE ChannelRows channel_rows(const BatchNorm& t, std::int64_t length) {
  const std::int64_t job = grid_thread();
  const std::int64_t chunk = job / t.channels, first = chunk * length;
  const std::int64_t rest = t.rows - first;
  return {job % t.channels, chunk, first, first + (rest < length ? rest : length)};
}

__global__ void batch_norm_sum(BatchNorm t) {
  const ChannelRows c = channel_rows(t, kColumnSumChunk);
  if (c.chunk >= t.chunks) return;
  const float sum = chain_sum<kTermsAtOnce>(
      c.first, c.last, [=](std::int64_t r) { return read(t.x + r * t.channels + c.channel); });
  write(t.sums + c.chunk * t.channels + c.channel, sum);
}

__global__ void batch_norm_deviation(BatchNorm t) {
  const ChannelRows c = channel_rows(t, kColumnSumChunk);
  if (c.chunk >= t.chunks) return;
  const float mean = read(t.mean + c.channel);
  const float sum = chain_sum<kTermsAtOnce>(c.first, c.last, [=](std::int64_t r) {
    return numeric::squared_deviation(read(t.x + r * t.channels + c.channel), mean);
  });
  write(t.sums + c.chunk * t.channels + c.channel, sum);
}

FORNAX_DEVICE float sum_of_chunks(const BatchNorm& t, const float* sums, std::int64_t channel) {
  return chain_sum_of(sums + channel, t.chunks, t.channels);
}

__global__ void batch_norm_mean(BatchNorm t, const float* running, float* moved, float* mean,
                                float momentum) {
  const std::int64_t c = grid_thread();
  if (c >= t.channels) return;
  const float value = sum_of_chunks(t, t.sums, c) / static_cast<float>(t.rows);
  write(mean + c, value);
  write(moved + c, numeric::move_running(read(running + c), value, momentum));
}

FORNAX_DEVICE void write_slope(const BatchNorm& t, std::int64_t c, float variance) {
  const float inverse = numeric::inverse_deviation(variance, t.epsilon);
  write(t.inverse + c, inverse);
  write(t.slope + c, inverse * read(t.scale + c));
}

__global__ void batch_norm_variance(BatchNorm t, const float* running, float* moved,
                                    float* variance, float momentum) {
  const std::int64_t c = grid_thread();
  if (c >= t.channels) return;
  const float squares = sum_of_chunks(t, t.sums, c);
  const float value = squares / static_cast<float>(t.rows);
  const float unbiased = squares / static_cast<float>(t.rows - 1);
  write(variance + c, value);
  write(moved + c, numeric::move_running(read(running + c), unbiased, momentum));
  write_slope(t, c, value);
}

__global__ void batch_norm_slope(BatchNorm t) {
  const std::int64_t c = grid_thread();
  if (c < t.channels) write_slope(t, c, read(t.variance + c));
}

__global__ void batch_norm_normalize(BatchNorm t) {
  const ChannelRows c = channel_rows(t, kRowsOfThread);
  if (c.first >= t.rows) return;
  const float mean = read(t.mean + c.channel), slope = read(t.slope + c.channel);
  const float shift = read(t.shift + c.channel);
  float x[kRowsOfThread] = {};
#pragma unroll
  for (int j = 0; j < kRowsOfThread; ++j)
    if (c.first + j < c.last) x[j] = read(t.x + (c.first + j) * t.channels + c.channel);
#pragma unroll
  for (int j = 0; j < kRowsOfThread; ++j)
    if (c.first + j < c.last)
      write(t.out + (c.first + j) * t.channels + c.channel,
            numeric::batch_norm(x[j], mean, slope, shift));
}

/// Sums of d_shift and of d_scale.
__global__ void batch_norm_gradient_sums(BatchNorm t) {
  const ChannelRows c = channel_rows(t, kColumnSumChunk);
  if (c.chunk >= t.chunks) return;
  const float mean = read(t.mean + c.channel), inverse = read(t.inverse + c.channel);
  float d_shift = -0.0f, d_scale = -0.0f;
  for (std::int64_t first = c.first; first < c.last; first += kRowsOfThread) {
    float dy[kRowsOfThread] = {}, x[kRowsOfThread] = {};
#pragma unroll
    for (int j = 0; j < kRowsOfThread; ++j)
      if (first + j < c.last) {
        dy[j] = read(t.dy + (first + j) * t.channels + c.channel);
        x[j] = read(t.x + (first + j) * t.channels + c.channel);
      }
#pragma unroll
    for (int j = 0; j < kRowsOfThread; ++j)
      if (first + j < c.last) {
        d_shift = d_shift + dy[j];
        d_scale = d_scale + numeric::scale_gradient_term(dy[j], x[j], mean, inverse);
      }
  }
  write(t.sums + c.chunk * t.channels + c.channel, d_shift);
  write(t.other_sums + c.chunk * t.channels + c.channel, d_scale);
}

__global__ void batch_norm_gradient_channels(BatchNorm t, bool batch_statistics, float* d_scale,
                                             float* d_shift) {
  const std::int64_t c = grid_thread();
  if (c >= t.channels) return;
  const float shift = sum_of_chunks(t, t.sums, c), scale = sum_of_chunks(t, t.other_sums, c);
  const auto rows = static_cast<float>(t.rows);
  write(d_shift + c, shift);
  write(d_scale + c, scale);
  write(t.mean_shift + c, batch_statistics ? shift / rows : 0.0f);
  write(t.mean_scale + c, batch_statistics ? scale / rows : 0.0f);
}

__global__ void batch_norm_gradient_elements(BatchNorm t) {
  const ChannelRows c = channel_rows(t, kRowsOfThread);
  if (c.first >= t.rows) return;
  const numeric::ChannelGradient<float> channel{
      read(t.mean + c.channel), read(t.inverse + c.channel), read(t.slope + c.channel),
      read(t.mean_shift + c.channel), read(t.mean_scale + c.channel)};
  float dy[kRowsOfThread] = {}, x[kRowsOfThread] = {};
#pragma unroll
  for (int j = 0; j < kRowsOfThread; ++j)
    if (c.first + j < c.last) {
      dy[j] = read(t.dy + (c.first + j) * t.channels + c.channel);
      x[j] = read(t.x + (c.first + j) * t.channels + c.channel);
    }
#pragma unroll
  for (int j = 0; j < kRowsOfThread; ++j)
    if (c.first + j < c.last)
      write(t.out + (c.first + j) * t.channels + c.channel,
            numeric::batch_norm_gradient(dy[j], x[j], channel));
}

std::int64_t chunks_of(std::int64_t rows) { return (rows + kColumnSumChunk - 1) / kColumnSumChunk; }

/// Workspace: four vectors, then the chunk sums, twice for the gradient.
BatchNorm batch_norm_of(const KernelArgs& args, std::size_t x) {
  BatchNorm t{};
  t.channels = args.in[x].shape()[-1], t.rows = args.in[x].elements() / t.channels;
  t.chunks = chunks_of(t.rows);
  t.x = args.in[x].as<float>(), t.out = args.out[0].as<float>();
  t.epsilon = static_cast<float>(args.attributes->number("epsilon"));
  t.inverse = reinterpret_cast<float*>(args.workspace.data());
  t.slope = t.inverse + t.channels, t.mean_shift = t.slope + t.channels;
  t.mean_scale = t.mean_shift + t.channels, t.sums = t.mean_scale + t.channels;
  t.other_sums = t.sums + t.chunks * t.channels;
  return t;
}

Config threads(const char* kernel, std::int64_t count) {
  Config config;
  config.grid = blocks_for(count, kBlock, INT32_MAX), config.block = {kBlock, 1, 1};
  config.name = kernel;
  return config;
}

std::int64_t threads_of_elements(const BatchNorm& t) {
  return (t.rows + kRowsOfThread - 1) / kRowsOfThread * t.channels;
}

void launch_train(const KernelArgs& args) {
  BatchNorm t = batch_norm_of(args, 0);
  t.scale = args.in[1].as<float>(), t.shift = args.in[2].as<float>();
  auto *mean = args.out[3].as<float>(), *variance = args.out[4].as<float>();
  const auto momentum = static_cast<float>(args.attributes->number("momentum"));
  const std::int64_t jobs = t.chunks * t.channels;
  t.mean = mean;
  launch(args.queue, batch_norm_sum, threads("batch_norm_sum", jobs), t);
  launch(args.queue, batch_norm_mean, threads("batch_norm_mean", t.channels), t,
         args.in[3].as<float>(), args.out[1].as<float>(), mean, momentum);
  launch(args.queue, batch_norm_deviation, threads("batch_norm_deviation", jobs), t);
  launch(args.queue, batch_norm_variance, threads("batch_norm_variance", t.channels), t,
         args.in[4].as<float>(), args.out[2].as<float>(), variance, momentum);
  launch(args.queue, batch_norm_normalize, threads("batch_norm_normalize", threads_of_elements(t)),
         t);
}

void launch_evaluate(const KernelArgs& args) {
  BatchNorm t = batch_norm_of(args, 0);
  t.scale = args.in[1].as<float>(), t.shift = args.in[2].as<float>();
  t.mean = args.in[3].as<float>(), t.variance = args.in[4].as<float>();
  if (t.rows == 0) return;
  launch(args.queue, batch_norm_slope, threads("batch_norm_slope", t.channels), t);
  launch(args.queue, batch_norm_normalize, threads("batch_norm_normalize", threads_of_elements(t)),
         t);
}

void launch_gradient(const KernelArgs& args) {
  BatchNorm t = batch_norm_of(args, 1);
  t.dy = args.in[0].as<float>(), t.scale = args.in[2].as<float>();
  t.mean = args.in[3].as<float>(), t.variance = args.in[4].as<float>();
  const bool batch = args.attributes->integer("batch_statistics") != 0;
  launch(args.queue, batch_norm_slope, threads("batch_norm_slope", t.channels), t);
  if (t.rows > 0)
    launch(args.queue, batch_norm_gradient_sums,
           threads("batch_norm_gradient_sums", t.chunks * t.channels), t);
  launch(args.queue, batch_norm_gradient_channels,
         threads("batch_norm_gradient_channels", t.channels), t, batch, args.out[1].as<float>(),
         args.out[2].as<float>());
  if (t.rows > 0)
    launch(args.queue, batch_norm_gradient_elements,
           threads("batch_norm_gradient_elements", threads_of_elements(t)), t);
}

template <std::size_t x>
Offer offer(const Signature& signature, const DeviceModel&) {
  const Shape& shape = signature.in[x].shape;
  const std::int64_t vectors = 4 + (x + 1) * chunks_of(shape.elements() / shape[-1]);
  return offer_f32(signature, "batch_norm_thread_per_channel", 4 * vectors * shape[-1]);
}

const Kernel kKernels[] = {
    {"batch_norm", "batch_norm_thread_per_channel", offer<0>, nullptr, launch_train},
    {"batch_norm_evaluate", "batch_norm_evaluate_thread_per_element", offer<0>, nullptr,
     launch_evaluate},
    {"batch_norm_gradient", "batch_norm_gradient_thread_per_channel", offer<1>, nullptr,
     launch_gradient},
};

}  // namespace

std::span<const Kernel> normalization_cuda_kernels() { return kKernels; }

}  // namespace fornax::kernels
