// Dropout on CUDA: one thread a Philox block, the 4 elements that share it.
// Bound by bytes, 8 an element.
#include "kernels/device/element.cuh"
#include "kernels/device/launch.cuh"
#include "kernels/launch_plan.h"
#include "kernels/dropout/dropout_launch.h"
#include "kernels/offer.h"

namespace fornax::kernels {
namespace {

using namespace fornax::device;

constexpr int kBlock = 128;

struct DropoutTask {
  const float *x;
  float *y;
  std::int64_t count, elements_per_sample;
  std::uint32_t purpose;
  float drop_p, scale;
  bool aligned;
};

/// Walks blocks of the stream by the grid's size, from the one that holds
/// element 0.
__global__ void dropout_thread_per_block(DropoutTask t, const StepState *step) {
  const numeric::RandomStream stream{
      read(&step->seed), t.purpose,
      static_cast<std::uint32_t>(read(&step->step))};
  const auto first = static_cast<std::uint64_t>(read(&step->first_sample) *
                                                t.elements_per_sample);
  const auto skipped = static_cast<std::int64_t>(first % 4);
  const std::int64_t blocks = (t.count + skipped + 3) / 4;
  for (std::int64_t b = grid_thread(); b < blocks; b += grid_threads()) {
    const auto words = numeric::random_block(
        stream, first / 4 + static_cast<std::uint64_t>(b));
    const std::int64_t begin = 4 * b - skipped;
    bool keep[4];
    for (int j = 0; j < 4; ++j)
      keep[j] = numeric::unit_interval(words.word[j]) >= t.drop_p;
    if (t.aligned && skipped == 0 && begin + 4 <= t.count) {
      Four v = read_four(t.x + begin);
      for (int j = 0; j < 4; ++j)
        v.v[j] = keep[j] ? v.v[j] * t.scale : 0.0f;
      write_four(t.y + begin, v);
      continue;
    }
    for (int j = 0; j < 4; ++j) {
      const std::int64_t i = begin + j;
      if (i >= 0 && i < t.count)
        write(t.y + i, keep[j] ? read(t.x + i) * t.scale : 0.0f);
    }
  }
}

void launch_dropout(const KernelArgs &args) {
  DropoutTask t{};
  t.x = args.in[0].as<float>(), t.y = args.out[0].as<float>();
  t.count = args.in[0].elements(),
  t.elements_per_sample = elements_per_sample(args);
  t.purpose = static_cast<std::uint32_t>(args.attributes->integer("purpose"));
  t.drop_p = static_cast<float>(args.attributes->number("drop_p"));
  t.scale = static_cast<float>(dropout_scale(*args.attributes));
  t.aligned = aligned_to_four(t.x) && aligned_to_four(t.y);
  if (t.count == 0)
    return;
  Config config;
  config.grid = blocks_for(t.count / 4 + 2, kBlock),
  config.block = {kBlock, 1, 1};
  config.name = "dropout_thread_per_block";
  launch(args.queue, dropout_thread_per_block, config, t, args.step);
}

Offer offer(const Signature &signature, const DeviceModel &) {
  return offer_f32(signature, "dropout_thread_per_block");
}

const Kernel kKernels[] = {
    {"dropout", "dropout_thread_per_block", offer, nullptr, launch_dropout}};

} // namespace

std::span<const Kernel> dropout_cuda_kernels() { return kKernels; }

} // namespace fornax::kernels
