// What the offers of kernels for f32 share.
#pragma once
#include "kernels/op.h"

namespace fornax::kernels {

/// Accepts when every floating operand is f32; the refusal names the kernel and the operand.
inline Offer offer_f32(const Signature& signature, std::string_view kernel,
                       std::int64_t workspace_bytes = 0, std::int64_t thread_bytes = 0) {
  Offer offer;
  offer.workspace_bytes = workspace_bytes, offer.thread_bytes = thread_bytes;
  for (const auto operands : {signature.in, signature.out})
    for (const TensorType& type : operands)
      if (is_floating(type.dtype) && type.dtype != DType::f32)
        offer.refusal = std::string(kernel) + ": f32 needed, got " + to_string(type);
  return offer;
}

}  // namespace fornax::kernels
