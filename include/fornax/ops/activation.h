// Activation functions, elementwise.
#pragma once
#include <fornax/graph.h>

#include <string_view>

namespace fornax {

/// y = f(x), any shape; f32, bf16, f16 or f64. Backward reads y for relu, sigmoid and tanh, else x.
/// f32 is exact: the same bits on every device. Throws Error{dtype} for integers.

/// max(x, 0); relu(-0) = +0.
FORNAX_API Value relu(Value x);
/// x Phi(x) = x/2 (1 + erf(x / sqrt 2)) (Hendrycks, Gimpel 2016, arXiv 1606.08415).
FORNAX_API Value gelu(Value x);
/// The tanh form of gelu: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), same source.
FORNAX_API Value gelu_tanh(Value x);
/// x sigmoid(x) (Elfwing, Uchibe, Doya 2017, arXiv 1702.03118).
FORNAX_API Value silu(Value x);
/// 1 / (1 + e^-x).
FORNAX_API Value sigmoid(Value x);
FORNAX_API Value tanh(Value x);

/// The function of that name; "none" gives x itself.
/// Throws Error{invalid_argument} for a name that is none of the above.
FORNAX_API Value activation(Value x, std::string_view kind);

}  // namespace fornax
