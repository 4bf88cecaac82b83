// Dropout on the CPU: threads split elements; four vectors of Philox blocks make the mask of 16
// vectors, which are written beside the next ones' rounds. Bound by those: see cost_of_dropout.
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

constexpr std::int64_t kTile = 4 * num::kRandomBlocks, kQuad = num::lanes_of<num::Quad>;
constexpr std::int64_t kAhead = 2 * kTile;  // how far x is fetched
static_assert(kTile / kQuad <= 5, "a Quad every other round of ten");

/// words[0 .. kTile) of the tile of its stream that element i is in.
template <class Beside = num::Nothing>
FORNAX_NUMERIC_FN void tile_words(const Dropout& d, std::int64_t i, std::int32_t* words,
                                  const Beside& beside = {}) {
  const std::uint64_t element = d.mask.first + static_cast<std::uint64_t>(i);
  num::random_words(d.mask.stream, element / kTile * num::kRandomBlocks, words, beside);
}

/// y from x and the words of its mask, where x begins.
struct Dropped {
  const float* x;
  const std::int32_t* words;
  std::int32_t least_kept;
  float scale;
  template <class T>
  FORNAX_NUMERIC_FN T operator()(std::int64_t j, T zero) const {
    const auto k = num::shift_right_logical<8>(num::load_words(words + j, zero));
    const auto dropped = k < decltype(k)(least_kept);
    return num::select(dropped, T(0), num::load(x + j, zero) * T(scale));
  }
};

/// Whole tiles from element `first` on: a tile is written beside the rounds that make the next
/// one's words. By itself it would keep memory busy alone, and they the processor.
FORNAX_NUMERIC_FN void drop_tiles(const Dropout& d, std::int64_t first, std::int64_t tiles) {
  alignas(64) std::int32_t words[2][kTile];
  const std::int32_t least_kept = d.mask.least_kept();
  const auto write = [=, &words, scale = d.scale, x = d.x, y = d.y, streamed = d.streamed](
                         std::int64_t tile, int quad) FORNAX_LAMBDA {
    const std::int64_t i = first + tile * kTile, at = quad * kQuad;
    const Dropped dropped{x + i, words[tile % 2], least_kept, scale};
    num::fetch(dropped.x + at + kAhead);
    const num::Quad kept = dropped(at, num::Quad());
    streamed ? num::stream(kept, y + i + at) : num::store(kept, y + i + at);
  };
  tile_words(d, first, words[0]);
  std::int64_t tile = 0;
  for (; tile + 1 < tiles; ++tile)
    tile_words(d, first + (tile + 1) * kTile, words[(tile + 1) % 2], [&](int round) FORNAX_LAMBDA {
      if (round % 2 == 0 && round / 2 < kTile / kQuad) write(tile, round / 2);
    });
  for (int quad = 0; quad < kTile / kQuad; ++quad) write(tile, quad);
}

void drop_range(const Dropout& d, std::int64_t begin, std::int64_t end) {
  alignas(64) std::int32_t memory[kTile];
  for (std::int64_t i = begin; i < end;) {
    const std::uint64_t element = d.mask.first + static_cast<std::uint64_t>(i);
    const auto skipped = static_cast<std::int64_t>(element % kTile);
    std::int64_t count = std::min(end - i, kTile - skipped);
    if (count == kTile && (!d.streamed || host::begins_line(d.y + i))) {
      count = (end - i) / kTile * kTile;
      drop_tiles(d, i, count / kTile);
    } else {
      tile_words(d, i, memory);
      const Dropped dropped{d.x + i, memory + skipped, d.mask.least_kept(), d.scale};
      num::fill_in_order(d.y + i, count, d.streamed, dropped, dropped.x + kAhead);
    }
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
