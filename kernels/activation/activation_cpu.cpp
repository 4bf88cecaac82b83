// Activation functions and their gradients on the CPU, vector by vector.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/activation/activation_cpu.cpp"
#include "hwy/foreach_target.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/vector.h"
#include "kernels/activation/activation_vector.h"
// clang-format on
#include "kernels/host/offer.h"
#include "kernels/host/parallel.h"
#include "kernels/host/row_kernel.h"
#include "kernels/rules.h"

HWY_BEFORE_NAMESPACE();
namespace fornax::activation::HWY_NAMESPACE {
namespace num = numeric::HWY_NAMESPACE;

void forward(kernels::Activation kind, const float* x, float* y, std::int64_t count,
             bool streamed) {
  num::activate_array(kind, x, y, count, streamed);
  num::end_streams(streamed);
}
void backward(kernels::Activation kind, const float* dy, const float* saved, float* dx,
              std::int64_t count, bool streamed) {
  num::activation_gradient_array(kind, dy, saved, dx, count, streamed);
  num::end_streams(streamed);
}

}  // namespace fornax::activation::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::kernels {
namespace {

Offer offer_activation(const Signature& signature, const DeviceModel&) {
  return host::offer_f32(signature, "activation_vectors");
}
Offer offer_activation_grad(const Signature& signature, const DeviceModel&) {
  return host::offer_f32(signature, "activation_grad_vectors");
}

void launch_activation(const KernelArgs& args) {
  using namespace fornax::activation;
  const Activation kind = activation_kind(args.attributes->text("kind"));
  const float* x = args.in[0].as<float>();
  float* y = args.out[0].as<float>();
  const bool streamed = host::is_streamed(args, 0, x);
  host::parallel_for(args.out[0].elements(), host::kElementsOfPart, args.threads,
                     [&](std::int64_t begin, std::int64_t end) {
                       FORNAX_DISPATCH(forward)(kind, x + begin, y + begin, end - begin, streamed);
                     });
}

void launch_activation_grad(const KernelArgs& args) {
  using namespace fornax::activation;
  const Activation kind = activation_kind(args.attributes->text("kind"));
  const float *dy = args.in[0].as<float>(), *saved = args.in[1].as<float>();
  float* dx = args.out[0].as<float>();
  const bool streamed = host::is_streamed(args, 0, dy, saved);
  host::parallel_for(args.out[0].elements(), host::kElementsOfPart, args.threads,
                     [&](std::int64_t begin, std::int64_t end) {
                       FORNAX_DISPATCH(backward)
                       (kind, dy + begin, saved + begin, dx + begin, end - begin, streamed);
                     });
}

const Kernel kKernels[] = {
    {"activation", "activation_vectors", offer_activation, nullptr, launch_activation, false,
     &host::kElementwiseByRows<launch_activation>},
    {"activation_grad", "activation_grad_vectors", offer_activation_grad, nullptr,
     launch_activation_grad, false, &host::kElementwiseByRows<launch_activation_grad>},
};

}  // namespace

std::span<const Kernel> activation_cpu_kernels() { return kKernels; }

}  // namespace fornax::kernels
#endif
