// The fully connected layer on CUDA: which product a node becomes, and the sums over chunks.
#include "kernels/device/element.cuh"
#include "kernels/device/launch.cuh"
#include "kernels/launch_plan.h"
#include "kernels/linear/linear_shape.h"
#include "kernels/linear/linear_tile.cuh"
#include "kernels/reduction/column_sum.cuh"

namespace fornax::kernels {
namespace {

using namespace fornax::device;

constexpr int kBlock = 256;
constexpr std::int64_t kChunksAtOnce = 16;  ///< of a weight gradient, each with partial sums

/// One thread an element: total = sum of the chunks' sums in order, going on from `total` unless
/// this is the first pass; the last pass writes y.
template <class E>
__global__ void linear_wgrad_add_chunks(const float* partial, std::int64_t chunks,
                                        std::int64_t count, bool first, float* total, E* y) {
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    float sum = first ? read(partial + i) : read(total + i) + read(partial + i);
    for (std::int64_t k = 1; k < chunks; ++k) sum = sum + read(partial + k * count + i);
    if (y)
      write_element(y + i, sum);
    else
      write(total + i, sum);
  }
}

Offer offer_elements(const Signature& s, std::string_view kernel) {
  if (has_element(s.in[0].dtype)) return {};
  return {.refusal = std::string(kernel) + ": f32, bf16 or f16 needed, got " + name(s.in[0].dtype)};
}
Offer offer_forward(const Signature& s, const DeviceModel&) {
  return offer_elements(s, "linear_exact");
}
Offer offer_dgrad(const Signature& s, const DeviceModel&) {
  Offer offer = offer_elements(s, "linear_dgrad_exact");
  const LinearShape shape = linear_shape(s.in[0].shape, s.in[1].shape);
  if (s.out.size() > 1) offer.workspace_bytes = column_sum_workspace_bytes(shape.M, shape.K);
  return offer;
}
Offer offer_wgrad(const Signature& s, const DeviceModel&) {
  Offer offer = offer_elements(s, "linear_wgrad_exact");
  const LinearShape shape = linear_wgrad_shape(s.in[0].shape, s.in[1].shape);
  const std::int64_t chunks = (shape.M + kWeightGradientChunk - 1) / kWeightGradientChunk;
  const std::int64_t parts = chunks <= 1               ? 0
                             : chunks <= kChunksAtOnce ? chunks
                                                       : kChunksAtOnce + 1;  // and the total
  offer.workspace_bytes = parts * shape.N * shape.K * 4;
  return offer;
}

template <class E>
TileProduct<E> product_of(const KernelArgs& args, std::int64_t M, std::int64_t N, std::int64_t K) {
  TileProduct<E> p{};
  p.a = args.in[0].as<E>(), p.b = args.in[1].as<E>(), p.c = args.out[0].as<E>();
  p.M = M, p.N = N, p.K = K;
  p.chunk = std::max<std::int64_t>(K, 1);
  p.activation = linear_activation(*args.attributes);
  return p;
}

/// A view may begin anywhere, which only the launch sees: then the exact product serves.
template <bool mma, class E>
void run_product(const Queue& queue, TileLayout layout, const TileProduct<E>& p,
                 std::int64_t chunks) {
  if constexpr (mma && !std::is_same_v<E, float>)
    if (mma_takes(p)) return mma_product(queue, layout, p, chunks);
  exact_product(queue, layout, p, chunks);
}

template <bool mma>
void launch_forward(const KernelArgs& args) {
  const auto [M, N, K] = linear_shape(args.in[0].shape(), args.in[1].shape());
  with_element(args.out[0].type->dtype, [&, M = M, N = N, K = K]<class E>(E) {
    TileProduct<E> p = product_of<E>(args, M, N, K);
    p.lda = K, p.ldb = K;
    p.bias = args.in.size() > 2 ? args.in[2].as<E>() : nullptr;
    p.before = args.out.size() > 1 ? args.out[1].as<E>() : nullptr;
    run_product<mma>(args.queue, TileLayout::forward, p, 1);
  });
}

template <bool mma>
void launch_dgrad(const KernelArgs& args) {
  const auto [M, N, K] = linear_shape(args.in[0].shape(), args.in[1].shape());
  with_element(args.out[0].type->dtype, [&, M = M, N = N, K = K]<class E>(E) {
    TileProduct<E> p = product_of<E>(args, M, K, N);
    p.lda = N, p.ldb = K;
    p.saved = p.activation == Activation::none ? nullptr : args.in[2].as<E>();
    run_product<mma>(args.queue, TileLayout::dgrad, p, 1);
  });
  if (args.out.size() > 1 && args.out[1].present()) {
    const ConstTensorView dx{args.out[0].data, args.out[0].type};
    column_sum_cuda(args.queue, dx, args.out[1], 1, args.workspace);
  }
}

template <bool mma, class E>
void run_wgrad(const KernelArgs& args, const LinearShape& shape) {
  TileProduct<E> p = product_of<E>(args, shape.N, shape.K, shape.M);
  p.lda = shape.N, p.ldb = shape.K;
  const std::int64_t chunks = (shape.M + kWeightGradientChunk - 1) / kWeightGradientChunk;
  if (chunks <= 1) return run_product<mma>(args.queue, TileLayout::wgrad, p, 1);
  const std::int64_t count = shape.N * shape.K;
  if (count == 0) return;
  p.chunk = kWeightGradientChunk;
  p.partial = reinterpret_cast<float*>(args.workspace.data());
  float* total = p.partial + kChunksAtOnce * count;
  Config config;
  config.grid = blocks_for(count, kBlock), config.block = {kBlock, 1, 1};
  config.name = "linear_wgrad_add_chunks";
  for (p.first_chunk = 0; p.first_chunk < chunks; p.first_chunk += kChunksAtOnce) {
    const std::int64_t now = std::min(kChunksAtOnce, chunks - p.first_chunk);
    run_product<mma>(args.queue, TileLayout::wgrad, p, now);
    const bool last = p.first_chunk + now == chunks;
    launch(args.queue, linear_wgrad_add_chunks<E>, config, p.partial, now, count,
           p.first_chunk == 0, total, last ? p.c : nullptr);
  }
}

template <bool mma>
void launch_wgrad(const KernelArgs& args) {
  const LinearShape shape = linear_wgrad_shape(args.in[0].shape(), args.in[1].shape());
  with_element(args.out[0].type->dtype, [&]<class E>(E) { run_wgrad<mma, E>(args, shape); });
}

/// Tensor cores take rows of whole 16 bytes; f32 stays exact.
Offer with_tensor_cores(Offer offer, const Signature& s, std::string_view kernel,
                        std::initializer_list<std::int64_t> extents) {
  const DType dtype = s.in[0].dtype;
  if (dtype != DType::bf16 && dtype != DType::f16)
    return {.refusal = std::string(kernel) + ": bf16 or f16 needed, got " + name(dtype)};
  for (const std::int64_t extent : extents)
    if (extent % 8 != 0)
      return {.refusal =
                  std::string(kernel) + ": extents % 8 == 0 needed, got " + std::to_string(extent)};
  return offer;
}
Offer offer_forward_mma(const Signature& s, const DeviceModel& model) {
  return with_tensor_cores(offer_forward(s, model), s, "linear_mma", {s.in[1].shape[1]});
}
Offer offer_dgrad_mma(const Signature& s, const DeviceModel& model) {
  const Shape& w = s.in[1].shape;
  return with_tensor_cores(offer_dgrad(s, model), s, "linear_dgrad_mma", {w[0], w[1]});
}
Offer offer_wgrad_mma(const Signature& s, const DeviceModel& model) {
  return with_tensor_cores(offer_wgrad(s, model), s, "linear_wgrad_mma",
                           {s.in[0].shape[-1], s.in[1].shape[-1]});
}

const Kernel kKernels[] = {
    {"linear", "linear_mma", offer_forward_mma, nullptr, launch_forward<true>},
    {"linear", "linear_exact", offer_forward, nullptr, launch_forward<false>},
    {"linear_dgrad", "linear_dgrad_mma", offer_dgrad_mma, nullptr, launch_dgrad<true>},
    {"linear_dgrad", "linear_dgrad_exact", offer_dgrad, nullptr, launch_dgrad<false>},
    {"linear_wgrad", "linear_wgrad_mma", offer_wgrad_mma, nullptr, launch_wgrad<true>},
    {"linear_wgrad", "linear_wgrad_exact", offer_wgrad, nullptr, launch_wgrad<false>},
};

}  // namespace

std::span<const Kernel> linear_cuda_kernels() { return kKernels; }

}  // namespace fornax::kernels
