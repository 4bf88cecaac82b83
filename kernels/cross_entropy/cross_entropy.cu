// Cross entropy, its gradient and the count of right arg-maxes on CUDA: one
// warp a row, then one warp that sums the rows in order and looks at their
// labels. Bound by bytes: 4 a logit forward (read again from the caches), 8
// backward.
#include "kernels/cross_entropy/cross_entropy_row.h"
#include "kernels/device/launch.cuh"
#include "kernels/launch_plan.h"
#include "kernels/offer.h"
#include "kernels/softmax/row.cuh"

namespace fornax::kernels {
namespace {

using namespace fornax::device;
using numeric::label_kind;
using numeric::LabelKind;

constexpr int kBlock = 128;

struct LogitRows {
  const float *x;
  const std::int32_t *labels;
  std::int64_t rows, classes, ignore_index;
  bool aligned;
};

/// One warp a row: its log-sum-exp and its loss.
__global__ void
cross_entropy_warp_per_row(LogitRows t, numeric::SmoothedTarget<float> target,
                           float *log_sum_exp, float *losses) {
  const std::int64_t row = grid_thread() / 32;
  if (row >= t.rows)
    return;
  const float *x = t.x + row * t.classes;
  const float largest = warp_maximum(x, t.classes, t.aligned);
  const float sum = warp_sum_of_exp(x, largest, t.classes, t.aligned);
  float mean = 0;
  if (target.smoothing != 0)
    mean = warp_sum(t.classes,
                    [=](std::int64_t i, int valid) {
                      return read_up_to_four(x + i, valid, t.aligned);
                    }) /
           static_cast<float>(t.classes);
  if (lane_index() != 0)
    return;
  const float log_sum = largest + numeric::log(sum);
  const std::int32_t label = read(t.labels + row);
  const bool valid =
      label_kind(label, t.ignore_index, t.classes) == LabelKind::valid;
  write(log_sum_exp + row, log_sum);
  write(losses + row,
        valid ? numeric::row_loss(log_sum, read(x + label), mean, target)
              : 0.0f);
}

/// How many labels count, and the first bad one (rows: none), by one warp; in
/// every lane.
struct LabelTally {
  std::int64_t first_bad;
  std::int32_t counted;
};
FORNAX_DEVICE LabelTally tally_labels(const LogitRows &t) {
  LabelTally tally{t.rows, 0};
#pragma unroll 4
  for (std::int64_t row = lane_index(); row < t.rows; row += 32) {
    const LabelKind kind =
        label_kind(read(t.labels + row), t.ignore_index, t.classes);
    if (kind == LabelKind::valid)
      ++tally.counted;
    if (kind == LabelKind::bad && row < tally.first_bad)
      tally.first_bad = row;
  }
  for (int mask = 16; mask > 0; mask /= 2) {
    tally.counted += shuffle_xor(tally.counted, mask);
    const std::int64_t other = shuffle_xor(tally.first_bad, mask);
    if (other < tally.first_bad)
      tally.first_bad = other;
  }
  return tally;
}

FORNAX_DEVICE void flag_bad_label(StepState *step, const LogitRows &t,
                                  std::int64_t row) {
  if (row >= t.rows)
    return;
  const std::int64_t before = read(&step->bad_index);
  if (before != 0 && before <= row + 1)
    return;
  write(&step->bad_index, row + 1);
  write(&step->bad_value, std::int64_t{read(t.labels + row)});
}

/// One warp: the mean of the rows' losses.
__global__ void cross_entropy_of_rows(LogitRows t, const float *losses,
                                      float *loss, std::int32_t *counted,
                                      StepState *step) {
  const LabelTally tally = tally_labels(t);
  const float total = warp_sum(t.rows, [=](std::int64_t i, int valid) {
    return read_up_to_four(losses + i, valid, true);
  });
  if (lane_index() != 0)
    return;
  write(loss,
        tally.counted == 0 ? 0.0f : total / static_cast<float>(tally.counted));
  write(counted, tally.counted);
  flag_bad_label(step, t, tally.first_bad);
}

struct GradientRows {
  const float *d_loss, *log_sum_exp;
  const std::int32_t *counted;
  float on, off;
  float *dx;
};

/// One warp a row.
__global__ void cross_entropy_gradient_warp_per_row(LogitRows t,
                                                    GradientRows g) {
  const std::int64_t row = grid_thread() / 32, first = row * t.classes;
  if (row >= t.rows)
    return;
  const std::int32_t label = read(t.labels + row);
  const bool counts =
      label_kind(label, t.ignore_index, t.classes) == LabelKind::valid;
  const float weight = read(g.d_loss) / static_cast<float>(read(g.counted));
  const float log_sum = read(g.log_sum_exp + row);
  for_fours(0, t.classes, [&](std::int64_t i, int valid) {
    Four v = read_up_to_four(t.x + first + i, valid, t.aligned);
    for (int j = 0; j < 4; ++j) {
      const float target = i + j == label ? g.on : g.off;
      v.v[j] = counts ? numeric::logit_gradient(v.v[j], log_sum, target, weight)
                      : 0.0f;
    }
    write_up_to_four(g.dx + first + i, v, valid, t.aligned);
  });
}

/// Whether logit (a, i) takes the arg-max from (b, k): larger, else the smaller
/// index.
FORNAX_DEVICE bool precedes(float a, std::int64_t i, float b, std::int64_t k) {
  return numeric::outranks(a, b) || (!numeric::outranks(b, a) && i < k);
}

/// One warp a row: hits[row] = 1 when the arg-max is the label.
__global__ void correct_warp_per_row(LogitRows t, std::int32_t *hits) {
  const std::int64_t row = grid_thread() / 32;
  if (row >= t.rows)
    return;
  const float *x = t.x + row * t.classes;
  std::int64_t best = lane_index() < t.classes ? lane_index() : 0;
  float largest = read(x + best);
  for (std::int64_t c = best + 32; c < t.classes; c += 32) {
    const float v = read(x + c);
    if (!numeric::outranks(v, largest))
      continue;
    best = c, largest = v;
  }
  for (int mask = 16; mask > 0; mask /= 2) {
    const float v = shuffle_xor(largest, mask);
    const std::int64_t c = shuffle_xor(best, mask);
    if (precedes(v, c, largest, best))
      best = c, largest = v;
  }
  if (lane_index() != 0)
    return;
  const std::int32_t label = read(t.labels + row);
  const bool counts =
      label_kind(label, t.ignore_index, t.classes) == LabelKind::valid;
  write(hits + row, std::int32_t{counts && best == label});
}

/// One warp: the sum of the hits.
__global__ void correct_of_rows(LogitRows t, const std::int32_t *hits,
                                std::int32_t *correct, std::int32_t *counted,
                                StepState *step) {
  const LabelTally tally = tally_labels(t);
  std::int32_t sum = 0;
#pragma unroll 4
  for (std::int64_t row = lane_index(); row < t.rows; row += 32)
    sum += read(hits + row);
  for (int mask = 16; mask > 0; mask /= 2)
    sum += shuffle_xor(sum, mask);
  if (lane_index() != 0)
    return;
  write(correct, sum);
  write(counted, tally.counted);
  flag_bad_label(step, t, tally.first_bad);
}

/// `operand` is the input that holds logits; labels follow it.
LogitRows logit_rows(const KernelArgs &args, std::size_t operand) {
  LogitRows t{};
  t.x = args.in[operand].as<float>(),
  t.labels = args.in[operand + 1].as<std::int32_t>();
  t.rows = args.in[operand + 1].elements(),
  t.classes = args.in[operand].shape()[-1];
  t.ignore_index = args.attributes->integer("ignore_index");
  t.aligned = t.classes % 4 == 0 && aligned_to_four(t.x);
  return t;
}

Config warps(const char *kernel, std::int64_t count) {
  Config config;
  config.grid = blocks_for(count * 32, kBlock, INT32_MAX),
  config.block = {kBlock, 1, 1};
  config.name = kernel;
  return config;
}
Config one_warp(const char *kernel) {
  Config config;
  config.grid = {1, 1, 1}, config.block = {32, 1, 1};
  config.name = kernel;
  return config;
}

void launch_loss(const KernelArgs &args) {
  const LogitRows t = logit_rows(args, 0);
  const auto target = numeric::smoothed_target<float>(
      args.attributes->number("label_smoothing"), t.classes);
  auto *losses = reinterpret_cast<float *>(args.workspace.data());
  if (t.rows > 0)
    launch(args.queue, cross_entropy_warp_per_row,
           warps("cross_entropy_warp_per_row", t.rows), t, target,
           args.out[1].as<float>(), losses);
  launch(args.queue, cross_entropy_of_rows, one_warp("cross_entropy_of_rows"),
         t, losses, args.out[0].as<float>(), args.out[2].as<std::int32_t>(),
         args.step);
}

void launch_gradient(const KernelArgs &args) {
  LogitRows t = logit_rows(args, 1);
  const auto target = numeric::smoothed_target<float>(
      args.attributes->number("label_smoothing"), t.classes);
  GradientRows g{};
  g.d_loss = args.in[0].as<float>(), g.log_sum_exp = args.in[3].as<float>();
  g.counted = args.in[4].as<std::int32_t>(), g.on = target.on,
  g.off = target.off;
  g.dx = args.out[0].as<float>();
  t.aligned = t.aligned && aligned_to_four(g.dx);
  if (t.rows > 0)
    launch(args.queue, cross_entropy_gradient_warp_per_row,
           warps("cross_entropy_gradient_warp_per_row", t.rows), t, g);
}

void launch_correct_count(const KernelArgs &args) {
  const LogitRows t = logit_rows(args, 0);
  auto *hits = reinterpret_cast<std::int32_t *>(args.workspace.data());
  if (t.rows > 0)
    launch(args.queue, correct_warp_per_row,
           warps("correct_warp_per_row", t.rows), t, hits);
  launch(args.queue, correct_of_rows, one_warp("correct_of_rows"), t, hits,
         args.out[0].as<std::int32_t>(), args.out[1].as<std::int32_t>(),
         args.step);
}

Offer offer_rows(const Signature &signature, const DeviceModel &) {
  return offer_f32(signature, "cross_entropy_warp_per_row",
                   4 * signature.in[1].shape.elements());
}
Offer offer_gradient(const Signature &signature, const DeviceModel &) {
  return offer_f32(signature, "cross_entropy_gradient_warp_per_row");
}

const Kernel kKernels[] = {
    {"cross_entropy", "cross_entropy_warp_per_row", offer_rows, nullptr,
     launch_loss},
    {"cross_entropy_gradient", "cross_entropy_gradient_warp_per_row",
     offer_gradient, nullptr, launch_gradient},
    {"correct_count", "correct_warp_per_row", offer_rows, nullptr,
     launch_correct_count},
};

} // namespace

std::span<const Kernel> cross_entropy_cuda_kernels() { return kKernels; }

} // namespace fornax::kernels
