// The fully connected layer on the CPU: the exact packed product with its epilogue in cache.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/linear/linear_cpu.cpp"
#include "hwy/foreach_target.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/vector.h"
#include "kernels/activation/activation_vector.h"
// clang-format on
#include <algorithm>
#include <cstring>

#include "kernels/host/gemm.h"
#include "kernels/host/gemm_blocking.h"
#include "kernels/host/offer.h"
#include "kernels/host/row_kernel.h"
#include "kernels/linear/linear_gemm.h"
#include "kernels/reduction/column_sum.h"
#include "kernels/reduction/column_sum_cpu.h"

#ifndef FORNAX_LINEAR_EPILOGUE
#define FORNAX_LINEAR_EPILOGUE
namespace fornax::linear {

/// What happens to a block of the product.
struct Epilogue {
  kernels::Activation activation = kernels::Activation::none;
  const float* bias = nullptr;   ///< [N], added
  float* before = nullptr;       ///< like the product: takes the value before the activation
  const float* saved = nullptr;  ///< like the product: multiply by the activation's gradient here
  std::int64_t stride = 0;       ///< of `before`, `saved` and `sums`
  /// Takes the sums of the columns over each kColumnSumChunk rows, in the order of column_sum.h;
  /// blocks of a column come in the order of their rows.
  float* sums = nullptr;
  std::int64_t first_row = 0;  ///< of the sums, where the product's rows begin
};

constexpr std::int64_t most_repeated = 256;  // columns of a block that is taken as one row

}  // namespace fornax::linear
#endif

HWY_BEFORE_NAMESPACE();
namespace fornax::linear::HWY_NAMESPACE {
namespace num = numeric::HWY_NAMESPACE;

/// What visit gets beside Vector: a Quad of two vectors of one row and two of the next, and the
/// first `count` lanes of a vector, as dear as one float.
struct TwoRows {};
struct First {
  std::int64_t count;
};

template <class T>
FORNAX_NUMERIC_FN T load(const float* from, std::int64_t, T zero) {
  return num::load(from, zero);
}
FORNAX_NUMERIC_FN num::Quad load(const float* from, std::int64_t stride, TwoRows) {
  const num::Pair<num::Vector> zero;
  return {num::load(from, zero), num::load(from + stride, zero)};
}
FORNAX_NUMERIC_FN num::Vector load(const float* from, std::int64_t, First first) {
  return num::load_first(from, first.count);
}
template <class T>
FORNAX_NUMERIC_FN void store(T value, float* to, std::int64_t, T) {
  num::store(value, to);
}
FORNAX_NUMERIC_FN void store(num::Quad value, float* to, std::int64_t stride, TwoRows) {
  num::store(value.first, to);
  num::store(value.second, to + stride);
}

FORNAX_NUMERIC_FN void store(num::Vector value, float* to, std::int64_t, First first) {
  num::store_first(value, to, first.count);
}

/// visit(row, column, what is loaded there) for the block's elements; panels of a product are two
/// vectors wide.
template <class Visit>
FORNAX_NUMERIC_FN void for_elements(const host::GemmBlock& at, const Visit& visit) {
  constexpr std::int64_t width = 2 * num::kLanes;
  const std::int64_t whole = at.columns / width * width;
  std::int64_t r = 0;
  for (; r + 2 <= at.rows; r += 2)
    for (std::int64_t i = 0; i < whole; i += width) visit(r, i, TwoRows());
  const std::int64_t paired = r;
  for (r = 0; r < at.rows; ++r) {
    std::int64_t i = r < paired ? whole : 0;
    for (; i + num::kLanes <= at.columns; i += num::kLanes) visit(r, i, num::Vector());
    if (i < at.columns) visit(r, i, First{at.columns - i});
  }
}

/// Whether a block's rows lie one behind the other and leave lanes of their vectors empty: what is
/// alike in all columns then takes them as one row.
bool is_one_row(const Epilogue& e, std::int64_t stride, const host::GemmBlock& at) {
  constexpr std::int64_t least = 8 * num::kLanes;
  const bool ragged = at.columns % (2 * num::kLanes) != 0 && at.columns <= most_repeated;
  return ragged && stride == at.columns && e.stride == stride && at.rows * at.columns >= least;
}

void finish_forward_row(const Epilogue& e, float* block, const host::GemmBlock& at) {
  // Behind the bias as much of its repetitions as a Quad loads.
  float bias[most_repeated + 4 * num::kLanes];
  for (std::int64_t i = 0, column = 0; e.bias && i < at.columns + 4 * num::kLanes; ++i) {
    bias[i] = e.bias[column];
    column = column + 1 < at.columns ? column + 1 : 0;
  }
  float* before = e.before ? e.before + at.row * e.stride : nullptr;
  num::with_activation(e.activation, [&](auto constant) FORNAX_LAMBDA {
    num::for_vectors(0, at.rows * at.columns, [&](std::int64_t i, auto zero) FORNAX_LAMBDA {
      auto v = num::load(block + i, zero);
      if (e.bias) v = v + num::load(bias + i % at.columns, zero);
      if (before) num::store(v, before + i);
      num::store(num::activate(decltype(constant)::value, v), block + i);
    });
  });
}

void finish_forward(const Epilogue& e, float* block, std::int64_t stride,
                    const host::GemmBlock& at) {
  if (is_one_row(e, stride, at)) return finish_forward_row(e, block, at);
  const float* bias = e.bias ? e.bias + at.column : nullptr;
  float* before = e.before ? e.before + at.row * e.stride + at.column : nullptr;
  num::with_activation(e.activation, [&](auto constant) FORNAX_LAMBDA {
    for_elements(at, [&](std::int64_t r, std::int64_t i, auto zero) FORNAX_LAMBDA {
      float* y = block + r * stride + i;
      auto v = load(y, stride, zero);
      if (bias) v = v + load(bias + i, 0, zero);
      if (before) store(v, before + r * e.stride + i, e.stride, zero);
      store(num::activate(decltype(constant)::value, v), y, stride, zero);
    });
  });
}

/// The sums of a chunk go on by its row `row`; sums: where those of the first chunk stand.
template <class T, class Place>
FORNAX_NUMERIC_FN void add_row(T value, float* sums, std::int64_t stride, std::int64_t row,
                               Place place) {
  float* sum = sums + row / kernels::kColumnSumChunk * stride;
  if (row % kernels::kColumnSumChunk != 0) value = load(sum, 0, place) + value;
  store(value, sum, 0, place);
}
FORNAX_NUMERIC_FN void add_row(num::Quad value, float* sums, std::int64_t stride, std::int64_t row,
                               TwoRows) {
  add_row(value.first, sums, stride, row, num::Pair<num::Vector>());
  add_row(value.second, sums, stride, row + 1, num::Pair<num::Vector>());
}

void finish_dgrad_row(const Epilogue& e, float* block, const host::GemmBlock& at) {
  const float* saved = e.saved + at.row * e.stride;
  num::with_activation(e.activation, [&](auto constant) FORNAX_LAMBDA {
    constexpr kernels::Activation kind = decltype(constant)::value;
    num::for_vectors(0, at.rows * at.columns, [&](std::int64_t i, auto zero) FORNAX_LAMBDA {
      const auto dx = num::load(block + i, zero), value = num::load(saved + i, zero);
      num::store(num::activation_gradient(kind, dx, value), block + i);
    });
  });
}

void finish_dgrad(const Epilogue& e, float* block, std::int64_t stride, const host::GemmBlock& at) {
  if (e.saved && is_one_row(e, stride, at)) {
    finish_dgrad_row(e, block, at);
    Epilogue sums = e;
    sums.activation = kernels::Activation::none, sums.saved = nullptr;
    if (e.sums) finish_dgrad(sums, block, stride, at);
    return;
  }
  const float* saved = e.saved ? e.saved + at.row * e.stride + at.column : nullptr;
  num::with_activation(e.activation, [&](auto constant) FORNAX_LAMBDA {
    for_elements(at, [&](std::int64_t r, std::int64_t i, auto place) FORNAX_LAMBDA {
      constexpr kernels::Activation kind = decltype(constant)::value;
      float* dx = block + r * stride + i;
      auto v = load(dx, stride, place);
      if constexpr (kind != kernels::Activation::none) {
        v = num::activation_gradient(kind, v, load(saved + r * e.stride + i, e.stride, place));
        store(v, dx, stride, place);
      }
      if (e.sums) add_row(v, e.sums + at.column + i, e.stride, e.first_row + at.row + r, place);
    });
  });
}

void finish_block(const Epilogue& e, float* block, std::int64_t stride, const host::GemmBlock& at) {
  e.saved || e.sums ? finish_dgrad(e, block, stride, at) : finish_forward(e, block, stride, at);
}

}  // namespace fornax::linear::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::kernels {
namespace {

using host::Gemm;
using linear::Epilogue;

void apply_epilogue(const void* context, float* block, std::int64_t stride,
                    const host::GemmBlock& at) {
  using namespace fornax::linear;
  FORNAX_DISPATCH(finish_block)(*static_cast<const Epilogue*>(context), block, stride, at);
}

/// Extents and strides of each product; pointers are filled at launch.
Gemm forward_gemm(const LinearShape& s) {
  Gemm g;
  g.M = s.M, g.N = s.N, g.K = s.K;
  g.a = {nullptr, s.K, 1}, g.b = {nullptr, s.K, 1};
  g.c_stride = s.N;
  return g;
}
Gemm dgrad_gemm(const LinearShape& s) {
  Gemm g;
  g.M = s.M, g.N = s.K, g.K = s.N;
  g.a = {nullptr, s.N, 1}, g.b = {nullptr, 1, s.K};
  g.c_stride = s.K;
  g.row_unit = kColumnSumChunk;
  return g;
}

Offer offer_forward(const Signature& s, const DeviceModel& model) {
  const Gemm g = forward_gemm(linear_shape(s.in[0].shape, s.in[1].shape));
  const host::GemmBytes bytes = host::gemm_bytes(g, model.threads);
  return host::offer_f32(s, "linear_packed", bytes.workspace, bytes.thread);
}
/// Chunk sums of the columns stand behind the product's workspace, in whole lines.
struct DgradWorkspace {
  host::GemmBytes product;
  std::int64_t chunks;
};
DgradWorkspace dgrad_workspace(const LinearShape& shape, int threads) {
  host::GemmBytes bytes = host::gemm_bytes(dgrad_gemm(shape), threads);
  bytes.workspace = host::round_up(bytes.workspace, host::kLineBytes);
  return {bytes, host::divide_up(shape.M, kColumnSumChunk)};
}
Offer offer_dgrad(const Signature& s, const DeviceModel& model) {
  const LinearShape shape = linear_shape(s.in[0].shape, s.in[1].shape);
  auto [bytes, chunks] = dgrad_workspace(shape, model.threads);
  if (s.out.size() > 1 && s.out[1].present()) bytes.workspace += 4 * chunks * shape.K;
  return host::offer_f32(s, "linear_dgrad_packed", bytes.workspace, bytes.thread);
}
Offer offer_wgrad(const Signature& s, const DeviceModel& model) {
  const Gemm g = wgrad_gemm(linear_wgrad_shape(s.in[0].shape, s.in[1].shape));
  const host::GemmBytes bytes = host::gemm_bytes(g, model.threads);
  return host::offer_f32(s, "linear_wgrad_packed", bytes.workspace, bytes.thread);
}

/// With operands, and an epilogue unless there is nothing to do in it.
void set_operands(Gemm& g, const KernelArgs& args, const Epilogue* epilogue = nullptr) {
  g.a.data = args.in[0].as<float>(), g.b.data = args.in[1].as<float>();
  g.c = args.out[0].as<float>();
  if (epilogue && (epilogue->activation != Activation::none || epilogue->bias || epilogue->before ||
                   epilogue->sums)) {
    g.epilogue = {apply_epilogue, epilogue};
    g.epilogue.beside[0] = epilogue->saved ? epilogue->saved : epilogue->before;
    g.epilogue.writes_beside = epilogue->before != nullptr;
  }
}

Epilogue forward_epilogue(const KernelArgs& args, const LinearShape& shape) {
  Epilogue e;
  e.activation = linear_activation(*args.attributes);
  e.bias = args.in.size() > 2 ? args.in[2].as<float>() : nullptr;
  e.before = args.out.size() > 1 ? args.out[1].as<float>() : nullptr;
  e.stride = shape.N;
  return e;
}

void launch_forward(const KernelArgs& args) {
  const LinearShape shape = linear_shape(args.in[0].shape(), args.in[1].shape());
  const Epilogue e = forward_epilogue(args, shape);
  Gemm g = forward_gemm(shape);
  set_operands(g, args, &e);
  host::gemm(g, {args.workspace, args.thread_space}, args.threads);
}

bool has_sums(const KernelArgs& args) { return args.out.size() > 1 && args.out[1].present(); }

Epilogue dgrad_epilogue(const KernelArgs& args, const LinearShape& shape, std::byte* sums) {
  Epilogue e;
  e.activation = linear_activation(*args.attributes);
  e.saved = e.activation == Activation::none ? nullptr : args.in[2].as<float>();
  e.stride = shape.K;
  e.sums = has_sums(args) ? reinterpret_cast<float*>(sums) : nullptr;
  return e;
}

void finish_sums(const KernelArgs& args, std::byte* sums) {
  if (!has_sums(args)) return;
  const std::int64_t rows = row_count(args.in[0].shape()), columns = args.out[1].elements();
  add_column_sums_cpu({reinterpret_cast<float*>(sums), host::divide_up(rows, kColumnSumChunk),
                       columns, columns, 1, args.out[1].as<float>()});
}

void launch_dgrad(const KernelArgs& args) {
  const LinearShape shape = linear_shape(args.in[0].shape(), args.in[1].shape());
  std::byte* sums = args.workspace.data() + dgrad_workspace(shape, args.threads).product.workspace;
  const Epilogue e = dgrad_epilogue(args, shape, sums);
  Gemm g = dgrad_gemm(shape);
  set_operands(g, args, &e);
  host::gemm(g, {args.workspace, args.thread_space}, args.threads);
  finish_sums(args, sums);
}

void launch_wgrad(const KernelArgs& args) {
  Gemm g = wgrad_gemm(linear_wgrad_shape(args.in[0].shape(), args.in[1].shape()));
  set_operands(g, args);
  host::gemm(g, {args.workspace, args.thread_space}, args.threads);
}

using host::RowAccess;
using host::RowBand;
using host::RowPlan;

static_assert(host::kTaskRows == kWeightGradientChunk && host::kBandRows == kColumnSumChunk);

/// Rows of every operand by rows, whole weights.
bool plan_forward(const Signature& s, RowPlan& plan) {
  const LinearShape shape = linear_shape(s.in[0].shape, s.in[1].shape);
  plan.rows = shape.M;
  plan.in.assign(s.in.size(), RowAccess::whole);
  plan.in[0] = RowAccess::rows;
  plan.out.assign(s.out.size(), RowAccess::rows);
  plan.lane_bytes = host::band_workspace_bytes(shape.N, shape.K);
  return host::is_band_operand(shape.N, shape.K);
}
bool plan_dgrad(const Signature& s, RowPlan& plan) {
  const LinearShape shape = linear_shape(s.in[0].shape, s.in[1].shape);
  plan.rows = shape.M;
  plan.in = {RowAccess::rows, RowAccess::whole, RowAccess::rows};
  plan.in.resize(s.in.size());
  plan.out = {RowAccess::rows, RowAccess::whole};
  plan.out.resize(s.out.size());
  plan.lane_bytes = host::band_workspace_bytes(shape.K, shape.N);
  plan.kept_bytes = 4 * host::divide_up(shape.M, kColumnSumChunk) * shape.K;
  return host::is_band_operand(shape.K, shape.N);
}
bool plan_wgrad(const Signature& s, RowPlan& plan) {
  const LinearShape shape = linear_wgrad_shape(s.in[0].shape, s.in[1].shape);
  plan.rows = shape.M;
  plan.in = {RowAccess::rows, RowAccess::rows};
  plan.out = {RowAccess::whole};
  plan.lane_bytes = host::band_workspace_bytes(shape.N, shape.K);
  plan.partial_bytes = plan.kept_bytes = 4 * shape.N * shape.K;
  return host::is_band_operand(shape.N, shape.K);
}

void forward_band(const KernelArgs& args, const RowBand& band) {
  const LinearShape shape = linear_shape(args.in[0].shape(), args.in[1].shape());
  const Epilogue e = forward_epilogue(args, shape);
  Gemm g = forward_gemm(shape);
  set_operands(g, args, &e);
  host::multiply_band(g, band.lane, !band.begins_lane);
}
void dgrad_band(const KernelArgs& args, const RowBand& band) {
  const LinearShape shape = linear_shape(args.in[0].shape(), args.in[1].shape());
  Epilogue e = dgrad_epilogue(args, shape, band.kept);
  e.first_row = band.first;
  Gemm g = dgrad_gemm(shape);
  set_operands(g, args, &e);
  host::multiply_band(g, band.lane, !band.begins_lane);
}
void wgrad_band(const KernelArgs& args, const RowBand& band) {
  Gemm g = wgrad_gemm(linear_wgrad_shape(args.in[0].shape(), args.in[1].shape()));
  set_operands(g, args);
  g.c = reinterpret_cast<float*>(band.partial);
  g.sum_chunk = 0;
  g.resumes = !band.begins_task();
  host::add_band(g, band.lane);
}
void add_wgrad(const KernelArgs& args, const std::byte* partial, bool first, std::byte* kept) {
  const auto* chunk = reinterpret_cast<const float*>(partial);
  auto* sum = reinterpret_cast<float*>(kept);
  for (std::int64_t i = 0; i < args.out[0].elements(); ++i)
    sum[i] = first ? chunk[i] : sum[i] + chunk[i];
}
void finish_wgrad(const KernelArgs& args, std::byte* kept) {
  std::memcpy(args.out[0].data, kept, static_cast<std::size_t>(args.out[0].type->bytes()));
}

constexpr host::RowKernel kForwardByRows{plan_forward, nullptr, forward_band, nullptr, nullptr};
constexpr host::RowKernel kDgradByRows{plan_dgrad, nullptr, dgrad_band, nullptr, finish_sums};
constexpr host::RowKernel kWgradByRows{plan_wgrad, nullptr, wgrad_band, add_wgrad, finish_wgrad};

const Kernel kKernels[] = {
    {"linear", "linear_packed", offer_forward, nullptr, launch_forward, false, &kForwardByRows},
    {"linear_dgrad", "linear_dgrad_packed", offer_dgrad, nullptr, launch_dgrad, false,
     &kDgradByRows},
    {"linear_wgrad", "linear_wgrad_packed", offer_wgrad, nullptr, launch_wgrad, false,
     &kWgradByRows},
};

}  // namespace

std::span<const Kernel> linear_cpu_kernels() { return kKernels; }

}  // namespace fornax::kernels
#endif
