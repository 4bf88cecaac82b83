// SGD, AdamW and the global norm on CUDA: up to 256 tensors a launch, their
// pointers in the kernel's arguments. Bound by bytes: SGD 12 to 20 an element,
// AdamW 28, the norm 4.
#include "kernels/device/launch.cuh"
#include "kernels/device/shared.cuh"
#include "kernels/launch_plan.h"
#include "kernels/offer.h"
#include "kernels/optimizer_step/operands.h"
#include "kernels/optimizer_step/update_rule.h"
#include "kernels/reduction/chain_sum.cuh"

namespace fornax::kernels {
namespace {

using namespace fornax::device;

constexpr int kBlock = 128;
constexpr int kMaxTensors = 256;
constexpr std::int64_t kElementsOfBlock = 4096;

/// Tensor i owns the blocks first_block[i] .. first_block[i + 1] - 1.
struct UpdateTable {
  int tensors;
  std::int32_t first_block[kMaxTensors + 1];
  float *p[kMaxTensors], *m[kMaxTensors], *v[kMaxTensors];
  const float* g[kMaxTensors];
  std::int64_t elements[kMaxTensors];
  float weight_decay[kMaxTensors], learning_rate_scale[kMaxTensors];
};

/// The tensor that owns a block (or chunk).
FORNAX_DEVICE int owner_of(const std::int32_t* first, int tensors, std::int64_t block) {
  int low = 0, high = tensors;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (first[middle] <= block)
      low = middle;
    else
      high = middle;
  }
  return low;
}

/// What the launch says of the step; the rest is read from StepState.
struct StepRates {
  const StepState* step;
  const float* scale;  ///< null: 1
  int learning_rate_slot;

  FORNAX_DEVICE float learning_rate(float tensor_scale) const {
    return static_cast<float>(read(&step->scalars[learning_rate_slot])) * tensor_scale;
  }
  FORNAX_DEVICE float gradient_scale() const { return scale ? read(scale) : 1.0f; }
};

/// Calls update(e, gradient) for this thread's elements of tensor `tensor`: e[0] is the parameter,
/// e[1] and e[2] its moments; four at a time where all begin at 16 bytes.
template <int moments, class Update>
FORNAX_DEVICE void update_elements(const UpdateTable& t, int tensor, const Update& update) {
  constexpr int kStates = 1 + moments;
  float* const state[] = {t.p[tensor], t.m[tensor], t.v[tensor]};
  const float* g = t.g[tensor];
  bool aligned = reinterpret_cast<std::uintptr_t>(g) % 16 == 0;
  for (int k = 0; k < kStates; ++k)
    aligned = aligned && reinterpret_cast<std::uintptr_t>(state[k]) % 16 == 0;
  const std::int64_t begin = (block_index() - t.first_block[tensor]) * kElementsOfBlock;
  const std::int64_t rest = t.elements[tensor] - begin;
  const std::int64_t end = begin + (rest < kElementsOfBlock ? rest : kElementsOfBlock);
  for (std::int64_t i = begin + 4 * thread_index(); i < end; i += 4 * kBlock) {
    if (aligned && i + 4 <= end) {
      const Four gradient = read_four(g + i);
      Four now[kStates];
      for (int k = 0; k < kStates; ++k) now[k] = read_four(state[k] + i);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        float e[kStates];
        for (int k = 0; k < kStates; ++k) e[k] = now[k].v[j];
        update(e, gradient.v[j]);
        for (int k = 0; k < kStates; ++k) now[k].v[j] = e[k];
      }
      for (int k = 0; k < kStates; ++k) write_four(state[k] + i, now[k]);
      continue;
    }
    for (std::int64_t j = i; j < i + 4 && j < end; ++j) {
      float e[kStates];
      for (int k = 0; k < kStates; ++k) e[k] = read(state[k] + j);
      update(e, read(g + j));
      for (int k = 0; k < kStates; ++k) write(state[k] + j, e[k]);
    }
  }
}

/// One block for 4096 elements of a tensor.
__global__ void sgd_elements(UpdateTable t, StepRates step, float momentum, bool nesterov) {
  const int tensor = owner_of(t.first_block, t.tensors, block_index());
  const numeric::SgdRates<float> rates{step.learning_rate(t.learning_rate_scale[tensor]),
                                       t.weight_decay[tensor], momentum, step.gradient_scale(),
                                       nesterov};
  if (t.m[tensor])
    update_elements<1>(t, tensor, [&](float* e, float gradient) {
      numeric::sgd_momentum_update(rates, e[0], gradient, e[1]);
    });
  else
    update_elements<0>(
        t, tensor, [&](float* e, float gradient) { numeric::sgd_update(rates, e[0], gradient); });
}

struct SharedRates {
  SharedArray<numeric::AdamWRates<float>, 1> rates;
};

/// One block for 4096 elements of a tensor; its first thread takes the powers
/// of beta.
__global__ void adamw_elements(UpdateTable t, StepRates step, numeric::AdamWConstants constants) {
  const int tensor = owner_of(t.first_block, t.tensors, block_index());
  SharedRates& shared = shared_memory<SharedRates>();
  if (thread_index() == 0)
    write(&shared.rates[0],
          numeric::adamw_rates<float>(constants, step.learning_rate(t.learning_rate_scale[tensor]),
                                      t.weight_decay[tensor], read(&step.step->step),
                                      step.gradient_scale()));
  sync_block();
  const numeric::AdamWRates<float> rates = read(&shared.rates[0]);
  update_elements<2>(t, tensor, [&](float* e, float gradient) {
    numeric::adamw_update(rates, e[0], gradient, e[1], e[2]);
  });
}

/// Tensor i owns the chunks first_chunk[i] .. first_chunk[i + 1] - 1 of `sums`.
struct NormTable {
  int tensors;
  std::int32_t first_chunk[kMaxTensors + 1];
  const float* g[kMaxTensors];
  std::int64_t elements[kMaxTensors];
};

/// One block a chunk of 65536 squares.
__global__ void global_norm_block_per_chunk(NormTable t, float* sums) {
  const int tensor = owner_of(t.first_chunk, t.tensors, block_index());
  const std::int64_t begin = (block_index() - t.first_chunk[tensor]) * numeric::kSumChunk;
  const std::int64_t rest = t.elements[tensor] - begin;
  const std::int64_t end = begin + (rest < numeric::kSumChunk ? rest : numeric::kSumChunk);
  const float* g = t.g[tensor];
  const float sum = block_chunk(begin, end, [=](std::int64_t i) {
    const float v = read(g + i);
    return v * v;
  });
  if (thread_index() == 0) write(sums + block_index(), sum);
}

struct SharedSums {
  SharedArray<float, kMaxTensors> of_tensor;
};

/// One block: every tensor's chunks in order, then the tensors in order, going
/// on from *total unless `first`; the last launch of a node writes the norm.
__global__ void global_norm_of_chunks(NormTable t, const float* sums, bool first, float* total,
                                      float* norm) {
  SharedSums& shared = shared_memory<SharedSums>();
  for (int tensor = thread_index(); tensor < t.tensors; tensor += kBlock) {
    const std::int32_t chunk = t.first_chunk[tensor];
    const float sum = chain_sum_of(sums + chunk, t.first_chunk[tensor + 1] - chunk, 1);
    write(&shared.of_tensor[tensor], sum);
  }
  sync_block();
  if (thread_index() != 0) return;
  float all = first ? -0.0f : read(total);
  for (int tensor = 0; tensor < t.tensors; ++tensor) all = all + read(&shared.of_tensor[tensor]);
  if (norm)
    write(norm, numeric::sqrt(all));
  else
    write(total, all);
}

/// One thread.
__global__ void clip_scale_of_norm(const float* norm, const float* scale, float max_norm,
                                   float* clipped, float* scaled_norm) {
  const float before = scale ? read(scale) : 1.0f, value = read(norm) * before;
  write(clipped, before * numeric::min(1.0f, max_norm / (value + 1e-6f)));
  write(scaled_norm, value);
}

Config blocks(const char* kernel, std::int64_t count, std::size_t shared_bytes = 0) {
  Config config;
  config.grid = {static_cast<unsigned>(count), 1, 1}, config.block = {kBlock, 1, 1};
  config.shared_bytes = shared_bytes;
  config.name = kernel;
  return config;
}

/// The output is the state itself; where it is another buffer, the state is
/// copied there first.
float* updated_in_place(const KernelArgs& args, std::size_t in, std::size_t out) {
  if (args.in[in].data != args.out[out].data)
    args.queue.table->copy(args.queue, args.out[out].data, args.in[in].data,
                           static_cast<std::size_t>(args.out[out].type->bytes()));
  return args.out[out].as<float>();
}

UpdateTable update_table(const KernelArgs& args, const OptimizerOperands& operands,
                         std::size_t begin, std::size_t end) {
  UpdateTable t{};
  for (std::size_t i = begin; i < end; ++i) {
    const auto k = t.tensors++;
    t.p[k] = updated_in_place(args, i, i);
    t.g[k] = args.in[operands.gradient(i)].as<float>();
    if (operands.moments > 0)
      t.m[k] = updated_in_place(args, operands.moment(0, i), operands.new_moment(0, i));
    if (operands.moments > 1)
      t.v[k] = updated_in_place(args, operands.moment(1, i), operands.new_moment(1, i));
    t.elements[k] = args.in[i].elements();
    t.weight_decay[k] = static_cast<float>(args.attributes->numbers("weight_decay")[i]);
    t.learning_rate_scale[k] =
        static_cast<float>(args.attributes->numbers("learning_rate_scale")[i]);
    const std::int64_t own = (t.elements[k] + kElementsOfBlock - 1) / kElementsOfBlock;
    t.first_block[k + 1] = t.first_block[k] + static_cast<std::int32_t>(own);
  }
  return t;
}

/// Calls body(table) for every 256 tensors that have elements.
template <class Body>
void for_tables(const KernelArgs& args, const Body& body) {
  const auto operands = optimizer_operands(*args.attributes);
  for (std::size_t begin = 0; begin < operands.tensors; begin += kMaxTensors) {
    const UpdateTable t =
        update_table(args, operands, begin, std::min(operands.tensors, begin + kMaxTensors));
    if (t.first_block[t.tensors] > 0) body(t);
  }
}

StepRates step_rates(const KernelArgs& args) {
  return {args.step, args.in.back().as<float>(),
          static_cast<int>(args.attributes->integer("learning_rate_slot"))};
}

void launch_sgd(const KernelArgs& args) {
  const auto momentum = static_cast<float>(args.attributes->number("momentum"));
  const bool nesterov = args.attributes->integer("nesterov") != 0;
  for_tables(args, [&](const UpdateTable& t) {
    launch(args.queue, sgd_elements, blocks("sgd_elements", t.first_block[t.tensors]), t,
           step_rates(args), momentum, nesterov);
  });
}

void launch_adamw(const KernelArgs& args) {
  const numeric::AdamWConstants constants{args.attributes->number("beta1"),
                                          args.attributes->number("beta2"),
                                          args.attributes->number("epsilon")};
  for_tables(args, [&](const UpdateTable& t) {
    launch(args.queue, adamw_elements,
           blocks("adamw_elements", t.first_block[t.tensors], sizeof(SharedRates)), t,
           step_rates(args), constants);
  });
}

std::int64_t chunks_of(std::int64_t elements) {
  return (elements + numeric::kSumChunk - 1) / numeric::kSumChunk;
}

/// Workspace: the running total, then the chunk sums of one launch.
void launch_global_norm(const KernelArgs& args) {
  auto* total = reinterpret_cast<float*>(args.workspace.data());
  for (std::size_t begin = 0; begin < args.in.size(); begin += kMaxTensors) {
    NormTable t{};
    const std::size_t end = std::min(args.in.size(), begin + kMaxTensors);
    for (std::size_t i = begin; i < end; ++i) {
      const auto k = t.tensors++;
      t.g[k] = args.in[i].as<float>(), t.elements[k] = args.in[i].elements();
      t.first_chunk[k + 1] = t.first_chunk[k] + static_cast<std::int32_t>(chunks_of(t.elements[k]));
    }
    const std::int64_t chunks = t.first_chunk[t.tensors];
    if (chunks > 0)
      launch(args.queue, global_norm_block_per_chunk,
             blocks("global_norm_block_per_chunk", chunks, sizeof(SharedChains)), t, total + 1);
    float* norm = end == args.in.size() ? args.out[0].as<float>() : nullptr;
    launch(args.queue, global_norm_of_chunks,
           blocks("global_norm_of_chunks", 1, sizeof(SharedSums)), t, total + 1, begin == 0, total,
           norm);
  }
}

void launch_clip_scale(const KernelArgs& args) {
  Config one = blocks("clip_scale_of_norm", 1);
  one.block = {1, 1, 1};
  launch(args.queue, clip_scale_of_norm, one, args.in[0].as<float>(), args.in[1].as<float>(),
         static_cast<float>(args.attributes->number("max_norm")), args.out[0].as<float>(),
         args.out[1].as<float>());
}

Offer offer_update(const Signature& signature, const DeviceModel&) {
  return offer_f32(signature, "optimizer_elements");
}
Offer offer_global_norm(const Signature& signature, const DeviceModel&) {
  std::int64_t chunks = 0;
  for (const TensorType& type : signature.in) chunks += chunks_of(type.shape.elements());
  return offer_f32(signature, "global_norm_block_per_chunk", 4 * (1 + chunks));
}

const Kernel kKernels[] = {
    {"sgd", "sgd_elements", offer_update, nullptr, launch_sgd},
    {"adamw", "adamw_elements", offer_update, nullptr, launch_adamw},
    {"global_norm", "global_norm_block_per_chunk", offer_global_norm, nullptr, launch_global_norm},
    {"clip_scale", "clip_scale_of_norm", offer_update, nullptr, launch_clip_scale},
};

}  // namespace

std::span<const Kernel> optimizer_step_cuda_kernels() { return kKernels; }

}  // namespace fornax::kernels
