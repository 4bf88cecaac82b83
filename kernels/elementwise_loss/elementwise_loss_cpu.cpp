// Elementwise losses on the CPU: threads share the chunks of the ordered sum, and elements
// backward. 8 bytes an element forward, 12 backward; binary cross entropy is bound by arithmetic.
#undef HWY_TARGET_INCLUDE
// clang-format off
#define HWY_TARGET_INCLUDE "kernels/elementwise_loss/elementwise_loss_cpu.cpp"
#include "hwy/foreach_target.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/vector.h"
// clang-format on
#include "kernels/elementwise_loss/loss_element.h"
#include "kernels/host/offer.h"
#include "kernels/host/parallel.h"
#include "kernels/host/row_kernel.h"

#ifndef FORNAX_ELEMENTWISE_LOSSES
#define FORNAX_ELEMENTWISE_LOSSES
namespace fornax::elementwise_loss {
struct Losses {
  const float *x, *target;
  std::int64_t count;
  float* sums;  ///< of chunks
};
}  // namespace fornax::elementwise_loss
#endif

HWY_BEFORE_NAMESPACE();
#define FORNAX_NUMERIC_PER_TARGET
#include "kernels/elementwise_loss/loss_element.h"
#undef FORNAX_NUMERIC_PER_TARGET
#include "kernels/numeric/namespace.h"

namespace fornax::elementwise_loss::HWY_NAMESPACE {
namespace num = numeric::HWY_NAMESPACE;

/// One element's loss from where it stands.
struct Squared {
  const float *x, *target;
  template <class Index, class T>
  FORNAX_NUMERIC_FN T operator()(Index i, T zero) const {
    return num::squared_error(num::load(x + i, zero), num::load(target + i, zero));
  }
};
struct Logistic {
  const float *x, *target;
  template <class Index, class T>
  FORNAX_NUMERIC_FN T operator()(Index i, T zero) const {
    if constexpr (std::is_same_v<T, num::Quad>) {
      num::fetch(x + num::kTwoFetchedAhead + i);
      num::fetch(target + num::kTwoFetchedAhead + i);
    }
    return num::logistic_loss(num::load(x + i, zero), num::load(target + i, zero));
  }
};

/// sums[k] of the chunks [begin, end) of `count` elements.
void squared_sums(const Losses& l, std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t kChunk = numeric::kSumChunk;
  for (std::int64_t k = begin; k < end; ++k)
    l.sums[k] = num::ordered_chunk<num::Vector, num::kLanes>(
        k * kChunk, std::min(l.count, (k + 1) * kChunk), Squared{l.x, l.target});
}
void logistic_sums(const Losses& l, std::int64_t begin, std::int64_t end) {
  num::ordered_chunk_sums<num::Vector, num::kLanes, 2>(begin, end, l.count, Logistic{l.x, l.target},
                                                       l.sums);
}
void squared_losses(const float* x, const float* target, float* losses, std::int64_t count) {
  num::fill_array(losses, count, false, Squared{x, target});
}
void logistic_losses(const float* x, const float* target, float* losses, std::int64_t count) {
  num::fill_array(losses, count, false, Logistic{x, target});
}
float sum_of(const float* losses, std::int64_t count) {
  return num::ordered_sum<num::Vector, num::kLanes>(losses, count);
}

void squared_gradient(const float* x, const float* target, float* dx, std::int64_t count,
                      float weight, bool streamed) {
  num::fill_array(dx, count, streamed, [=](auto i, auto zero) FORNAX_LAMBDA {
    const auto x_i = num::load(x + i, zero), target_i = num::load(target + i, zero);
    return num::squared_error_gradient(x_i, target_i, decltype(zero)(weight));
  });
  num::end_streams(streamed);
}
void logistic_gradient(const float* x, const float* target, float* dx, std::int64_t count,
                       float weight, bool streamed) {
  num::fill_array(dx, count, streamed, [=](auto i, auto zero) FORNAX_LAMBDA {
    const auto x_i = num::load(x + i, zero), target_i = num::load(target + i, zero);
    return num::logistic_loss_gradient(x_i, target_i, decltype(zero)(weight));
  });
  num::end_streams(streamed);
}

}  // namespace fornax::elementwise_loss::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::elementwise_loss {
namespace {

using kernels::KernelArgs;

std::int64_t chunks_of(std::int64_t elements) {
  return (elements + numeric::kSumChunk - 1) / numeric::kSumChunk;
}

auto* squared_form() { return &FORNAX_DISPATCH(squared_sums); }
auto* logistic_form() { return &FORNAX_DISPATCH(logistic_sums); }
auto* squared_losses_form() { return &FORNAX_DISPATCH(squared_losses); }
auto* logistic_losses_form() { return &FORNAX_DISPATCH(logistic_losses); }
auto* squared_gradient_form() { return &FORNAX_DISPATCH(squared_gradient); }
auto* logistic_gradient_form() { return &FORNAX_DISPATCH(logistic_gradient); }

template <auto sums_form>
void launch_loss(const KernelArgs& args) {
  const std::int64_t count = args.in[0].elements(), chunks = chunks_of(count);
  const Losses losses{args.in[0].as<float>(), args.in[1].as<float>(), count,
                      reinterpret_cast<float*>(args.workspace.data())};
  host::parallel_for(chunks, 1, args.threads, [&](std::int64_t begin, std::int64_t end) {
    sums_form()(losses, begin, end);
  });
  *args.out[0].as<float>() =
      count == 0 ? 0.0f
                 : numeric::ordered_sum_of_chunks(losses.sums, chunks) / static_cast<float>(count);
}

/// `elements`: of which the loss is the mean.
template <auto gradient_form, int factor>
void gradient(const KernelArgs& args, std::int64_t elements) {
  const std::int64_t count = args.in[1].elements();
  const float weight =
      static_cast<float>(factor) * *args.in[0].as<float>() / static_cast<float>(elements);
  const float *x = args.in[1].as<float>(), *target = args.in[2].as<float>();
  float* dx = args.out[0].as<float>();
  const bool streamed = host::is_streamed(args, 0, x, target);
  host::parallel_for(
      count, host::kElementsOfPart, args.threads, [&](std::int64_t begin, std::int64_t end) {
        gradient_form()(x + begin, target + begin, dx + begin, end - begin, weight, streamed);
      });
}

template <auto gradient_form, int factor>
void launch_gradient(const KernelArgs& args) {
  gradient<gradient_form, factor>(args, args.in[1].elements());
}

using host::RowAccess;
using host::RowBand;
using host::RowPlan;

bool plan_loss(const kernels::Signature& s, RowPlan& plan) {
  plan.in = {RowAccess::rows, RowAccess::rows};
  plan.out = {RowAccess::whole};
  plan.kept_bytes = 4 * s.in[0].shape.elements();
  return host::plan_rows_of(s.in[0].shape, plan);
}
template <auto losses_form>
void loss_band(const KernelArgs& args, const RowBand& band) {
  const std::int64_t count = args.in[0].elements();
  losses_form()(args.in[0].as<float>(), args.in[1].as<float>(),
                reinterpret_cast<float*>(band.kept) + band.first * (count / band.count), count);
}
void finish_loss(const KernelArgs& args, std::byte* losses) {
  const std::int64_t count = args.in[0].elements();
  *args.out[0].as<float>() =
      FORNAX_DISPATCH(sum_of)(reinterpret_cast<const float*>(losses), count) /
      static_cast<float>(count);
}
template <auto losses_form>
constexpr host::RowKernel kLossByRows{plan_loss, nullptr, loss_band<losses_form>, nullptr,
                                      finish_loss};

bool plan_gradient(const kernels::Signature& s, RowPlan& plan) {
  plan.in = {RowAccess::whole, RowAccess::rows, RowAccess::rows};
  plan.out = {RowAccess::rows};
  return host::plan_rows_of(s.in[1].shape, plan);
}
template <auto gradient_form, int factor>
void gradient_band(const KernelArgs& args, const RowBand& band) {
  gradient<gradient_form, factor>(args, args.in[1].elements() / band.count * band.rows);
}
template <auto gradient_form, int factor>
constexpr host::RowKernel kGradientByRows{plan_gradient, nullptr,
                                          gradient_band<gradient_form, factor>, nullptr, nullptr};

kernels::Offer offer(const kernels::Signature& signature, const kernels::DeviceModel&) {
  return host::offer_f32(signature, "elementwise_loss",
                         4 * chunks_of(signature.in[0].shape.elements()));
}

const kernels::Kernel kKernels[] = {
    {"mean_squared_error", "mean_squared_error_chunks", offer, nullptr, launch_loss<squared_form>,
     false, &kLossByRows<squared_losses_form>},
    {"binary_cross_entropy", "binary_cross_entropy_chunks", offer, nullptr,
     launch_loss<logistic_form>, false, &kLossByRows<logistic_losses_form>},
    {"mean_squared_error_gradient", "mean_squared_error_gradient_elements", offer, nullptr,
     launch_gradient<squared_gradient_form, 2>, false, &kGradientByRows<squared_gradient_form, 2>},
    {"binary_cross_entropy_gradient", "binary_cross_entropy_gradient_elements", offer, nullptr,
     launch_gradient<logistic_gradient_form, 1>, false,
     &kGradientByRows<logistic_gradient_form, 1>},
};

}  // namespace
}  // namespace fornax::elementwise_loss

namespace fornax::kernels {
std::span<const Kernel> elementwise_loss_cpu_kernels() { return elementwise_loss::kKernels; }
}  // namespace fornax::kernels
#endif
