// fill and cast, which change dtypes rather than values.
#pragma once
#include "kernels/op.h"

namespace fornax::kernels {

/// fill {value, shape, dtype}: no operands; cast {dtype}.
extern const OpDefinition kFill, kCast;

/// Throws Error{dtype} for an unknown name.
DType dtype_of_name(std::string_view name);

}  // namespace fornax::kernels
