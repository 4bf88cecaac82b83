// Elementwise arithmetic on the CPU: rows of vectors, an operand being an array or one number.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/pointwise/pointwise_cpu.cpp"
#include "hwy/foreach_target.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/vector.h"
#include "kernels/pointwise/pointwise_functions.h"
// clang-format on
#include <algorithm>
#include <utility>

#include "kernels/host/offer.h"
#include "kernels/host/parallel.h"
#include "kernels/pointwise/cast_cpu.h"
#include "kernels/pointwise/pointwise_walk.h"

#ifndef FORNAX_POINTWISE_ROW
#define FORNAX_POINTWISE_ROW
namespace fornax::pointwise {

/// A piece of a row: operand k is in[k][i * stride[k]].
struct Row {
  const float* in[3];
  std::int64_t stride[3];
  float* out;
  std::int64_t count;
  bool streamed;
};

}  // namespace fornax::pointwise
#endif

HWY_BEFORE_NAMESPACE();
#define FORNAX_NUMERIC_PER_TARGET
#include "kernels/pointwise/pointwise_functions.h"
#undef FORNAX_NUMERIC_PER_TARGET
#include "kernels/numeric/namespace.h"
namespace fornax::pointwise::HWY_NAMESPACE {
namespace num = numeric::HWY_NAMESPACE;
using kernels::Pointwise;

/// Element i of an operand as T: `array` says that it advances.
template <bool array, class T>
FORNAX_NUMERIC_FN T operand(const float* from, std::int64_t i, T zero) {
  if constexpr (array) return num::load(from + i, zero);
  return T(*from);
}

template <Pointwise function>
void row_by_element(const Row& row) {
  for (std::int64_t i = 0; i < row.count; ++i)
    row.out[i] = num::pointwise(function, row.in[0][i * row.stride[0]],
                                row.in[1][i * row.stride[1]], row.in[2][i * row.stride[2]]);
}

template <Pointwise function, bool a, bool b, bool c>
void row_by_vector(const Row& row) {
  num::fill_array(row.out, row.count, row.streamed, [&](std::int64_t i, auto zero) FORNAX_LAMBDA {
    return num::pointwise(function, operand<a>(row.in[0], i, zero), operand<b>(row.in[1], i, zero),
                          operand<c>(row.in[2], i, zero));
  });
}

template <Pointwise function>
void run_row(const Row& row) {
  const bool a = row.stride[0] == 1, b = row.stride[1] == 1, c = row.stride[2] == 1;
  if ((!a && row.stride[0]) || (!b && row.stride[1]) || (!c && row.stride[2]))
    return row_by_element<function>(row);
  constexpr int operands = kernels::operand_count(function);
  if constexpr (operands == 1) {
    a ? row_by_vector<function, true, false, false>(row) : row_by_element<function>(row);
  } else if constexpr (operands == 2) {
    if (a)
      return b ? row_by_vector<function, true, true, false>(row)
               : row_by_vector<function, true, false, false>(row);
    b ? row_by_vector<function, false, true, false>(row) : row_by_element<function>(row);
  } else {
    if (!a) return row_by_element<function>(row);
    if (b)
      return c ? row_by_vector<function, true, true, true>(row)
               : row_by_vector<function, true, true, false>(row);
    c ? row_by_vector<function, true, false, true>(row) : row_by_element<function>(row);
  }
}

template <int... i>
void run_row_of(int function, const Row& row, std::integer_sequence<int, i...>) {
  using Run = void (*)(const Row&);
  constexpr Run runs[] = {run_row<static_cast<Pointwise>(i)>...};
  runs[function](row);
}
void run(Pointwise function, const Row& row) {
  run_row_of(static_cast<int>(function), row,
             std::make_integer_sequence<int, kernels::kPointwiseCount>());
}

void end(bool streamed) { num::end_streams(streamed); }

}  // namespace fornax::pointwise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::kernels {
namespace {

Offer offer_pointwise(const Signature& signature, const DeviceModel&) {
  return host::offer_f32(signature, "pointwise_rows");
}

const float* operand_data(const KernelArgs& args, int k) {
  return args.in[static_cast<std::size_t>(k)].as<float>();
}

/// Output elements [begin, end), row by row.
void run_range(Pointwise function, const PointwiseWalk& walk, const KernelArgs& args,
               std::int64_t begin, std::int64_t end) {
  using namespace fornax::pointwise;
  const auto scalar = static_cast<float>(walk.scalar);
  const std::int64_t width = walk.axes.row_elements();
  bool streamed = true;
  for (int k = 0; k < operand_count(function); ++k)
    if (k != walk.scalar_operand)
      streamed = streamed && host::is_streamed(args.out[0], width, operand_data(args, k));
  while (begin < end) {
    const std::int64_t r = begin / width, first = begin % width;
    std::int64_t offset[3];
    walk.axes.row_offsets(r, offset);
    Row row{};
    for (int k = 0; k < 3; ++k) {
      row.in[k] = &scalar;
      if (k >= operand_count(function) || k == walk.scalar_operand) continue;
      row.stride[k] = walk.last_stride(k);
      row.in[k] = operand_data(args, k) + offset[k] + first * row.stride[k];
    }
    row.count = std::min(width - first, end - begin);
    row.streamed = streamed;
    row.out = args.out[0].as<float>() + begin;
    FORNAX_DISPATCH(run)(function, row);
    begin += row.count;
  }
  FORNAX_DISPATCH(end)(streamed);
}

template <int function>
void launch_pointwise(const KernelArgs& args) {
  const PointwiseWalk walk = pointwise_walk(args);
  host::parallel_for(args.out[0].elements(), host::kElementsOfPart, args.threads,
                     [&](std::int64_t begin, std::int64_t end) {
                       run_range(static_cast<Pointwise>(function), walk, args, begin, end);
                     });
}

template <int... i>
std::span<const Kernel> all_kernels(std::integer_sequence<int, i...>) {
  static const Kernel kernels[] = {Kernel{kPointwiseNames[i], "pointwise_rows", offer_pointwise,
                                          nullptr, launch_pointwise<i>}...,
                                   kFillCpu, kCastCpu};
  return kernels;
}

}  // namespace

std::span<const Kernel> pointwise_cpu_kernels() {
  return all_kernels(std::make_integer_sequence<int, kPointwiseCount>());
}

}  // namespace fornax::kernels
#endif
