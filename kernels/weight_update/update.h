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

/// The update of one contiguous strip under way, in place. Elements are counted from its first.
struct alignas(64) StripWork {
  static constexpr std::int64_t most_put_off = 32, none = -1;
  static constexpr int most_lanes = 16;
  /// First elements of the vectors whose moments are there, or none.
  struct UnderWay {
    std::int64_t rootless = none, undivided = none, unmoved = none;
  };

  float root[most_lanes];       ///< of the vector that is undivided
  float direction[most_lanes];  ///< of the one that is unmoved
  Update update;
  kernels::TensorPointers strip;
  std::int64_t next, end, count;  ///< whole vectors are in [next, end)
  UnderWay under_way;
  std::int64_t put_off;  ///< vectors that need more registers than a tile leaves
  std::int64_t elements_put_off[most_put_off];
};

}  // namespace fornax::weight_update
