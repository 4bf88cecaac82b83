// Merges of linear nodes with what reads them, stated on the consumer's op.
#pragma once
#include "kernels/op.h"

namespace fornax::kernels {

std::span<const Fusion> linear_activation_fusions();  ///< linear + activation
std::span<const Fusion> dgrad_activation_fusions();   ///< linear_dgrad + activation_grad
std::span<const Fusion> dgrad_column_sum_fusions();   ///< linear_dgrad + column_sum

}  // namespace fornax::kernels
