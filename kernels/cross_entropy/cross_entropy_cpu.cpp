// Cross entropy, its gradient and the count of right arg-maxes on the CPU: threads split rows,
// the rows' losses are summed by the caller. Bound by bytes: 4 a logit forward, 8 backward.
#undef HWY_TARGET_INCLUDE
// clang-format off
#define HWY_TARGET_INCLUDE "kernels/cross_entropy/cross_entropy_cpu.cpp"
#include "hwy/foreach_target.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/vector.h"
// clang-format on
#include "kernels/cross_entropy/cross_entropy_row.h"
#include "kernels/cross_entropy/labels.h"
#include "kernels/host/offer.h"
#include "kernels/host/parallel.h"
#include "kernels/host/row_kernel.h"
#include "kernels/softmax/row_vector.h"

HWY_BEFORE_NAMESPACE();
#define FORNAX_NUMERIC_PER_TARGET
#include "kernels/cross_entropy/cross_entropy_row.h"
#undef FORNAX_NUMERIC_PER_TARGET
#include "kernels/numeric/namespace.h"

namespace fornax::cross_entropy::HWY_NAMESPACE {
namespace num = numeric::HWY_NAMESPACE;

/// Up to so many classes a vector takes one class of kLanes rows: short rows would leave it empty.
constexpr std::int64_t kFewClasses = 32;

/// out[c * kLanes + j] = x[j, c] of kLanes rows, and back.
FORNAX_NUMERIC_FN void rows_to_lanes(const float* x, std::int64_t classes, float* out) {
  for (std::int64_t j = 0; j < num::kLanes; ++j)
    for (std::int64_t c = 0; c < classes; ++c) out[c * num::kLanes + j] = x[j * classes + c];
}
FORNAX_NUMERIC_FN void lanes_to_rows(const float* in, std::int64_t classes, float* x) {
  for (std::int64_t j = 0; j < num::kLanes; ++j)
    for (std::int64_t c = 0; c < classes; ++c) x[j * classes + c] = in[c * num::kLanes + j];
}

/// log(sum of e^x) of kLanes rows of few classes: each class is a chain of its own.
void lanewise_log_sum_exp(const float* x, std::int64_t classes, float* log_sum_exp) {
  alignas(64) float lanes[kFewClasses * num::kLanes];
  rows_to_lanes(x, classes, lanes);
  num::Vector largest = num::load(lanes), chain[kFewClasses];
  for (std::int64_t c = 1; c < classes; ++c)
    largest = num::max(largest, num::load(lanes + c * num::kLanes));
  for (std::int64_t c = 0; c < classes; ++c)
    chain[c] = num::exp(num::load(lanes + c * num::kLanes) - largest);
  for (std::int64_t half = kFewClasses / 2; half > 0; half /= 2)
    for (std::int64_t c = 0; c < half && c + half < classes; ++c)
      chain[c] = chain[c] + chain[c + half];
  num::store(largest + num::log(chain[0]), log_sum_exp);
}

/// log(sum of e^x) of the rows [begin, end); finish(first, last) for some of them at a time, while
/// they are in a cache.
template <class Finish>
FORNAX_NUMERIC_FN void log_sum_exp_rows(const kernels::LabelledRows& rows, float* log_sum_exp,
                                        std::int64_t begin, std::int64_t end,
                                        const Finish& finish) {
  constexpr std::int64_t kAtOnce = 4 * num::kLanes;
  std::int64_t row = begin;
  if (rows.classes <= kFewClasses)
    for (; row + num::kLanes <= end; row += num::kLanes) {
      lanewise_log_sum_exp(rows.logits + row * rows.classes, rows.classes, log_sum_exp + row);
      finish(row, row + num::kLanes);
    }
  if (row == end) return;
  num::RowWalk walk(rows.logits + row * rows.classes, rows.classes, end - row, false);
  while (row < end) {
    float largest[kAtOnce];
    float* sums = log_sum_exp + row;
    const std::int64_t count = std::min(kAtOnce, end - row);
    for (std::int64_t i = 0; i < count; ++i) {
      largest[i] = walk.maximum;
      sums[i] = walk.sum_of_exp(nullptr, [](std::int64_t) FORNAX_LAMBDA {});
    }
    num::for_vectors(0, count, [&](std::int64_t i, auto zero) FORNAX_LAMBDA {
      num::store(num::load(largest + i, zero) + num::log(num::load(sums + i, zero)), sums + i);
    });
    finish(row, row + count);
    row += count;
  }
}

void loss_rows(const kernels::LabelledRows& rows, numeric::SmoothedTarget<float> target,
               float* log_sum_exp, float* losses, std::int64_t begin, std::int64_t end) {
  const auto finish = [&](std::int64_t first, std::int64_t last) FORNAX_LAMBDA {
    for (std::int64_t row = first; row < last; ++row) {
      const float* x = rows.logits + row * rows.classes;
      losses[row] = 0;
      if (!rows.valid(row)) continue;
      float mean = 0;
      if (target.smoothing != 0)
        mean = num::ordered_sum<num::Vector, num::kLanes>(x, rows.classes) /
               static_cast<float>(rows.classes);
      losses[row] = numeric::row_loss(log_sum_exp[row], x[rows.labels[row]], mean, target);
    }
  };
  log_sum_exp_rows(rows, log_sum_exp, begin, end, finish);
}

float sum_of(const float* losses, std::int64_t rows) {
  return num::ordered_sum<num::Vector, num::kLanes>(losses, rows);
}

/// kLanes rows of few classes as if no label were theirs.
void lanewise_gradient(const float* x, float* dx, std::int64_t classes, const float* log_sum_exp,
                       const kernels::RowGradient& row) {
  alignas(64) float lanes[kFewClasses * num::kLanes];
  rows_to_lanes(x, classes, lanes);
  const num::Vector sums = num::load(log_sum_exp), off(row.off), weight(row.weight);
  for (std::int64_t c = 0; c < classes; ++c) {
    float* lane = lanes + c * num::kLanes;
    num::store(num::logit_gradient(num::load(lane), sums, off, weight), lane);
  }
  lanes_to_rows(lanes, classes, dx);
}

FORNAX_NUMERIC_FN void gradient_row(const float* x, float* dx, std::int64_t classes,
                                    const kernels::RowGradient& row) {
  num::map(x, dx, classes, [&](auto logit) FORNAX_LAMBDA {
    using T = decltype(logit);
    return num::logit_gradient(logit, T(row.log_sum_exp), T(row.off), T(row.weight));
  });
}

/// `count` rows from `first` on; dx may be the logits. `row` is the same for all but log_sum_exp.
void gradient_group(const kernels::LabelledRows& rows, const float* log_sum_exp,
                    kernels::RowGradient row, float* dx, std::int64_t first, std::int64_t count) {
  const std::int64_t classes = rows.classes;
  const bool lanewise = classes <= kFewClasses && count == num::kLanes;
  const float* x = rows.logits + first * classes;
  float at_label[num::kLanes] = {};
  for (std::int64_t r = 0; r < count; ++r)
    if (rows.valid(first + r))
      at_label[r] = num::logit_gradient(x[r * classes + rows.labels[first + r]],
                                        log_sum_exp[first + r], row.on, row.weight);
  if (lanewise) lanewise_gradient(x, dx + first * classes, classes, log_sum_exp + first, row);
  for (std::int64_t r = 0; r < count; ++r) {
    float* to = dx + (first + r) * classes;
    row.log_sum_exp = log_sum_exp[first + r];
    if (!lanewise) gradient_row(x + r * classes, to, classes, row);
    if (rows.valid(first + r))
      to[rows.labels[first + r]] = at_label[r];
    else
      std::fill_n(to, classes, 0.0f);
  }
}

void gradient_rows(const kernels::LabelledRows& rows, const float* log_sum_exp,
                   const kernels::RowGradient& row, float* dx, std::int64_t begin,
                   std::int64_t end) {
  for (std::int64_t first = begin; first < end; first += num::kLanes)
    gradient_group(rows, log_sum_exp, row, dx, first,
                   std::min<std::int64_t>(num::kLanes, end - first));
}

/// Whether none of x[0 .. count) is `value`, NaN being NaN.
bool has_none(const float* x, std::int64_t count, float value) {
  const auto is_value = [=](auto at) FORNAX_LAMBDA {
    using T = decltype(at);
    return value != value ? num::is_nan(at) : at == T(value);
  };
  std::int64_t i = 0;
  for (; i + num::kLanes <= count; i += num::kLanes)
    if (num::any(is_value(num::load(x + i)))) return false;
  for (; i < count; ++i)
    if (is_value(x[i])) return false;
  return true;
}

/// The maximum of x[0 .. count), count >= 1; NaN when there is one, which the processor's own
/// instruction loses.
float maximum_or_nan(const float* x, std::int64_t count) {
  num::Maximum largest;
  num::Mask numbers = num::Vector(0.0f) == num::Vector(0.0f);
  const auto take = [&](int v, num::Vector values) FORNAX_LAMBDA {
    largest.take(v, values);
    numbers = numbers & (values == values);
  };
  constexpr int kStep = num::Maximum::kVectors * num::kLanes;
  std::int64_t i = 0;
  for (; i + kStep <= count; i += kStep)
    for (int v = 0; v < num::Maximum::kVectors; ++v) take(v, num::load(x + i + v * num::kLanes));
  for (; i + num::kLanes <= count; i += num::kLanes) take(0, num::load(x + i));
  for (; i < count; ++i) take(0, num::Vector(x[i]));
  return num::any(!numbers) ? numeric::from_bits(numeric::kNanBits) : largest.value();
}

/// hits[row] = 1 when the first of the largest logits is the label's.
void hit_rows(const kernels::LabelledRows& rows, std::int32_t* hits, std::int64_t begin,
              std::int64_t end) {
  for (std::int64_t row = begin; row < end; ++row) {
    hits[row] = 0;
    if (!rows.valid(row)) continue;
    const float* x = rows.logits + row * rows.classes;
    const float largest = maximum_or_nan(x, rows.classes);
    const std::int32_t label = rows.labels[row];
    hits[row] = !has_none(x + label, 1, largest) && has_none(x, label, largest);
  }
}

}  // namespace fornax::cross_entropy::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::cross_entropy {
namespace {

using kernels::KernelArgs;
using kernels::LabelledRows;

auto target_of(const KernelArgs& args, const LabelledRows& rows) {
  return numeric::smoothed_target<float>(args.attributes->number("label_smoothing"), rows.classes);
}

void count_rows(const KernelArgs& args) {
  *args.out.back().as<std::int32_t>() =
      kernels::count_labels(kernels::labelled_rows(args, 0), *args.step);
}

/// From the losses of the rows, and from how many count.
void finish_loss(const KernelArgs& args, std::byte* losses) {
  const std::int32_t counted = *args.out[2].as<std::int32_t>();
  const float total =
      FORNAX_DISPATCH(sum_of)(reinterpret_cast<const float*>(losses), args.in[1].elements());
  *args.out[0].as<float>() = counted == 0 ? 0.0f : total / static_cast<float>(counted);
}

void launch_loss(const KernelArgs& args) {
  const LabelledRows rows = kernels::labelled_rows(args, 0);
  const auto target = target_of(args, rows);
  auto* losses = reinterpret_cast<float*>(args.workspace.data());
  auto* log_sum_exp = args.out[1].as<float>();
  host::parallel_for(rows.count, host::rows_of_part(rows.classes), args.threads,
                     [&](std::int64_t begin, std::int64_t end) {
                       FORNAX_DISPATCH(loss_rows)(rows, target, log_sum_exp, losses, begin, end);
                     });
  count_rows(args);
  finish_loss(args, args.workspace.data());
}

void gradient_of_rows(const KernelArgs& args, const LabelledRows& rows, std::int64_t begin,
                      std::int64_t end) {
  const auto target = target_of(args, rows);
  const float weight = *args.in[0].as<float>() / static_cast<float>(*args.in[4].as<std::int32_t>());
  const kernels::RowGradient row{0.0f, weight, target.on, target.off};
  FORNAX_DISPATCH(gradient_rows)
  (rows, args.in[3].as<float>(), row, args.out[0].as<float>(), begin, end);
}

void launch_gradient(const KernelArgs& args) {
  const LabelledRows rows = kernels::labelled_rows(args, 1);
  host::parallel_for(
      rows.count, host::rows_of_part(rows.classes), args.threads,
      [&](std::int64_t begin, std::int64_t end) { gradient_of_rows(args, rows, begin, end); });
}

void finish_correct_count(const KernelArgs& args, std::byte* hits) {
  std::int32_t correct = 0;
  for (std::int64_t row = 0; row < args.in[1].elements(); ++row)
    correct += reinterpret_cast<const std::int32_t*>(hits)[row];
  *args.out[0].as<std::int32_t>() = correct;
}

void launch_correct_count(const KernelArgs& args) {
  const LabelledRows rows = kernels::labelled_rows(args, 0);
  auto* hits = reinterpret_cast<std::int32_t*>(args.workspace.data());
  host::parallel_for(rows.count, host::rows_of_part(rows.classes), args.threads,
                     [&](std::int64_t begin, std::int64_t end) {
                       FORNAX_DISPATCH(hit_rows)(rows, hits, begin, end);
                     });
  finish_correct_count(args, args.workspace.data());
  count_rows(args);
}

using host::RowAccess;
using host::RowBand;
using host::RowPlan;

bool plan_loss(const kernels::Signature& s, RowPlan& plan) {
  plan.rows = s.in[1].shape.elements();
  plan.in = {RowAccess::rows, RowAccess::begin};
  plan.out = {RowAccess::whole, RowAccess::rows, RowAccess::begin};
  plan.kept_bytes = 4 * plan.rows;
  return true;
}
void loss_band(const KernelArgs& args, const RowBand& band) {
  const LabelledRows rows = kernels::labelled_rows(args, 0);
  FORNAX_DISPATCH(loss_rows)
  (rows, target_of(args, rows), args.out[1].as<float>(),
   reinterpret_cast<float*>(band.kept) + band.first, 0, rows.count);
}

bool plan_gradient(const kernels::Signature& s, RowPlan& plan) {
  plan.rows = s.in[2].shape.elements();
  plan.in = {RowAccess::whole, RowAccess::rows, RowAccess::rows, RowAccess::rows, RowAccess::whole};
  plan.out = {RowAccess::rows};
  return true;
}
void gradient_band(const KernelArgs& args, const RowBand&) {
  const LabelledRows rows = kernels::labelled_rows(args, 1);
  gradient_of_rows(args, rows, 0, rows.count);
}

bool plan_correct_count(const kernels::Signature& s, RowPlan& plan) {
  plan.rows = s.in[1].shape.elements();
  plan.in = {RowAccess::rows, RowAccess::begin};
  plan.out = {RowAccess::whole, RowAccess::begin};
  plan.kept_bytes = 4 * plan.rows;
  return true;
}
void hits_band(const KernelArgs& args, const RowBand& band) {
  const LabelledRows rows = kernels::labelled_rows(args, 0);
  FORNAX_DISPATCH(hit_rows)
  (rows, reinterpret_cast<std::int32_t*>(band.kept) + band.first, 0, rows.count);
}

constexpr host::RowKernel kLossByRows{plan_loss, count_rows, loss_band, nullptr, finish_loss};
constexpr host::RowKernel kGradientByRows{plan_gradient, nullptr, gradient_band, nullptr, nullptr};
constexpr host::RowKernel kHitsByRows{plan_correct_count, count_rows, hits_band, nullptr,
                                      finish_correct_count};

kernels::Offer offer_rows(const kernels::Signature& signature, const kernels::DeviceModel&) {
  return host::offer_f32(signature, "cross_entropy_rows", 4 * signature.in[1].shape.elements());
}
kernels::Offer offer_gradient(const kernels::Signature& signature, const kernels::DeviceModel&) {
  return host::offer_f32(signature, "cross_entropy_gradient_rows");
}

const kernels::Kernel kKernels[] = {
    {"cross_entropy", "cross_entropy_rows", offer_rows, nullptr, launch_loss, false, &kLossByRows},
    {"cross_entropy_gradient", "cross_entropy_gradient_rows", offer_gradient, nullptr,
     launch_gradient, false, &kGradientByRows},
    {"correct_count", "correct_count_rows", offer_rows, nullptr, launch_correct_count, false,
     &kHitsByRows},
};

}  // namespace
}  // namespace fornax::cross_entropy

namespace fornax::kernels {
std::span<const Kernel> cross_entropy_cpu_kernels() { return cross_entropy::kKernels; }
}  // namespace fornax::kernels
#endif
