// Cross entropy, its gradient and the count of right arg-maxes on CUDA: one warp a row, or several
// narrow rows, then one block that sums the rows in order and looks at their labels. Bytes: 4 a
// logit forward (read again from the caches), 8 backward; forward an H100 takes 2.4 times as long.
#include "kernels/cross_entropy/cross_entropy_row.h"
#include "kernels/device/launch.cuh"
#include "kernels/launch_plan.h"
#include "kernels/offer.h"
#include "kernels/reduction/chain_sum.cuh"
#include "kernels/softmax/row.cuh"

namespace fornax::kernels {
namespace {

using namespace fornax::device;
using numeric::label_kind;
using numeric::LabelKind;

constexpr int kBlock = 128;
constexpr std::int64_t kWideRow = 4096;       ///< classes from which a row has a block of its own
constexpr std::int64_t kClassesOfJob = 2048;  ///< of a warp of the gradient: a wide row has several
constexpr int kFinalBlock = 512;              ///< of the kernels that end with one block

struct LogitRows {
  const float* x;
  const std::int32_t* labels;
  std::int64_t rows, classes, ignore_index;
  int lanes;
};

FORNAX_DEVICE LabelKind kind_of(const LogitRows& t, std::int64_t label) {
  return label_kind(label, t.ignore_index, t.classes);
}

/// What a row leaves: its log-sum-exp and its loss.
struct RowResults {
  float *log_sum_exp, *losses;
};
FORNAX_DEVICE void write_row(const LogitRows& t, const numeric::SmoothedTarget<float>& target,
                             const RowResults& results, std::int64_t row, float log_sum,
                             float mean) {
  const std::int32_t label = read(t.labels + row);
  const bool valid = kind_of(t, label) == LabelKind::valid;
  write(results.log_sum_exp + row, log_sum);
  write(
      results.losses + row,
      valid ? numeric::row_loss(log_sum, read(t.x + row * t.classes + label), mean, target) : 0.0f);
}

__global__ void cross_entropy_warp_per_row(LogitRows t, numeric::SmoothedTarget<float> target,
                                           RowResults results) {
  const RowPlace place = row_place(t.rows, t.lanes);
  if (place.idle) return;
  const float* x = t.x + place.row * t.classes;
  const float largest = maximum_of_row(place, x, t.classes);
  const float sum = sum_of_exp(place, x, largest, t.classes);
  float mean = 0;
  if (target.smoothing != 0)
    mean = sum_of_row(place, t.classes, [=](std::int64_t i) { return read(x + i); }) /
           static_cast<float>(t.classes);
  if (place.lane == 0 && place.writes)
    write_row(t, target, results, place.row, largest + numeric::log(sum), mean);
}

__global__ void cross_entropy_block_per_row(LogitRows t, numeric::SmoothedTarget<float> target,
                                            RowResults results) {
  const std::int64_t row = block_index();
  const float* x = t.x + row * t.classes;
  const float largest = block_maximum(x, t.classes);
  const float sum =
      block_sum(t.classes, [=](std::int64_t i) { return numeric::exp(read(x + i) - largest); });
  float mean = 0;
  if (target.smoothing != 0)
    mean = block_sum(t.classes, [=](std::int64_t i) { return read(x + i); }) /
           static_cast<float>(t.classes);
  if (thread_index() == 0) write_row(t, target, results, row, largest + numeric::log(sum), mean);
}

/// How many labels count, how many rows are hits, and the first bad label (rows: none).
struct RowTally {
  std::int64_t first_bad;
  std::int32_t counted, hits;
};
FORNAX_DEVICE void add_tally(RowTally& tally, const RowTally& other) {
  tally.counted += other.counted, tally.hits += other.hits;
  if (other.first_bad < tally.first_bad) tally.first_bad = other.first_bad;
}

/// Of rows first, first + stride, ... below `end`; hits may be null.
FORNAX_DEVICE void tally_rows(const LogitRows& t, const std::int32_t* hits, std::int64_t first,
                              std::int64_t end, int stride, RowTally& tally) {
  constexpr int kAtOnce = 16;
  for (std::int64_t row = first; row < end; row += kAtOnce * stride) {
    std::int64_t label[kAtOnce];
    std::int32_t hit[kAtOnce];
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      const bool inside = row + j * stride < end;
      label[j] = inside ? read(t.labels + row + j * stride) : t.ignore_index;
      hit[j] = inside && hits ? read(hits + row + j * stride) : 0;
    }
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      const LabelKind kind = kind_of(t, label[j]);
      add_tally(tally, {kind == LabelKind::bad ? row + j * stride : t.rows,
                        kind == LabelKind::valid, hit[j]});
    }
  }
}

struct SharedTallies {
  SharedArray<RowTally, kFinalBlock / 32> of_warp;
};

/// The tallies of all threads; the first thread has the total.
FORNAX_DEVICE RowTally total_tally(SharedTallies& shared, RowTally tally) {
  for (int mask = 16; mask > 0; mask /= 2)
    add_tally(tally, {shuffle_xor(tally.first_bad, mask), shuffle_xor(tally.counted, mask),
                      shuffle_xor(tally.hits, mask)});
  if (lane_index() == 0) write(&shared.of_warp[warp_index()], tally);
  sync_block();
  if (thread_index() == 0)
    for (int warp = 1; warp < kFinalBlock / 32; ++warp)
      add_tally(tally, read(&shared.of_warp[warp]));
  return tally;
}

FORNAX_DEVICE void flag_bad_label(StepState* step, const LogitRows& t, std::int64_t row) {
  if (row >= t.rows) return;
  const std::int64_t before = read(&step->bad_index);
  if (before != 0 && before <= row + 1) return;
  write(&step->bad_index, row + 1);
  write(&step->bad_value, std::int64_t{read(t.labels + row)});
}

struct SharedRows {
  SharedChains losses;
  SharedTallies tallies;
};

/// One block: four warps add the rows' losses in order, the others look at the labels.
__global__ void cross_entropy_of_rows(LogitRows t, const float* losses, float* loss,
                                      std::int32_t* counted, StepState* step) {
  SharedRows& shared = shared_memory<SharedRows>();
  RowTally tally{t.rows, 0, 0};
  float total = -0.0f;
  const int others = thread_index() - numeric::kChains;
  for (std::int64_t begin = 0; begin < t.rows; begin += numeric::kSumChunk) {
    const std::int64_t rest = t.rows - begin;
    const std::int64_t end = begin + (rest < numeric::kSumChunk ? rest : numeric::kSumChunk);
    if (others < 0)
      sum_own_chain(shared.losses, begin, end, [=](std::int64_t i) { return read(losses + i); });
    else
      tally_rows(t, nullptr, begin + others, end, kFinalBlock - numeric::kChains, tally);
    sync_block();
    if (warp_index() == 0) total = total + fold_chains(shared.losses);
    sync_block();
  }
  tally = total_tally(shared.tallies, tally);
  if (thread_index() != 0) return;
  write(loss, tally.counted == 0 ? 0.0f : total / static_cast<float>(tally.counted));
  write(counted, tally.counted);
  flag_bad_label(step, t, tally.first_bad);
}

struct GradientRows {
  const float *d_loss, *log_sum_exp;
  const std::int32_t* counted;
  float on, off;
  float* dx;
  std::int64_t jobs_of_row;
};

__global__ void cross_entropy_gradient_warp_per_row(LogitRows t, GradientRows g) {
  const RowPlace place = row_place(t.rows * g.jobs_of_row, t.lanes);
  if (place.idle) return;
  const std::int64_t row = place.row / g.jobs_of_row;
  const std::int64_t begin = place.row % g.jobs_of_row * kClassesOfJob;
  const std::int64_t rest = t.classes - begin, first = row * t.classes + begin;
  const std::int32_t label = read(t.labels + row);
  const bool counts = kind_of(t, label) == LabelKind::valid;
  const float weight = read(g.d_loss) / static_cast<float>(read(g.counted));
  const float log_sum = read(g.log_sum_exp + row);
  const auto slope = [&](std::int64_t i) {
    const float target = begin + i == label ? g.on : g.off;
    const float d = numeric::logit_gradient(read(t.x + first + i), log_sum, target, weight);
    return counts ? d : 0.0f;
  };
  map_row(place, rest < kClassesOfJob ? rest : kClassesOfJob, g.dx + first, slope);
}

/// Whether logit (a, i) takes the arg-max from (b, k): larger, else the smaller index.
FORNAX_DEVICE bool precedes(float a, std::int64_t i, float b, std::int64_t k) {
  return numeric::outranks(a, b) || (!numeric::outranks(b, a) && i < k);
}

/// hits[row] = 1 when the arg-max is the label.
__global__ void correct_warp_per_row(LogitRows t, std::int32_t* hits) {
  const RowPlace place = row_place(t.rows, t.lanes);
  if (place.idle) return;
  const float* x = t.x + place.row * t.classes;
  std::int64_t best = place.lane < t.classes ? place.lane : 0;
  float largest = read(x + best);
  for_row(place, 0, t.classes, [&]<int words, bool whole>(const RowWords<words, whole>& w) {
    float v[words];
#pragma unroll
    for (int j = 0; j < words; ++j) v[j] = read(x + w.at(j));
#pragma unroll
    for (int j = 0; j < words; ++j)
      if (numeric::outranks(v[j], largest)) best = w.at(j), largest = v[j];
  });
  for (int mask = place.lanes / 2; mask > 0; mask /= 2) {
    const float v = shuffle_xor(largest, mask);
    const std::int64_t c = shuffle_xor(best, mask);
    if (precedes(v, c, largest, best)) best = c, largest = v;
  }
  if (place.lane != 0 || !place.writes) return;
  const std::int32_t label = read(t.labels + place.row);
  write(hits + place.row, std::int32_t{kind_of(t, label) == LabelKind::valid && best == label});
}

/// One block: the sum of the hits.
__global__ void correct_of_rows(LogitRows t, const std::int32_t* hits, std::int32_t* correct,
                                std::int32_t* counted, StepState* step) {
  RowTally tally{t.rows, 0, 0};
  tally_rows(t, hits, thread_index(), t.rows, kFinalBlock, tally);
  tally = total_tally(shared_memory<SharedTallies>(), tally);
  if (thread_index() != 0) return;
  write(correct, tally.hits);
  write(counted, tally.counted);
  flag_bad_label(step, t, tally.first_bad);
}

/// `operand` is the input that holds logits; labels follow it.
LogitRows logit_rows(const KernelArgs& args, std::size_t operand) {
  LogitRows t{};
  t.x = args.in[operand].as<float>(), t.labels = args.in[operand + 1].as<std::int32_t>();
  t.rows = args.in[operand + 1].elements(), t.classes = args.in[operand].shape()[-1];
  t.ignore_index = args.attributes->integer("ignore_index");
  t.lanes = lanes_of_row(t.classes);
  return t;
}

Config threads(const char* kernel, std::int64_t count) {
  Config config;
  config.grid = blocks_for(count, kBlock, INT32_MAX), config.block = {kBlock, 1, 1};
  config.name = kernel;
  return config;
}
Config one_block(const char* kernel, std::size_t shared_bytes) {
  Config config;
  config.grid = {1, 1, 1}, config.block = {kFinalBlock, 1, 1};
  config.shared_bytes = shared_bytes, config.name = kernel;
  return config;
}

void launch_loss(const KernelArgs& args) {
  const LogitRows t = logit_rows(args, 0);
  const auto target =
      numeric::smoothed_target<float>(args.attributes->number("label_smoothing"), t.classes);
  const RowResults results{args.out[1].as<float>(),
                           reinterpret_cast<float*>(args.workspace.data())};
  if (t.rows > 0 && t.classes < kWideRow) {
    launch(args.queue, cross_entropy_warp_per_row,
           threads("cross_entropy_warp_per_row", t.rows * t.lanes), t, target, results);
  } else if (t.rows > 0) {
    Config blocks = threads("cross_entropy_block_per_row", t.rows * kBlock);
    blocks.shared_bytes = sizeof(SharedChains);
    launch(args.queue, cross_entropy_block_per_row, blocks, t, target, results);
  }
  launch(args.queue, cross_entropy_of_rows, one_block("cross_entropy_of_rows", sizeof(SharedRows)),
         t, results.losses, args.out[0].as<float>(), args.out[2].as<std::int32_t>(), args.step);
}

void launch_gradient(const KernelArgs& args) {
  const LogitRows t = logit_rows(args, 1);
  const auto target =
      numeric::smoothed_target<float>(args.attributes->number("label_smoothing"), t.classes);
  GradientRows g{};
  g.d_loss = args.in[0].as<float>(), g.log_sum_exp = args.in[3].as<float>();
  g.counted = args.in[4].as<std::int32_t>(), g.on = target.on, g.off = target.off;
  g.dx = args.out[0].as<float>();
  g.jobs_of_row = (t.classes + kClassesOfJob - 1) / kClassesOfJob;
  if (t.rows > 0)
    launch(args.queue, cross_entropy_gradient_warp_per_row,
           threads("cross_entropy_gradient_warp_per_row", t.rows * g.jobs_of_row * t.lanes), t, g);
}

void launch_correct_count(const KernelArgs& args) {
  const LogitRows t = logit_rows(args, 0);
  auto* hits = reinterpret_cast<std::int32_t*>(args.workspace.data());
  if (t.rows > 0)
    launch(args.queue, correct_warp_per_row, threads("correct_warp_per_row", t.rows * t.lanes), t,
           hits);
  launch(args.queue, correct_of_rows, one_block("correct_of_rows", sizeof(SharedTallies)), t, hits,
         args.out[0].as<std::int32_t>(), args.out[1].as<std::int32_t>(), args.step);
}

Offer offer_rows(const Signature& signature, const DeviceModel&) {
  return offer_f32(signature, "cross_entropy_warp_per_row", 4 * signature.in[1].shape.elements());
}
Offer offer_gradient(const Signature& signature, const DeviceModel&) {
  return offer_f32(signature, "cross_entropy_gradient_warp_per_row");
}

const Kernel kKernels[] = {
    {"cross_entropy", "cross_entropy_warp_per_row", offer_rows, nullptr, launch_loss},
    {"cross_entropy_gradient", "cross_entropy_gradient_warp_per_row", offer_gradient, nullptr,
     launch_gradient},
    {"correct_count", "correct_warp_per_row", offer_rows, nullptr, launch_correct_count},
};

}  // namespace

std::span<const Kernel> cross_entropy_cuda_kernels() { return kKernels; }

}  // namespace fornax::kernels
