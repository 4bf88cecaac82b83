// How the nodes sgd and adamw hold many tensors: operands are p..., g..., m..., v..., scale.
#pragma once
#include "kernels/op.h"

namespace fornax::kernels {

struct OptimizerOperands {
  std::size_t tensors, moments;  ///< moments of each: 0, 1 or 2

  std::size_t gradient(std::size_t i) const { return tensors + i; }
  /// Input and output that hold moment `which` of tensor i.
  std::size_t moment(std::size_t which, std::size_t i) const { return (2 + which) * tensors + i; }
  std::size_t new_moment(std::size_t which, std::size_t i) const {
    return (1 + which) * tensors + i;
  }
  std::size_t scale() const { return (2 + moments) * tensors; }
};

inline OptimizerOperands optimizer_operands(const Attributes& attributes) {
  return {static_cast<std::size_t>(attributes.integer("tensors")),
          static_cast<std::size_t>(attributes.integer("moments"))};
}

}  // namespace fornax::kernels
