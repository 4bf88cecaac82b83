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

constexpr int kBlock = 64;  ///< of the sums of chunks: few elements may have many chunks
/// Chunks of a weight gradient, each with partial sums of so many bytes in all, or so many chunks.
constexpr std::int64_t kPartialBytes = std::int64_t{16} << 20, kFewestAtOnce = 16;

std::int64_t chunks_at_once(std::int64_t chunks, std::int64_t outputs) {
  const std::int64_t fitting = kPartialBytes / std::max<std::int64_t>(4 * outputs, 1);
  return std::min(chunks, std::max(kFewestAtOnce, fitting));
}

/// One thread an element: total = sum of the chunks' sums in order, going on from `total` unless
/// this is the first pass; the last pass writes y.
template <class E>
__global__ void linear_wgrad_add_chunks(const float* partial, std::int64_t chunks,
                                        std::int64_t count, bool first, float* total, E* y) {
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    float sum = first ? read(partial + i) : read(total + i) + read(partial + i);
#pragma unroll 16
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
  const std::int64_t at_once = chunks_at_once(chunks, shape.N * shape.K);
  const std::int64_t parts = chunks <= 1 ? 0 : at_once + (at_once < chunks);  // and the total
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

/// What makes a product: tensor cores, or the exact product with the tile that suits it, or one.
enum class Way { mma, exact, of_128x64, of_64x64, of_32x64, of_16x32 };
constexpr Tile tile_of(Way way) {
  return way == Way::mma ? Tile::best : static_cast<Tile>(static_cast<int>(way) - 1);
}
static_assert(tile_of(Way::exact) == Tile::best && tile_of(Way::of_16x32) == Tile::of_16x32);

/// A view may begin anywhere, which only the launch sees: then a product without that need serves.
template <Way way, class E>
void run_product(const Queue& queue, TileLayout layout, TileProduct<E> p, std::int64_t chunks) {
  p.whole_fours = p.N % 4 == 0 && aligned_to_four(p.c) && aligned_to_four(p.bias) &&
                  aligned_to_four(p.before) && aligned_to_four(p.saved);
  if constexpr (way == Way::mma && !std::is_same_v<E, float>)
    if (whole_rows(p)) return mma_product(queue, layout, p, chunks);
  const bool fits = way != Way::of_128x64 || whole_rows(p);
  exact_product(queue, layout, p, chunks, fits ? tile_of(way) : Tile::best);
}

template <Way way>
void launch_forward(const KernelArgs& args) {
  const auto [M, N, K] = linear_shape(args.in[0].shape(), args.in[1].shape());
  with_element(args.out[0].type->dtype, [&, M = M, N = N, K = K]<class E>(E) {
    TileProduct<E> p = product_of<E>(args, M, N, K);
    p.lda = K, p.ldb = K;
    p.bias = args.in.size() > 2 ? args.in[2].as<E>() : nullptr;
    p.before = args.out.size() > 1 ? args.out[1].as<E>() : nullptr;
    run_product<way>(args.queue, TileLayout::forward, p, 1);
  });
}

template <Way way>
void launch_dgrad(const KernelArgs& args) {
  const auto [M, N, K] = linear_shape(args.in[0].shape(), args.in[1].shape());
  with_element(args.out[0].type->dtype, [&, M = M, N = N, K = K]<class E>(E) {
    TileProduct<E> p = product_of<E>(args, M, K, N);
    p.lda = N, p.ldb = K;
    p.saved = p.activation == Activation::none ? nullptr : args.in[2].as<E>();
    run_product<way>(args.queue, TileLayout::dgrad, p, 1);
  });
  if (args.out.size() > 1 && args.out[1].present()) {
    const ConstTensorView dx{args.out[0].data, args.out[0].type};
    column_sum_cuda(args.queue, dx, args.out[1], 1, args.workspace);
  }
}

template <Way way, class E>
void run_wgrad(const KernelArgs& args, const LinearShape& shape) {
  TileProduct<E> p = product_of<E>(args, shape.N, shape.K, shape.M);
  p.lda = shape.N, p.ldb = shape.K;
  const std::int64_t chunks = (shape.M + kWeightGradientChunk - 1) / kWeightGradientChunk;
  if (chunks <= 1) return run_product<way>(args.queue, TileLayout::wgrad, p, 1);
  const std::int64_t count = shape.N * shape.K;
  if (count == 0) return;
  p.chunk = kWeightGradientChunk;
  p.partial = reinterpret_cast<float*>(args.workspace.data());
  const std::int64_t at_once = chunks_at_once(chunks, count);
  float* total = p.partial + at_once * count;
  Config config;
  config.grid = blocks_for(count, kBlock), config.block = {kBlock, 1, 1};
  config.name = "linear_wgrad_add_chunks";
  for (p.first_chunk = 0; p.first_chunk < chunks; p.first_chunk += at_once) {
    const std::int64_t now = std::min(at_once, chunks - p.first_chunk);
    run_product<way>(args.queue, TileLayout::wgrad, p, now);
    const bool last = p.first_chunk + now == chunks;
    launch(args.queue, linear_wgrad_add_chunks<E>, config, p.partial, now, count,
           p.first_chunk == 0, total, last ? p.c : nullptr);
  }
}

template <Way way>
void launch_wgrad(const KernelArgs& args) {
  const LinearShape shape = linear_wgrad_shape(args.in[0].shape(), args.in[1].shape());
  with_element(args.out[0].type->dtype, [&]<class E>(E) { run_wgrad<way, E>(args, shape); });
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

/// One tile for all extents of f32; the largest takes rows of whole 16 bytes.
Offer with_tile(Offer offer, const Signature& s, std::initializer_list<std::int64_t> extents) {
  if (s.in[0].dtype != DType::f32)
    return {.refusal =
                "linear_exact, one tile: f32 needed, got " + std::string(name(s.in[0].dtype))};
  for (const std::int64_t extent : extents)
    if (extent % 4 != 0)
      return {.refusal =
                  "linear_exact_128x64: extents % 4 == 0 needed, got " + std::to_string(extent)};
  return offer;
}
Offer offer_forward_large(const Signature& s, const DeviceModel& model) {
  return with_tile(offer_forward(s, model), s, {s.in[1].shape[1]});
}
Offer offer_dgrad_large(const Signature& s, const DeviceModel& model) {
  return with_tile(offer_dgrad(s, model), s, {s.in[1].shape[0], s.in[1].shape[1]});
}
Offer offer_wgrad_large(const Signature& s, const DeviceModel& model) {
  return with_tile(offer_wgrad(s, model), s, {s.in[0].shape[-1], s.in[1].shape[-1]});
}
template <Offer (*offer)(const Signature&, const DeviceModel&)>
Offer offer_tile(const Signature& s, const DeviceModel& model) {
  return with_tile(offer(s, model), s, {});
}

const Kernel kKernels[] = {
    {"linear", "linear_mma", offer_forward_mma, nullptr, launch_forward<Way::mma>},
    {"linear", "linear_exact", offer_forward, nullptr, launch_forward<Way::exact>},
    {"linear_dgrad", "linear_dgrad_mma", offer_dgrad_mma, nullptr, launch_dgrad<Way::mma>},
    {"linear_dgrad", "linear_dgrad_exact", offer_dgrad, nullptr, launch_dgrad<Way::exact>},
    {"linear_wgrad", "linear_wgrad_mma", offer_wgrad_mma, nullptr, launch_wgrad<Way::mma>},
    {"linear_wgrad", "linear_wgrad_exact", offer_wgrad, nullptr, launch_wgrad<Way::exact>},
    {"linear", "linear_exact_128x64", offer_forward_large, nullptr, launch_forward<Way::of_128x64>},
    {"linear_dgrad", "linear_dgrad_exact_128x64", offer_dgrad_large, nullptr,
     launch_dgrad<Way::of_128x64>},
    {"linear_wgrad", "linear_wgrad_exact_128x64", offer_wgrad_large, nullptr,
     launch_wgrad<Way::of_128x64>},
    {"linear", "linear_exact_64x64", offer_tile<offer_forward>, nullptr,
     launch_forward<Way::of_64x64>},
    {"linear_dgrad", "linear_dgrad_exact_64x64", offer_tile<offer_dgrad>, nullptr,
     launch_dgrad<Way::of_64x64>},
    {"linear_wgrad", "linear_wgrad_exact_64x64", offer_tile<offer_wgrad>, nullptr,
     launch_wgrad<Way::of_64x64>},
    {"linear", "linear_exact_32x64", offer_tile<offer_forward>, nullptr,
     launch_forward<Way::of_32x64>},
    {"linear_dgrad", "linear_dgrad_exact_32x64", offer_tile<offer_dgrad>, nullptr,
     launch_dgrad<Way::of_32x64>},
    {"linear_wgrad", "linear_wgrad_exact_32x64", offer_tile<offer_wgrad>, nullptr,
     launch_wgrad<Way::of_32x64>},
    {"linear", "linear_exact_16x32", offer_tile<offer_forward>, nullptr,
     launch_forward<Way::of_16x32>},
    {"linear_dgrad", "linear_dgrad_exact_16x32", offer_tile<offer_dgrad>, nullptr,
     launch_dgrad<Way::of_16x32>},
    {"linear_wgrad", "linear_wgrad_exact_16x32", offer_tile<offer_wgrad>, nullptr,
     launch_wgrad<Way::of_16x32>},
};

}  // namespace

std::span<const Kernel> linear_cuda_kernels() { return kKernels; }

}  // namespace fornax::kernels
