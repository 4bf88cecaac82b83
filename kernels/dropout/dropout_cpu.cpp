// Dropout on the CPU: threads split elements; a vector of Philox blocks makes the mask of
// 4 vectors. Bound by the ten rounds of Philox, about 20 operations an element.
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

HWY_BEFORE_NAMESPACE();
namespace fornax::dropout::HWY_NAMESPACE {
namespace num = numeric::HWY_NAMESPACE;

/// x[0 .. count), count <= 4 kLanes, with the words of their mask.
FORNAX_NUMERIC_FN void drop_tile(const float* x, float* y, const std::int32_t* words,
                                 std::int64_t count, float drop_p, float scale) {
  std::int64_t i = 0;
  for (; i + num::kLanes <= count; i += num::kLanes) {
    const auto keep = num::unit_interval(num::load_int(words + i)) >= num::Vector(drop_p);
    num::store(num::select(keep, num::load(x + i) * num::Vector(scale), num::Vector(0)), y + i);
  }
  for (; i < count; ++i) {
    const float u = num::unit_interval(static_cast<std::uint32_t>(words[i]));
    y[i] = u >= drop_p ? x[i] * scale : 0.0f;
  }
}

void drop_range(const kernels::DropoutMask& mask, float scale, const float* x, float* y,
                std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t kTile = 4 * num::kLanes;
  alignas(64) std::int32_t words[kTile];
  for (std::int64_t i = begin; i < end;) {
    const std::uint64_t element = mask.first + static_cast<std::uint64_t>(i), block = element / 4;
    const auto skipped = static_cast<std::int64_t>(element % 4);
    const std::int64_t count = std::min(end - i, kTile - skipped);
    if (static_cast<std::uint32_t>(block) > UINT32_MAX - num::kLanes)
      for (std::int64_t j = 0; j < count; ++j)
        words[skipped + j] = static_cast<std::int32_t>(
            numeric::random_word(mask.stream, element + static_cast<std::uint64_t>(j)));
    else
      num::random_words(mask.stream, block, words);
    drop_tile(x + i, y + i, words + skipped, count, mask.drop_p, scale);
    i += count;
  }
}

}  // namespace fornax::dropout::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::dropout {
namespace {

void launch_dropout(const kernels::KernelArgs& args) {
  const kernels::DropoutMask mask = kernels::dropout_mask(args, *args.step);
  const auto scale = static_cast<float>(kernels::dropout_scale(*args.attributes));
  host::parallel_for(args.in[0].elements(), host::kElementsOfPart, args.threads,
                     [&](std::int64_t begin, std::int64_t end) {
                       FORNAX_DISPATCH(drop_range)
                       (mask, scale, args.in[0].as<float>(), args.out[0].as<float>(), begin, end);
                     });
}

kernels::Offer offer(const kernels::Signature& signature, const kernels::DeviceModel&) {
  return host::offer_f32(signature, "dropout_elements");
}

const kernels::Kernel kKernels[] = {
    {"dropout", "dropout_elements", offer, nullptr, launch_dropout}};

}  // namespace
}  // namespace fornax::dropout

namespace fornax::kernels {
std::span<const Kernel> dropout_cpu_kernels() { return dropout::kKernels; }
}  // namespace fornax::kernels
#endif
