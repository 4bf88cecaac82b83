// Dropout on the CPU: threads split elements; four vectors of Philox blocks make the mask
// of 16 vectors. Bound by the ten rounds of Philox, about 20 operations an element.
#undef HWY_TARGET_INCLUDE
// clang-format off
#define HWY_TARGET_INCLUDE "kernels/dropout/dropout_cpu.cpp"
#include "hwy/foreach_target.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/vector.h"
// clang-format on
#include "kernels/dropout/dropout_launch.h"
#include "kernels/host/offer.h"
#include "kernels/host/parallel.h"
#include "kernels/host/row_kernel.h"

#ifndef FORNAX_DROPOUT_OPERANDS
#define FORNAX_DROPOUT_OPERANDS
namespace fornax::dropout {
struct Dropout {
  kernels::DropoutMask mask;
  float scale;
  const float* x;
  float* y;
  bool streamed;  ///< y is written past the caches
};
}  // namespace fornax::dropout
#endif

HWY_BEFORE_NAMESPACE();
namespace fornax::dropout::HWY_NAMESPACE {
namespace num = numeric::HWY_NAMESPACE;

void drop_range(const Dropout& d, std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t kTile = 4 * num::kRandomBlocks, kAhead = 2 * kTile;
  alignas(64) std::int32_t memory[kTile];
  const std::int32_t least_kept = d.mask.least_kept();
  const float scale = d.scale;
  for (std::int64_t i = begin; i < end;) {
    const std::uint64_t element = d.mask.first + static_cast<std::uint64_t>(i);
    const auto skipped = static_cast<std::int64_t>(element % kTile);
    const std::int64_t count = std::min(end - i, kTile - skipped);
    num::random_words(d.mask.stream, element / kTile * num::kRandomBlocks, memory);
    const std::int32_t* words = memory + skipped;
    const float* x = d.x + i;
    const auto dropped_or_scaled = [=](std::int64_t j, auto zero) FORNAX_LAMBDA {
      using T = decltype(zero);
      const auto k = num::shift_right_logical<8>(num::load_words(words + j, zero));
      const auto dropped = k < decltype(k)(least_kept);
      return num::select(dropped, T(0), num::load(x + j, zero) * T(scale));
    };
    num::fill_in_order(d.y + i, count, d.streamed, dropped_or_scaled, x + kAhead);
    i += count;
  }
  num::end_streams(d.streamed);
}

}  // namespace fornax::dropout::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::dropout {
namespace {

/// `first`: of the elements before those of args.
void drop(const kernels::KernelArgs& args, std::int64_t first) {
  const float* x = args.in[0].as<float>();
  Dropout d{kernels::dropout_mask(args, *args.step),
            static_cast<float>(kernels::dropout_scale(*args.attributes)), x,
            args.out[0].as<float>(), host::is_streamed(args, 0, x)};
  d.mask.first += static_cast<std::uint64_t>(first);
  host::parallel_for(args.out[0].elements(), host::kElementsOfPart, args.threads,
                     [&](std::int64_t begin, std::int64_t end) {
                       FORNAX_DISPATCH(drop_range)(d, begin, end);
                     });
}

void launch_dropout(const kernels::KernelArgs& args) { drop(args, 0); }
void dropout_band(const kernels::KernelArgs& args, const host::RowBand& band) {
  drop(args, band.first * (args.out[0].elements() / band.count));
}
/// Of matrices: a sample's elements are then those of its row.
bool plan_dropout(const kernels::Signature& signature, host::RowPlan& plan) {
  return signature.out[0].shape.rank() == 2 && host::plan_elementwise(signature, plan);
}
constexpr host::RowKernel kDropoutByRows{plan_dropout, nullptr, dropout_band, nullptr, nullptr};

kernels::Offer offer(const kernels::Signature& signature, const kernels::DeviceModel&) {
  return host::offer_f32(signature, "dropout_elements");
}

const kernels::Kernel kKernels[] = {
    {"dropout", "dropout_elements", offer, nullptr, launch_dropout, false, &kDropoutByRows}};

}  // namespace
}  // namespace fornax::dropout

namespace fornax::kernels {
std::span<const Kernel> dropout_cpu_kernels() { return dropout::kKernels; }
}  // namespace fornax::kernels
#endif
