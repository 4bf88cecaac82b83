// A weight's gradient and its update on the CPU: strips of the product are handed to the update
// while they are in cache. Bound by the FMAs and, 8 to 24 bytes an element, by memory.
#include <new>
#include <utility>

#undef HWY_TARGET_INCLUDE
// clang-format off
#define HWY_TARGET_INCLUDE "kernels/weight_update/weight_update_cpu.cpp"
#include "hwy/foreach_target.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/vector.h"
#include "kernels/weight_update/update_between.h"
// clang-format on
#include "kernels/host/gemm.h"
#include "kernels/host/offer.h"
#include "kernels/linear/linear_gemm.h"
#include "kernels/optimizer_step/rates.h"
#include "kernels/weight_update/weight_update.h"

HWY_BEFORE_NAMESPACE();
namespace fornax::weight_update::HWY_NAMESPACE {

void update_strip(const Update& update, const kernels::TensorPointers& strip,
                  const kernels::UpdatedRows& rows) {
  if (update.is_adamw) return rules::adamw_rows(update.adamw, strip, rows);
  strip.m ? rules::sgd_momentum_rows(update.sgd, strip, rows)
          : rules::sgd_rows(update.sgd, strip, rows);
}

void begin_strip(const void* context, void* state, float* outputs, std::int64_t at,
                 std::int64_t count) {
  static_assert(sizeof(StripWork) <= host::GemmBetween::state_bytes);
  auto& work = *new (state) StripWork{};
  work.update = *static_cast<const Update*>(context);
  work.strip = work.update.weight.from(at);
  work.strip.g = outputs;
  work.count = count, work.end = count / num::kLanes * num::kLanes;
}

void finish_strip(void* state) {
  auto& work = *static_cast<StripWork*>(state);
  if (work.update.is_adamw) AdamWBetween(state).end();
  const std::int64_t left = work.count - work.next;
  if (left > 0) update_strip(work.update, work.strip.from(work.next), {1, left, left, left});
}

template <class Work, std::size_t... row>
constexpr host::GemmBetween between(std::index_sequence<row...>) {
  host::GemmBetween b{begin_strip, {}, finish_strip};
  ((b.tiles[b.least_rows + row] = gemm::tiles_between<b.least_rows + row, Work>), ...);
  return b;
}

/// Null where a tile of the instruction set fills all registers: only vectors of 16 lanes have 32.
template <int lanes>
const host::GemmBetween* table_of(const Update& update) {
  if constexpr (lanes == 16) {
    using Rows =
        std::make_index_sequence<host::GemmBetween::most_rows - host::GemmBetween::least_rows + 1>;
    static constexpr host::GemmBetween adamw = between<AdamWBetween>(Rows{});
    static constexpr host::GemmBetween momentum = between<SgdMomentumBetween>(Rows{});
    static constexpr host::GemmBetween sgd = between<SgdBetween>(Rows{});
    return update.is_adamw ? &adamw : update.weight.m ? &momentum : &sgd;
  } else {
    return nullptr;
  }
}

const host::GemmBetween* between_of(const Update& update) { return table_of<num::kLanes>(update); }

}  // namespace fornax::weight_update::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::weight_update {
namespace {

using kernels::KernelArgs;
using kernels::WeightUpdateOperands;

void apply_update(const void* context, float* gradient, std::int64_t stride,
                  const host::GemmBlock& at) {
  const auto& update = *static_cast<const Update*>(context);
  kernels::TensorPointers strip = update.weight.from(at.row * update.stride + at.column);
  strip.g = gradient;
  FORNAX_DISPATCH(update_strip)(update, strip, {at.rows, at.columns, update.stride, stride});
}

host::Gemm gradient_gemm(const Shape& dy, const Shape& x) {
  host::Gemm g = kernels::wgrad_gemm(kernels::linear_wgrad_shape(dy, x));
  g.keeps_outputs = false;
  return g;
}

kernels::TensorPointers pointers(const KernelArgs& args, const WeightUpdateOperands& operands) {
  kernels::TensorPointers t{};
  t.p = t.g = args.in[WeightUpdateOperands::parameter].as<float>();
  t.new_p = args.out[0].as<float>();
  if (operands.moments > 0)
    t.m = args.in[operands.moment(0)].as<float>(), t.new_m = args.out[1].as<float>();
  if (operands.moments > 1)
    t.v = args.in[operands.moment(1)].as<float>(), t.new_v = args.out[2].as<float>();
  return t;
}

bool is_in_place(const kernels::TensorPointers& t) {
  return t.p == t.new_p && t.m == t.new_m && t.v == t.new_v;
}

void launch(const KernelArgs& args) {
  host::Gemm g = gradient_gemm(args.in[0].shape(), args.in[1].shape());
  Update update;
  update.weight = pointers(args, kernels::weight_update_operands(*args.attributes));
  update.stride = g.c_stride;
  update.is_adamw = args.attributes->text("update") == "adamw";
  if (update.is_adamw)
    update.adamw = kernels::adamw_rates_of<float>(args, 0);
  else
    update.sgd = kernels::sgd_rates_of<float>(args, 0);
  g.a.data = args.in[WeightUpdateOperands::dy].as<float>();
  g.b.data = args.in[WeightUpdateOperands::x].as<float>();
  g.epilogue = {apply_update, &update, {update.weight.m, update.weight.v, update.weight.p}};
  if (is_in_place(update.weight)) g.epilogue.between = FORNAX_DISPATCH(between_of)(update);
  host::gemm(g, {args.workspace, args.thread_space}, args.threads);
}

kernels::Offer offer(const kernels::Signature& s, const kernels::DeviceModel& model) {
  const host::Gemm g = gradient_gemm(s.in[0].shape, s.in[1].shape);
  if (g.K > g.sum_chunk)
    return {"linear_wgrad_update_strips: at most " + std::to_string(g.sum_chunk) + " rows, got " +
            std::to_string(g.K)};
  const host::GemmBytes bytes = host::gemm_bytes(g, model.threads);
  return host::offer_f32(s, "linear_wgrad_update_strips", bytes.workspace, bytes.thread);
}

const kernels::Kernel kKernels[] = {
    {"linear_wgrad_update", "linear_wgrad_update_strips", offer, nullptr, launch},
};

}  // namespace
}  // namespace fornax::weight_update

namespace fornax::kernels {
std::span<const Kernel> weight_update_cpu_kernels() { return weight_update::kKernels; }
}  // namespace fornax::kernels
#endif
