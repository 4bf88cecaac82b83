// What the offers of CPU kernels share.
#pragma once
#include <algorithm>

#include "kernels/op.h"

namespace fornax::host {

/// Accepts when every floating operand is f32; the refusal names the kernel and the operand.
inline kernels::Offer offer_f32(const kernels::Signature& signature, std::string_view kernel,
                                std::int64_t workspace_bytes = 0) {
  for (const auto operands : {signature.in, signature.out})
    for (const kernels::TensorType& type : operands)
      if (is_floating(type.dtype) && type.dtype != DType::f32)
        return {.refusal = std::string(kernel) + ": f32 needed, got " + to_string(type)};
  return {.workspace_bytes = workspace_bytes};
}

/// Elements that are worth a thread's while.
inline constexpr std::int64_t kElementsOfPart = 16384;
inline std::int64_t rows_of_part(std::int64_t row_elements) {
  return std::max<std::int64_t>(1, kElementsOfPart / std::max<std::int64_t>(1, row_elements));
}

}  // namespace fornax::host
