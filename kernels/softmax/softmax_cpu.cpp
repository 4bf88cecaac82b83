// softmax, log_softmax and their gradients on the CPU: threads split rows; every row passes
// through the cache once from memory. Bound by bytes: 8 an element (12 for the gradients).
#undef HWY_TARGET_INCLUDE
// clang-format off
#define HWY_TARGET_INCLUDE "kernels/softmax/softmax_cpu.cpp"
#include "hwy/foreach_target.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/vector.h"
// clang-format on
#include "kernels/host/offer.h"
#include "kernels/host/parallel.h"
#include "kernels/op.h"
#include "kernels/softmax/row_vector.h"

HWY_BEFORE_NAMESPACE();
namespace fornax::softmax::HWY_NAMESPACE {
namespace num = numeric::HWY_NAMESPACE;

void softmax_rows(const float* x, float* y, std::int64_t rows, std::int64_t width) {
  for (std::int64_t row = 0; row < rows; ++row, x += width, y += width) {
    const float inverse = 1.0f / num::sum_of_exp(x, num::row_maximum(x, width), y, width);
    num::map(y, y, width, [=](auto e) FORNAX_LAMBDA { return e * decltype(e)(inverse); });
  }
}

void log_softmax_rows(const float* x, float* y, std::int64_t rows, std::int64_t width) {
  for (std::int64_t row = 0; row < rows; ++row, x += width, y += width) {
    const float largest = num::row_maximum(x, width);
    const float log_sum = num::log(num::sum_of_exp(x, largest, nullptr, width));
    num::map(x, y, width, [=](auto v) FORNAX_LAMBDA {
      using T = decltype(v);
      return (v - T(largest)) - T(log_sum);
    });
  }
}

void softmax_gradient_rows(const float* dy, const float* y, float* dx, std::int64_t rows,
                           std::int64_t width) {
  for (std::int64_t row = 0; row < rows; ++row, dy += width, y += width, dx += width) {
    const auto product = [=](std::int64_t i, auto zero) FORNAX_LAMBDA {
      using T = decltype(zero);
      return num::load(dy + i, T()) * num::load(y + i, T());
    };
    const float dot = num::ordered_sum<num::Vector, num::kLanes>(width, product);
    num::for_vectors(0, width, [=](std::int64_t i, auto zero) FORNAX_LAMBDA {
      using T = decltype(zero);
      num::store(num::softmax_gradient(num::load(dy + i, T()), num::load(y + i, T()), T(dot)),
                 dx + i);
    });
  }
}

void log_softmax_gradient_rows(const float* dy, const float* y, float* dx, std::int64_t rows,
                               std::int64_t width) {
  for (std::int64_t row = 0; row < rows; ++row, dy += width, y += width, dx += width) {
    const float sum = num::ordered_sum<num::Vector, num::kLanes>(dy, width);
    num::for_vectors(0, width, [=](std::int64_t i, auto zero) FORNAX_LAMBDA {
      using T = decltype(zero);
      num::store(num::log_softmax_gradient(num::load(dy + i, T()), num::load(y + i, T()), T(sum)),
                 dx + i);
    });
  }
}

}  // namespace fornax::softmax::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::softmax {
namespace {

using kernels::KernelArgs;

template <class Body>
void for_parts(const KernelArgs& args, const Body& body) {
  const std::int64_t width = args.in[0].shape()[-1], rows = args.in[0].elements() / width;
  host::parallel_for(
      rows, host::rows_of_part(width), args.threads,
      [&](std::int64_t begin, std::int64_t end) { body(begin * width, end - begin, width); });
}

template <auto rows_of>
void launch_forward(const KernelArgs& args) {
  for_parts(args, [&](std::int64_t first, std::int64_t rows, std::int64_t width) {
    rows_of()(args.in[0].as<float>() + first, args.out[0].as<float>() + first, rows, width);
  });
}
template <auto rows_of>
void launch_gradient(const KernelArgs& args) {
  for_parts(args, [&](std::int64_t first, std::int64_t rows, std::int64_t width) {
    rows_of()(args.in[0].as<float>() + first, args.in[1].as<float>() + first,
              args.out[0].as<float>() + first, rows, width);
  });
}

auto* softmax_form() { return &FORNAX_DISPATCH(softmax_rows); }
auto* log_softmax_form() { return &FORNAX_DISPATCH(log_softmax_rows); }
auto* softmax_gradient_form() { return &FORNAX_DISPATCH(softmax_gradient_rows); }
auto* log_softmax_gradient_form() { return &FORNAX_DISPATCH(log_softmax_gradient_rows); }

kernels::Offer offer(const kernels::Signature& signature, const kernels::DeviceModel&) {
  return host::offer_f32(signature, "softmax_rows");
}

const kernels::Kernel kKernels[] = {
    {"softmax", "softmax_rows", offer, nullptr, launch_forward<softmax_form>},
    {"log_softmax", "log_softmax_rows", offer, nullptr, launch_forward<log_softmax_form>},
    {"softmax_gradient", "softmax_gradient_rows", offer, nullptr,
     launch_gradient<softmax_gradient_form>},
    {"log_softmax_gradient", "log_softmax_gradient_rows", offer, nullptr,
     launch_gradient<log_softmax_gradient_form>},
};

}  // namespace
}  // namespace fornax::softmax

namespace fornax::kernels {
std::span<const Kernel> softmax_cpu_kernels() { return softmax::kKernels; }
}  // namespace fornax::kernels
#endif
