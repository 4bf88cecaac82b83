// softmax, log_softmax and their gradients on the CPU: threads split rows; every row passes
// through the cache once from memory, beside the sum of the row before. 8 bytes an element (12 for
// the gradients); forward is bound by its arithmetic.
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

#ifndef FORNAX_SOFTMAX_ROWS
#define FORNAX_SOFTMAX_ROWS
namespace fornax::softmax {
struct Rows {
  std::int64_t width;
  bool streamed;  ///< the result is written past the caches
};
}  // namespace fornax::softmax
#endif

HWY_BEFORE_NAMESPACE();
namespace fornax::softmax::HWY_NAMESPACE {
namespace num = numeric::HWY_NAMESPACE;

/// Elements of a row whose terms wait in L1, so that the result is written once.
constexpr std::int64_t kTerms = 4096;

struct SoftmaxTerm {
  const float* e;
  float inverse;
  template <class Index, class T>
  FORNAX_NUMERIC_FN T operator()(Index i, T zero) const {
    return num::load(e + i, zero) * T(inverse);
  }
};
struct LogSoftmaxTerm {
  const float* x;
  float largest, log_sum;
  template <class Index, class T>
  FORNAX_NUMERIC_FN T operator()(Index i, T zero) const {
    return (num::load(x + i, zero) - T(largest)) - T(log_sum);
  }
};

/// Each row of y by the term that term_of(beside) gives at its turn. Past the caches a row is
/// written beside the sum of the next: by itself it would keep memory busy alone, and the sum
/// arithmetic.
template <class TermOf>
FORNAX_NUMERIC_FN void write_rows(const Rows& r, float* y, const num::RowWalk& walk,
                                  const TermOf& term_of) {
  const auto nothing = [](std::int64_t) FORNAX_LAMBDA {};
  if (!r.streamed || r.width % numeric::kChains != 0 || !host::begins_line(y)) {
    while (walk.turn < walk.rows) {
      float* to = y + walk.row() * r.width;
      num::fill_array(to, r.width, r.streamed, term_of(nothing));
    }
    return num::end_streams(r.streamed);
  }
  float* to = y + walk.row() * r.width;
  auto term = term_of(nothing);
  while (walk.turn < walk.rows) {
    float* next = y + walk.row() * r.width;
    term =
        term_of([=](std::int64_t i) FORNAX_LAMBDA { num::stream(term(i, num::Quad()), to + i); });
    to = next;
  }
  num::fill_in_order(to, r.width, true, term);
  num::end_streams(true);
}

void softmax_rows(const Rows& r, const float* x, float* y, std::int64_t rows) {
  alignas(64) float terms[kTerms];  // each is read for the row before, then written over
  const bool fits = r.width <= kTerms;
  if (rows == 0) return;
  num::RowWalk walk(x, r.width, rows, r.streamed);
  const auto term_of = [&](const auto& beside) FORNAX_LAMBDA {
    float* e = fits ? terms : y + walk.row() * r.width;
    return SoftmaxTerm{e, 1.0f / walk.sum_of_exp(e, beside)};
  };
  write_rows({r.width, r.streamed && fits}, y, walk, term_of);
}

void log_softmax_rows(const Rows& r, const float* x, float* y, std::int64_t rows) {
  if (rows == 0) return;
  num::RowWalk walk(x, r.width, rows, r.streamed);
  const auto term_of = [&](const auto& beside) FORNAX_LAMBDA {
    const float* from = walk.ahead(0);
    const float largest = walk.maximum;
    return LogSoftmaxTerm{from, largest, num::log(walk.sum_of_exp(nullptr, beside))};
  };
  write_rows(r, y, walk, term_of);
}

/// dx of a row from its elements; the row behind is fetched meanwhile.
template <class Gradient>
FORNAX_NUMERIC_FN void fill_gradient(const Rows& r, const float* dy, const float* y, float* dx,
                                     const Gradient& gradient) {
  num::fill_array(
      dx, r.width, r.streamed,
      [&](auto i, auto zero)
          FORNAX_LAMBDA { return gradient(num::load(dy + i, zero), num::load(y + i, zero)); },
      dy + r.width, y + r.width);
}

void softmax_gradient_rows(const Rows& r, const float* dy, const float* y, float* dx,
                           std::int64_t rows) {
  for (std::int64_t row = 0; row < rows; ++row, dy += r.width, y += r.width, dx += r.width) {
    const auto product = [=](std::int64_t i, auto zero) FORNAX_LAMBDA {
      using T = decltype(zero);
      return num::load(dy + i, T()) * num::load(y + i, T());
    };
    const float dot = num::ordered_sum<num::Vector, num::kLanes>(r.width, product);
    fill_gradient(r, dy, y, dx, [=](auto dy_i, auto y_i) FORNAX_LAMBDA {
      return num::softmax_gradient(dy_i, y_i, decltype(y_i)(dot));
    });
  }
  num::end_streams(r.streamed);
}

void log_softmax_gradient_rows(const Rows& r, const float* dy, const float* y, float* dx,
                               std::int64_t rows) {
  for (std::int64_t row = 0; row < rows; ++row, dy += r.width, y += r.width, dx += r.width) {
    const float sum = num::ordered_sum<num::Vector, num::kLanes>(dy, r.width);
    fill_gradient(r, dy, y, dx, [=](auto dy_i, auto y_i) FORNAX_LAMBDA {
      return num::log_softmax_gradient(dy_i, y_i, decltype(y_i)(sum));
    });
  }
  num::end_streams(r.streamed);
}

}  // namespace fornax::softmax::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::softmax {
namespace {

using kernels::KernelArgs;

/// body(rows, first element, how many rows) for the parts of the threads; `in`: what the result
/// may overwrite.
template <class Body, class... In>
void for_parts(const KernelArgs& args, const Body& body, const In*... in) {
  const std::int64_t width = args.in[0].shape()[-1], rows = args.in[0].elements() / width;
  const Rows shape{width, host::is_streamed(args, width, in...)};
  host::parallel_for(
      rows, host::rows_of_part(width), args.threads,
      [&](std::int64_t begin, std::int64_t end) { body(shape, begin * width, end - begin); });
}

template <auto rows_of>
void launch_forward(const KernelArgs& args) {
  const float* x = args.in[0].as<float>();
  for_parts(
      args,
      [&](const Rows& shape, std::int64_t first, std::int64_t rows) {
        rows_of()(shape, x + first, args.out[0].as<float>() + first, rows);
      },
      x);
}
template <auto rows_of>
void launch_gradient(const KernelArgs& args) {
  const float *dy = args.in[0].as<float>(), *y = args.in[1].as<float>();
  for_parts(
      args,
      [&](const Rows& shape, std::int64_t first, std::int64_t rows) {
        rows_of()(shape, dy + first, y + first, args.out[0].as<float>() + first, rows);
      },
      dy, y);
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
