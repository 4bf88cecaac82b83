// Activation functions and their gradients on CUDA: four elements a thread. Bound by memory:
// 8 (activation) and 12 (gradient) bytes an element in f32.
#include "kernels/activation/activation_functions.h"
#include "kernels/device/element.cuh"
#include "kernels/device/launch.cuh"
#include "kernels/launch_plan.h"
#include "kernels/rules.h"

namespace fornax::kernels {
namespace {

using namespace fornax::device;

constexpr int kBlock = 256;

/// y = f(x) where dy is null, else dx from dy and saved = x. Any block along x, any grid. The first
/// `in_fours` elements go four at a time: all, or none where something is not aligned to four.
template <class E>
__global__ void activation_elements(Activation kind, const E* dy, const E* x, E* y,
                                    std::int64_t count, std::int64_t in_fours) {
  for (std::int64_t i = 4 * grid_thread(); i < count; i += 4 * grid_threads()) {
    if (i < in_fours) {
      Four value = read_four(x + i);
      if (dy) {
        const Four d = read_four(dy + i);
        for (int j = 0; j < 4; ++j)
          value.v[j] = numeric::activation_gradient(kind, d.v[j], value.v[j]);
      } else {
        for (int j = 0; j < 4; ++j) value.v[j] = numeric::activate(kind, value.v[j]);
      }
      write_four(y + i, value);
      continue;
    }
    for (std::int64_t j = i; j < i + 4 && j < count; ++j) {
      const float value = read_element(x + j);
      write_element(y + j, dy ? numeric::activation_gradient(kind, read_element(dy + j), value)
                              : numeric::activate(kind, value));
    }
  }
}

Offer offer_elements(const Signature& s, const DeviceModel&) {
  if (has_element(s.in[0].dtype)) return {};
  return {.refusal = "activation_elements: f32, bf16 or f16 needed, got " +
                     std::string(name(s.in[0].dtype))};
}

void launch_elements(const KernelArgs& args, bool gradient) {
  const Activation kind = activation_kind(args.attributes->text("kind"));
  const std::int64_t count = args.out[0].elements();
  if (count == 0) return;
  with_element(args.out[0].type->dtype, [&]<class E>(E) {
    Config config;
    config.grid = blocks_for((count + 3) / 4, kBlock), config.block = {kBlock, 1, 1};
    config.name = gradient ? "activation_elements_gradient" : "activation_elements";
    const E* dy = gradient ? args.in[0].as<E>() : nullptr;
    const E* x = args.in[gradient ? 1 : 0].as<E>();
    E* y = args.out[0].as<E>();
    const bool aligned = aligned_to_four(dy) && aligned_to_four(x) && aligned_to_four(y);
    launch(args.queue, activation_elements<E>, config, kind, dy, x, y, count,
           aligned ? count / 4 * 4 : 0);
  });
}

void launch_activation(const KernelArgs& args) { launch_elements(args, false); }
void launch_activation_grad(const KernelArgs& args) { launch_elements(args, true); }

const Kernel kKernels[] = {
    {"activation", "activation_elements", offer_elements, nullptr, launch_activation},
    {"activation_grad", "activation_grad_elements", offer_elements, nullptr,
     launch_activation_grad},
};

}  // namespace

std::span<const Kernel> activation_cuda_kernels() { return kKernels; }

}  // namespace fornax::kernels
