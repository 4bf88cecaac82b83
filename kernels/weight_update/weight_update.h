// The node linear_wgrad_update: a weight's gradient and its update, as one. Operands are dy, x, p,
// m, v, scale, outputs the new p, m, v; attributes are those of the update's node, and its op.
#pragma once
#include "kernels/optimizer_step/operands.h"

namespace fornax::kernels {

struct WeightUpdateOperands {
  std::size_t moments;  ///< 0, 1 or 2

  static constexpr std::size_t dy = 0, x = 1, parameter = 2;
  std::size_t moment(std::size_t which) const { return parameter + 1 + which; }
  std::size_t scale() const { return moment(moments); }
};

inline WeightUpdateOperands weight_update_operands(const Attributes& attributes) {
  return {optimizer_operands(attributes).moments};
}

std::span<const Fusion> weight_update_fusions();  ///< linear_wgrad + sgd or adamw

}  // namespace fornax::kernels
