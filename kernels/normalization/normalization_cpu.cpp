// Batch norm on the CPU: neighbouring channels lie in the lanes, threads split chunks of 128
// rows, whose sums are added in order. Bound by bytes: 16 an element in training, 8 else.
#undef HWY_TARGET_INCLUDE
// clang-format off
#define HWY_TARGET_INCLUDE "kernels/normalization/normalization_cpu.cpp"
#include "hwy/foreach_target.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/vector.h"
// clang-format on
#include "kernels/host/offer.h"
#include "kernels/host/parallel.h"
#include "kernels/normalization/batch_norm_element.h"
#include "kernels/reduction/column_sum.h"

#ifndef FORNAX_BATCH_NORM_OPERANDS
#define FORNAX_BATCH_NORM_OPERANDS
namespace fornax::normalization {
/// [rows, channels] operands and vectors of channels; what a kernel does not use is null.
struct BatchNorm {
  std::int64_t rows, channels;
  const float *x, *dy, *mean, *shift, *mean_shift, *mean_scale;
  float *inverse, *slope, *out;
  bool streamed;  ///< out is written past the caches
};
}  // namespace fornax::normalization
#endif

HWY_BEFORE_NAMESPACE();
#define FORNAX_NUMERIC_PER_TARGET
#include "kernels/normalization/batch_norm_element.h"
#undef FORNAX_NUMERIC_PER_TARGET
#include "kernels/numeric/namespace.h"

namespace fornax::normalization::HWY_NAMESPACE {
namespace num = numeric::HWY_NAMESPACE;

/// The sums over the rows of a chunk, or of two with a row of `out` for each.
template <class Term>
FORNAX_NUMERIC_FN void sum_chunks(std::int64_t begin, std::int64_t end, std::int64_t channels,
                                  float* out, const Term& term) {
  constexpr std::int64_t rows = kernels::kColumnSumChunk;
  if (end - begin == 2 * rows && host::reads_along())
    return num::two_column_chains(begin, rows, channels, out, term);
  for (; begin < end; begin += rows, out += channels)
    num::column_chains(begin, std::min(begin + rows, end), channels, out, term);
}

void sums(const BatchNorm& b, std::int64_t begin, std::int64_t end, float* out) {
  sum_chunks(begin, end, b.channels, out,
             [&](std::int64_t row, std::int64_t c, auto zero)
                 FORNAX_LAMBDA { return num::load(b.x + row * b.channels + c, zero); });
}

void deviations(const BatchNorm& b, std::int64_t begin, std::int64_t end, float* out) {
  sum_chunks(begin, end, b.channels, out,
             [&](std::int64_t row, std::int64_t c, auto zero) FORNAX_LAMBDA {
               return num::squared_deviation(num::load(b.x + row * b.channels + c, zero),
                                             num::load(b.mean + c, zero));
             });
}

/// Of one chunk: the sums of dy, and of what the scale's gradient adds.
void gradient_sums(const BatchNorm& b, std::int64_t begin, std::int64_t end, float* shift,
                   float* scale) {
  for (std::int64_t c = 0; c < b.channels; ++c) shift[c] = scale[c] = -0.0f;
  for (std::int64_t row = begin; row < end; ++row)
    num::for_single_vectors(0, b.channels, [&](std::int64_t c, auto zero) FORNAX_LAMBDA {
      const std::int64_t i = row * b.channels + c;
      const auto dy = num::load(b.dy + i, zero);
      num::store(num::load(shift + c, zero) + dy, shift + c);
      const auto term =
          num::scale_gradient_term(dy, num::load(b.x + i, zero), num::load(b.mean + c, zero),
                                   num::load(b.inverse + c, zero));
      num::store(num::load(scale + c, zero) + term, scale + c);
    });
}

/// out[c] = the chunk sums added in order, divided by `divisor`.
void add_chunks(const float* sums, std::int64_t chunks, std::int64_t channels, float divisor,
                float* out) {
  num::for_single_vectors(0, channels, [&](std::int64_t c, auto zero) FORNAX_LAMBDA {
    using T = decltype(zero);
    T total = T(-0.0f);
    for (std::int64_t k = 0; k < chunks; ++k)
      total = total + num::load(sums + k * channels + c, T());
    num::store(total / T(divisor), out + c);
  });
}

void move_running(const float* running, const float* batch, float* moved, float momentum,
                  std::int64_t channels) {
  num::for_single_vectors(0, channels, [&](std::int64_t c, auto zero) FORNAX_LAMBDA {
    using T = decltype(zero);
    num::store(
        num::move_running(num::load(running + c, T()), num::load(batch + c, T()), T(momentum)),
        moved + c);
  });
}

void slopes(const float* variance, const float* scale, float epsilon, float* inverse, float* slope,
            std::int64_t channels) {
  num::for_single_vectors(0, channels, [&](std::int64_t c, auto zero) FORNAX_LAMBDA {
    using T = decltype(zero);
    const T one = num::inverse_deviation(num::load(variance + c, T()), T(epsilon));
    num::store(one, inverse + c);
    num::store(one * num::load(scale + c, T()), slope + c);
  });
}

void normalize_rows(const BatchNorm& b, std::int64_t begin, std::int64_t end) {
  const float* first = b.x + begin * b.channels;
  num::fill_rows(
      b.out + begin * b.channels, end - begin, b.channels, b.streamed,
      [&](std::int64_t row) FORNAX_LAMBDA {
        return [&b, x = first + row * b.channels](auto c, auto zero) FORNAX_LAMBDA {
          const auto at = [=](const float* of) FORNAX_LAMBDA {
            return num::load(of + num::in_every_stream(c), zero);
          };
          return num::batch_norm(num::load(x + c, zero), at(b.mean), at(b.slope), at(b.shift));
        };
      },
      first + num::fetched_ahead());
  num::end_streams(b.streamed);
}

void gradient_rows(const BatchNorm& b, std::int64_t begin, std::int64_t end) {
  const float *dys = b.dy + begin * b.channels, *xs = b.x + begin * b.channels;
  num::fill_rows(
      b.out + begin * b.channels, end - begin, b.channels, b.streamed,
      [&](std::int64_t row) FORNAX_LAMBDA {
        const float *dy = dys + row * b.channels, *x = xs + row * b.channels;
        return [&b, dy, x](auto c, auto zero) FORNAX_LAMBDA {
          const auto at = [=](const float* of) FORNAX_LAMBDA {
            return num::load(of + num::in_every_stream(c), zero);
          };
          const num::ChannelGradient<decltype(zero)> channel{at(b.mean), at(b.inverse), at(b.slope),
                                                             at(b.mean_shift), at(b.mean_scale)};
          return num::batch_norm_gradient(num::load(dy + c, zero), num::load(x + c, zero), channel);
        };
      },
      dys + num::kTwoFetchedAhead, xs + num::kTwoFetchedAhead);
  num::end_streams(b.streamed);
}

}  // namespace fornax::normalization::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::normalization {
namespace {

using kernels::kColumnSumChunk;
using kernels::KernelArgs;

std::int64_t chunks_of(std::int64_t rows) { return (rows + kColumnSumChunk - 1) / kColumnSumChunk; }

/// Workspace: kVectors vectors of channels, then one of chunk sums for every chunk, or two.
constexpr std::int64_t kVectors = 4;
float* workspace_vector(const KernelArgs& args, std::int64_t channels, std::int64_t which) {
  return reinterpret_cast<float*>(args.workspace.data()) + which * channels;
}

/// Calls chunks(first row, last row, where the sums go) for every two chunks, or a last one, shared
/// by threads; from the last ones on if `backwards`: what a pass before has left in the caches is
/// then read from there.
template <class Chunks>
void for_chunks(const KernelArgs& args, const BatchNorm& b, bool backwards, const Chunks& chunks) {
  float* sums = workspace_vector(args, b.channels, kVectors);
  constexpr std::int64_t two = 2 * kColumnSumChunk;
  const std::int64_t pairs = (b.rows + two - 1) / two;
  host::parallel_for(pairs, host::rows_of_part(two * b.channels), args.threads,
                     [&](std::int64_t first, std::int64_t last) {
                       for (std::int64_t i = first; i < last; ++i) {
                         const std::int64_t k = backwards ? pairs - 1 - i : i;
                         chunks(k * two, std::min(b.rows, (k + 1) * two),
                                sums + 2 * k * b.channels);
                       }
                     });
}

template <class Rows>
void for_rows(const KernelArgs& args, const BatchNorm& b, Rows&& rows) {
  host::parallel_for(b.rows, host::rows_of_part(b.channels), args.threads, rows);
}

BatchNorm batch_norm_of(const KernelArgs& args, std::size_t x) {
  BatchNorm b{};
  b.channels = args.in[x].shape()[-1], b.rows = args.in[x].elements() / b.channels;
  b.x = args.in[x].as<float>();
  b.out = args.out[0].as<float>();
  b.inverse = workspace_vector(args, b.channels, 0);
  b.slope = workspace_vector(args, b.channels, 1);
  b.streamed = host::is_streamed(args, b.channels, b.x, args.in[0].as<float>());
  return b;
}

void normalize(const KernelArgs& args, BatchNorm& b, const float* variance) {
  const auto epsilon = static_cast<float>(args.attributes->number("epsilon"));
  FORNAX_DISPATCH(slopes)
  (variance, args.in[1].as<float>(), epsilon, b.inverse, b.slope, b.channels);
  b.shift = args.in[2].as<float>();
  for_rows(args, b, [&](std::int64_t begin, std::int64_t end) {
    FORNAX_DISPATCH(normalize_rows)(b, begin, end);
  });
}

void launch_train(const KernelArgs& args) {
  BatchNorm b = batch_norm_of(args, 0);
  float *mean = args.out[3].as<float>(), *variance = args.out[4].as<float>();
  float* unbiased = workspace_vector(args, b.channels, 2);
  const auto count = static_cast<float>(b.rows), count_less_1 = static_cast<float>(b.rows - 1);
  const auto momentum = static_cast<float>(args.attributes->number("momentum"));
  const float* sums = workspace_vector(args, b.channels, kVectors);
  for_chunks(args, b, false, [&](std::int64_t begin, std::int64_t end, float* out) {
    FORNAX_DISPATCH(sums)(b, begin, end, out);
  });
  FORNAX_DISPATCH(add_chunks)(sums, chunks_of(b.rows), b.channels, count, mean);
  b.mean = mean;
  for_chunks(args, b, true, [&](std::int64_t begin, std::int64_t end, float* out) {
    FORNAX_DISPATCH(deviations)(b, begin, end, out);
  });
  FORNAX_DISPATCH(add_chunks)(sums, chunks_of(b.rows), b.channels, count, variance);
  FORNAX_DISPATCH(add_chunks)(sums, chunks_of(b.rows), b.channels, count_less_1, unbiased);
  FORNAX_DISPATCH(move_running)
  (args.in[3].as<float>(), mean, args.out[1].as<float>(), momentum, b.channels);
  FORNAX_DISPATCH(move_running)
  (args.in[4].as<float>(), unbiased, args.out[2].as<float>(), momentum, b.channels);
  normalize(args, b, variance);
}

void launch_evaluate(const KernelArgs& args) {
  BatchNorm b = batch_norm_of(args, 0);
  b.mean = args.in[3].as<float>();
  normalize(args, b, args.in[4].as<float>());
}

void launch_gradient(const KernelArgs& args) {
  BatchNorm b = batch_norm_of(args, 1);
  const bool batch = args.attributes->integer("batch_statistics") != 0;
  const auto epsilon = static_cast<float>(args.attributes->number("epsilon"));
  float *d_scale = args.out[1].as<float>(), *d_shift = args.out[2].as<float>();
  b.dy = args.in[0].as<float>(), b.mean = args.in[3].as<float>();
  FORNAX_DISPATCH(slopes)
  (args.in[4].as<float>(), args.in[2].as<float>(), epsilon, b.inverse, b.slope, b.channels);
  const std::int64_t chunks = chunks_of(b.rows), all = chunks * b.channels;
  const float* sums = workspace_vector(args, b.channels, kVectors);
  for_chunks(args, b, false, [&](std::int64_t begin, std::int64_t end, float* out) {
    for (; begin < end; begin += kColumnSumChunk, out += b.channels) {
      const std::int64_t last = std::min(begin + kColumnSumChunk, end);
      FORNAX_DISPATCH(gradient_sums)(b, begin, last, out, out + all);
    }
  });
  FORNAX_DISPATCH(add_chunks)(sums, chunks, b.channels, 1, d_shift);
  FORNAX_DISPATCH(add_chunks)(sums + all, chunks, b.channels, 1, d_scale);
  float* mean_shift = workspace_vector(args, b.channels, 2);
  float* mean_scale = workspace_vector(args, b.channels, 3);
  const auto rows = static_cast<float>(b.rows);
  for (std::int64_t c = 0; c < b.channels; ++c) {
    mean_shift[c] = batch ? d_shift[c] / rows : 0.0f;
    mean_scale[c] = batch ? d_scale[c] / rows : 0.0f;
  }
  b.mean_shift = mean_shift, b.mean_scale = mean_scale;
  for_rows(args, b, [&](std::int64_t begin, std::int64_t end) {
    FORNAX_DISPATCH(gradient_rows)(b, begin, end);
  });
}

template <std::size_t x, std::int64_t sums_of_chunk>
kernels::Offer offer(const kernels::Signature& signature, const kernels::DeviceModel&) {
  const Shape& shape = signature.in[x].shape;
  const std::int64_t vectors = kVectors + sums_of_chunk * chunks_of(shape.elements() / shape[-1]);
  return host::offer_f32(signature, "batch_norm_channels", 4 * vectors * shape[-1]);
}

const kernels::Kernel kKernels[] = {
    {"batch_norm", "batch_norm_channels", offer<0, 1>, nullptr, launch_train},
    {"batch_norm_evaluate", "batch_norm_evaluate_channels", offer<0, 1>, nullptr, launch_evaluate},
    {"batch_norm_gradient", "batch_norm_gradient_channels", offer<1, 2>, nullptr, launch_gradient},
};

}  // namespace
}  // namespace fornax::normalization

namespace fornax::kernels {
std::span<const Kernel> normalization_cpu_kernels() { return normalization::kKernels; }
}  // namespace fornax::kernels
#endif
