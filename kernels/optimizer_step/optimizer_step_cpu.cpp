// SGD, AdamW and the global norm on the CPU: threads split the elements of a tensor, and the
// chunks of its ordered sum. Bound by bytes: SGD 12 to 20 an element, AdamW 28, the norm 4.
#undef HWY_TARGET_INCLUDE
// clang-format off
#define HWY_TARGET_INCLUDE "kernels/optimizer_step/optimizer_step_cpu.cpp"
#include "hwy/foreach_target.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/vector.h"
#include "kernels/optimizer_step/update_vector.h"
// clang-format on
#include "kernels/host/offer.h"
#include "kernels/host/parallel.h"
#include "kernels/optimizer_step/rates.h"

HWY_BEFORE_NAMESPACE();
namespace fornax::optimizer_step::HWY_NAMESPACE {

/// All elements of the rows are one.
kernels::UpdatedRows one_row(std::int64_t begin, std::int64_t end) {
  return {1, end - begin, 0, 0};
}

void sgd_range(const numeric::SgdRates<float>& rates, const kernels::TensorPointers& t,
               std::int64_t begin, std::int64_t end) {
  sgd_rows(rates, t.from(begin), one_row(begin, end));
}

void sgd_momentum_range(const numeric::SgdRates<float>& rates, const kernels::TensorPointers& t,
                        std::int64_t begin, std::int64_t end) {
  sgd_momentum_rows(rates, t.from(begin), one_row(begin, end));
}

void adamw_range(const numeric::AdamWRates<float>& rates, const kernels::TensorPointers& t,
                 std::int64_t begin, std::int64_t end) {
  adamw_rows(rates, t.from(begin), one_row(begin, end));
}

/// The sums of the chunks [begin, end) of the squares of g. Two at once are quicker than four where
/// hardware reads along: twice as quick with 8 lanes, 1.01 to 1.06 with 16.
void chunks_of_squares(std::span<const float> g, std::int64_t begin, std::int64_t end,
                       float* sums) {
  const auto square = [=](std::int64_t i, auto zero) FORNAX_LAMBDA {
    const auto x = num::load(g.data() + i, zero);
    return x * x;
  };
  const auto count = static_cast<std::int64_t>(g.size());
  if (host::reads_along())
    return num::ordered_chunk_sums<num::Vector, num::kLanes, 2>(begin, end, count, square, sums);
  num::ordered_chunk_sums<num::Vector, num::kLanes>(begin, end, count, square, sums);
}

}  // namespace fornax::optimizer_step::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::optimizer_step {
namespace {

using kernels::KernelArgs;

/// Calls range(tensor, begin, end, units of all tensors before) for the count(tensor) units of each
/// of `tensors` tensors; threads share the units of all, so that many small tensors are work for
/// each of them too.
template <class Count, class Range>
void for_parts(std::size_t tensors, std::int64_t grain, int threads, const Count& count,
               const Range& range) {
  std::int64_t all = 0;
  for (std::size_t i = 0; i < tensors; ++i) all += count(i);
  host::parallel_for(all, grain, threads, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t before = 0;
    for (std::size_t i = 0; i < tensors && before < end; ++i) {
      const std::int64_t first = std::max(begin - before, std::int64_t{0});
      const std::int64_t last = std::min(end - before, count(i));
      if (first < last) range(i, first, last, before);
      before += count(i);
    }
  });
}

template <class Range>
void for_elements(const KernelArgs& args, std::size_t tensors, const Range& range) {
  for_parts(
      tensors, host::kElementsOfPart, args.threads,
      [&](std::size_t i) { return args.in[i].elements(); },
      [&](std::size_t i, std::int64_t begin, std::int64_t end, std::int64_t) {
        range(i, begin, end);
      });
}

void launch_sgd(const KernelArgs& args) {
  const auto operands = kernels::optimizer_operands(*args.attributes);
  for_elements(args, operands.tensors, [&](std::size_t i, std::int64_t begin, std::int64_t end) {
    const auto rates = kernels::sgd_rates_of<float>(args, i);
    const auto pointers = kernels::tensor_pointers(args, operands, i);
    if (operands.moments == 0)
      FORNAX_DISPATCH(sgd_range)(rates, pointers, begin, end);
    else
      FORNAX_DISPATCH(sgd_momentum_range)(rates, pointers, begin, end);
  });
}

void launch_adamw(const KernelArgs& args) {
  const auto operands = kernels::optimizer_operands(*args.attributes);
  for_elements(args, operands.tensors, [&](std::size_t i, std::int64_t begin, std::int64_t end) {
    FORNAX_DISPATCH(adamw_range)
    (kernels::adamw_rates_of<float>(args, i), kernels::tensor_pointers(args, operands, i), begin,
     end);
  });
}

std::int64_t chunks_of(std::int64_t elements) {
  return (elements + numeric::kSumChunk - 1) / numeric::kSumChunk;
}

void launch_global_norm(const KernelArgs& args) {
  auto* sums = reinterpret_cast<float*>(args.workspace.data());
  const auto count = [&](std::size_t i) { return chunks_of(args.in[i].elements()); };
  std::int64_t elements = 0, chunks = 0;
  for (std::size_t i = 0; i < args.in.size(); ++i)
    elements += args.in[i].elements(), chunks += count(i);
  const std::int64_t grain = host::rows_of_part(elements / std::max<std::int64_t>(chunks, 1));
  for_parts(args.in.size(), grain, args.threads, count,
            [&](std::size_t i, std::int64_t first, std::int64_t last, std::int64_t before) {
              const std::span g(args.in[i].as<float>(),
                                static_cast<std::size_t>(args.in[i].elements()));
              FORNAX_DISPATCH(chunks_of_squares)(g, first, last, sums + before);
            });
  float total = -0.0f;
  for (std::size_t i = 0; i < args.in.size(); sums += count(i), ++i)
    total = total + numeric::ordered_sum_of_chunks(sums, count(i));
  *args.out[0].as<float>() = numeric::sqrt(total);
}

kernels::Offer offer_update(const kernels::Signature& signature, const kernels::DeviceModel&) {
  return host::offer_f32(signature, "optimizer_step");
}
kernels::Offer offer_global_norm(const kernels::Signature& signature, const kernels::DeviceModel&) {
  std::int64_t chunks = 0;
  for (const auto& type : signature.in) chunks += chunks_of(type.shape.elements());
  return host::offer_f32(signature, "global_norm_chunks", 4 * chunks);
}

const kernels::Kernel kKernels[] = {
    {"sgd", "sgd_elements", offer_update, nullptr, launch_sgd},
    {"adamw", "adamw_elements", offer_update, nullptr, launch_adamw},
    {"global_norm", "global_norm_chunks", offer_global_norm, nullptr, launch_global_norm},
};

}  // namespace
}  // namespace fornax::optimizer_step

namespace fornax::kernels {
std::span<const Kernel> optimizer_step_cpu_kernels() { return optimizer_step::kKernels; }
}  // namespace fornax::kernels
#endif
