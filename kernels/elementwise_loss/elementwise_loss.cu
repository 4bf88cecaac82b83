// Elementwise losses on CUDA: one block a chunk of the ordered sum, one thread
// four elements backward. Bytes: 8 an element forward, 12 backward; an H100 takes 1.6 (squares)
// and 3.2 (logistic) times as long forward.
#include "kernels/device/launch.cuh"
#include "kernels/elementwise_loss/loss_element.h"
#include "kernels/launch_plan.h"
#include "kernels/offer.h"
#include "kernels/reduction/chain_sum.cuh"

namespace fornax::kernels {
namespace {

using namespace fornax::device;

constexpr int kBlock = 128;
constexpr int kElementsOfBlock = 4 * kBlock;  ///< of a block of the gradient, at a time

struct SquaredError {
  static constexpr float kFactor = 2;
  static FORNAX_DEVICE float loss(float x, float t) { return numeric::squared_error(x, t); }
  static FORNAX_DEVICE float gradient(float x, float t, float weight) {
    return numeric::squared_error_gradient(x, t, weight);
  }
};
struct Logistic {
  static constexpr float kFactor = 1;
  static FORNAX_DEVICE float loss(float x, float t) { return numeric::logistic_loss(x, t); }
  static FORNAX_DEVICE float gradient(float x, float t, float weight) {
    return numeric::logistic_loss_gradient(x, t, weight);
  }
};

struct Pair {
  const float *x, *target;
  std::int64_t count, chunks;
};

/// One block a chunk of 65536 elements.
template <class Loss>
__global__ void loss_block_per_chunk(Pair t, float* sums) {
  const std::int64_t begin = block_index() * numeric::kSumChunk, rest = t.count - begin;
  const std::int64_t end = begin + (rest < numeric::kSumChunk ? rest : numeric::kSumChunk);
  const float sum = block_chunk(
      begin, end, [=](std::int64_t i) { return Loss::loss(read(t.x + i), read(t.target + i)); });
  if (thread_index() == 0) write(sums + block_index(), sum);
}

/// One thread: the chunk sums in order, divided.
__global__ void loss_of_chunks(const float* sums, std::int64_t chunks, std::int64_t count,
                               float* loss) {
  const float total = chain_sum_of(sums, chunks, 1);
  write(loss, count == 0 ? 0.0f : total / static_cast<float>(count));
}

/// Four elements a thread at a time, a block's width apart.
template <class Loss>
__global__ void loss_gradient_elements(Pair t, const float* d_loss, float* dx) {
  const float weight = Loss::kFactor * read(d_loss) / static_cast<float>(t.count);
  std::int64_t i = std::int64_t{block_index()} * kElementsOfBlock + thread_index();
  for (; i < t.count; i += std::int64_t{grid_blocks()} * kElementsOfBlock) {
    float x[4] = {}, target[4] = {};
#pragma unroll
    for (int j = 0; j < 4; ++j)
      if (i + j * kBlock < t.count)
        x[j] = read(t.x + i + j * kBlock), target[j] = read(t.target + i + j * kBlock);
#pragma unroll
    for (int j = 0; j < 4; ++j)
      if (i + j * kBlock < t.count)
        write(dx + i + j * kBlock, Loss::gradient(x[j], target[j], weight));
  }
}

/// `operand` is the input that holds predictions; targets follow it.
Pair pair_of(const KernelArgs& args, std::size_t operand) {
  Pair t{};
  t.x = args.in[operand].as<float>(), t.target = args.in[operand + 1].as<float>();
  t.count = args.in[operand].elements();
  t.chunks = (t.count + numeric::kSumChunk - 1) / numeric::kSumChunk;
  return t;
}

Config threads(const char* kernel, std::int64_t count, int block = kBlock) {
  Config config;
  config.grid = blocks_for(count, block), config.block = {static_cast<unsigned>(block), 1, 1};
  config.name = kernel;
  return config;
}

template <class Loss>
void launch_loss(const KernelArgs& args) {
  const Pair t = pair_of(args, 0);
  auto* sums = reinterpret_cast<float*>(args.workspace.data());
  if (t.chunks > 0) {
    Config blocks = threads("loss_block_per_chunk", t.chunks * kBlock);
    blocks.shared_bytes = sizeof(SharedChains);
    launch(args.queue, loss_block_per_chunk<Loss>, blocks, t, sums);
  }
  launch(args.queue, loss_of_chunks, threads("loss_of_chunks", 1, 1), sums, t.chunks, t.count,
         args.out[0].as<float>());
}

template <class Loss>
void launch_gradient(const KernelArgs& args) {
  const Pair t = pair_of(args, 1);
  if (t.count == 0) return;
  auto* dx = args.out[0].as<float>();
  launch(args.queue, loss_gradient_elements<Loss>,
         threads("loss_gradient_elements", (t.count + 3) / 4), t, args.in[0].as<float>(), dx);
}

Offer offer(const Signature& signature, const DeviceModel&) {
  const std::int64_t count = signature.in[0].shape.elements();
  if (count > 65536 * numeric::kSumChunk)
    return {"loss_block_per_chunk: at most 2^32 elements, got " + std::to_string(count), 0, 0};
  return offer_f32(signature, "loss_block_per_chunk",
                   4 * ((count + numeric::kSumChunk - 1) / numeric::kSumChunk));
}
Offer offer_gradient(const Signature& signature, const DeviceModel&) {
  return offer_f32(signature, "loss_gradient_elements");
}

const Kernel kKernels[] = {
    {"mean_squared_error", "loss_block_per_chunk", offer, nullptr, launch_loss<SquaredError>},
    {"binary_cross_entropy", "loss_block_per_chunk", offer, nullptr, launch_loss<Logistic>},
    {"mean_squared_error_gradient", "loss_gradient_elements", offer_gradient, nullptr,
     launch_gradient<SquaredError>},
    {"binary_cross_entropy_gradient", "loss_gradient_elements", offer_gradient, nullptr,
     launch_gradient<Logistic>},
};

}  // namespace

std::span<const Kernel> elementwise_loss_cuda_kernels() { return kKernels; }

}  // namespace fornax::kernels
