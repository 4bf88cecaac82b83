// What the strips of a weight's gradient are handed to: its update.
#pragma once
#include "kernels/optimizer_step/tensor_pointers.h"
#include "kernels/optimizer_step/update_rule.h"

namespace fornax::weight_update {

/// Of the whole weight. Its gradient is there for a strip alone, whose pointers have it.
struct Update {
  kernels::TensorPointers weight;
  std::int64_t stride = 0;
  bool is_adamw = false;
  numeric::SgdRates<float> sgd{};
  numeric::AdamWRates<float> adamw{};
};

/// The update of one contiguous strip under way, in place.
struct alignas(64) StripWork {
  static constexpr std::int64_t most_put_off = 32;
  static constexpr int most_lanes = 16;
  float direction[most_lanes];  ///< in which the parameters at `waiting` are still to go
  float root[most_lanes];       ///< of the second moments of the vector under way
  float none[most_lanes];       ///< what waits when nothing does
  float* waiting;
  Update update;
  kernels::TensorPointers at;  ///< the next vector
  std::int64_t vectors, rest;  ///< whole ones that are left, and elements behind them
  std::int64_t put_off;        ///< vectors that need more registers than there are
  float* parameters_put_off[most_put_off];
};

}  // namespace fornax::weight_update
