// Embedding on the CPU: threads split positions forward, table rows backward, where a counting
// sort lists the positions of every row in order. Bound by bytes: 8 an element of dy or y.
#undef HWY_TARGET_INCLUDE
// clang-format off
#define HWY_TARGET_INCLUDE "kernels/embedding/embedding_cpu.cpp"
#include "hwy/foreach_target.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/vector.h"
// clang-format on
#include <algorithm>

#include "kernels/host/offer.h"
#include "kernels/host/parallel.h"
#include "kernels/host/past_caches.h"
#include "kernels/reduction/column_sum.h"

HWY_BEFORE_NAMESPACE();
namespace fornax::embedding_rows::HWY_NAMESPACE {
namespace num = numeric::HWY_NAMESPACE;

/// The sum of one vector of columns over the rows of dy at `positions`.
template <class T>
FORNAX_NUMERIC_FN T sum_positions(const float* dy, std::int64_t width,
                                  const std::int32_t* positions, std::int64_t count) {
  T total = T(-0.0f);
  for (std::int64_t first = 0; first < count; first += kernels::kColumnSumChunk) {
    const std::int64_t last =
        count - first < kernels::kColumnSumChunk ? count : first + kernels::kColumnSumChunk;
    T sum = T(-0.0f);
    for (std::int64_t k = first; k < last; ++k)
      sum = sum + num::load(dy + positions[k] * width, T());
    total = total + sum;
  }
  return total;
}

void sum_row(const float* dy, std::int64_t width, const std::int32_t* positions, std::int64_t count,
             float* out) {
  std::int64_t c = 0;
  for (; c + num::kLanes <= width; c += num::kLanes)
    num::store(sum_positions<num::Vector>(dy + c, width, positions, count), out + c);
  for (; c < width; ++c) out[c] = sum_positions<float>(dy + c, width, positions, count);
}

}  // namespace fornax::embedding_rows::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::embedding_rows {
namespace {

using kernels::KernelArgs;

bool inside(std::int32_t index, std::int64_t rows) { return index >= 0 && index < rows; }

void launch_embedding(const KernelArgs& args) {
  const std::int64_t rows = args.in[0].shape()[0], width = args.in[0].shape()[1];
  const auto* indices = args.in[1].as<std::int32_t>();
  const std::int64_t count = args.in[1].elements();
  host::parallel_for(count, host::rows_of_part(width), args.threads,
                     [&](std::int64_t begin, std::int64_t end) {
                       for (std::int64_t i = begin; i < end; ++i) {
                         float* y = args.out[0].as<float>() + i * width;
                         if (inside(indices[i], rows))
                           std::copy_n(args.in[0].as<float>() + indices[i] * width, width, y);
                         else
                           std::fill_n(y, width, 0.0f);
                       }
                     });
  for (std::int64_t i = 0; i < count; ++i) {
    if (inside(indices[i], rows)) continue;
    if (args.step->bad_index == 0 || args.step->bad_index > i + 1) {
      args.step->bad_index = i + 1;
      args.step->bad_value = indices[i];
    }
    break;
  }
}

/// positions[first[r] .. first[r + 1]) = the positions of index r, in order. first: [rows + 1].
void list_positions(const std::int32_t* indices, std::int64_t count, std::int64_t rows,
                    std::int32_t* first, std::int32_t* positions) {
  std::fill_n(first, rows + 1, 0);
  for (std::int64_t i = 0; i < count; ++i)
    if (inside(indices[i], rows)) ++first[indices[i] + 1];
  for (std::int64_t r = 0; r < rows; ++r) first[r + 1] += first[r];
  for (std::int64_t i = 0; i < count; ++i)
    if (inside(indices[i], rows)) positions[first[indices[i]]++] = static_cast<std::int32_t>(i);
  for (std::int64_t r = rows; r > 0; --r) first[r] = first[r - 1];
  first[0] = 0;
}

void launch_gradient(const KernelArgs& args) {
  const std::int64_t rows = args.out[0].shape()[0], width = args.out[0].shape()[1];
  auto* first = reinterpret_cast<std::int32_t*>(args.workspace.data());
  std::int32_t* positions = first + rows + 1;
  list_positions(args.in[1].as<std::int32_t>(), args.in[1].elements(), rows, first, positions);
  const auto* dy = args.in[0].as<float>();
  const host::Writer writer(host::is_streamed(args, width));
  host::parallel_for(rows, host::rows_of_part(width), args.threads,
                     [&](std::int64_t begin, std::int64_t end) {
                       for (std::int64_t row = begin; row < end; ++row) {
                         float* out = args.out[0].as<float>() + row * width;
                         const std::int32_t taken = first[row + 1] - first[row];
                         if (taken == 0)
                           writer.zero(out, width * std::int64_t{sizeof(float)});
                         else
                           FORNAX_DISPATCH(sum_row)
                         (dy, width, positions + first[row], taken, out);
                       }
                       writer.end();
                     });
}

kernels::Offer offer(const kernels::Signature& signature, const kernels::DeviceModel&) {
  return host::offer_f32(signature, "embedding_rows");
}
kernels::Offer offer_gradient(const kernels::Signature& signature, const kernels::DeviceModel&) {
  const std::int64_t positions = signature.in[1].shape.elements();
  if (positions > INT32_MAX)
    return {"embedding_gradient_rows: at most 2^31 - 1 positions, got " + std::to_string(positions),
            0, 0};
  const std::int64_t words = signature.out[0].shape[0] + 1 + positions;
  return host::offer_f32(signature, "embedding_gradient_rows", 4 * words);
}

const kernels::Kernel kKernels[] = {
    {"embedding", "embedding_rows", offer, nullptr, launch_embedding},
    {"embedding_gradient", "embedding_gradient_rows", offer_gradient, nullptr, launch_gradient},
};

}  // namespace
}  // namespace fornax::embedding_rows

namespace fornax::kernels {
std::span<const Kernel> embedding_cpu_kernels() { return embedding_rows::kKernels; }
}  // namespace fornax::kernels
#endif
