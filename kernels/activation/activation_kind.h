// The activation functions by name, and which of their values backward needs.
#pragma once
#include <fornax/error.h>

#include <string>
#include <string_view>

namespace fornax::kernels {

/// gelu is the erf form. The values are stored in kernel variants: append only.
enum class Activation { none, relu, gelu, gelu_tanh, silu, sigmoid, tanh };

inline constexpr std::string_view kActivationNames[] = {"none", "relu",    "gelu", "gelu_tanh",
                                                        "silu", "sigmoid", "tanh"};

/// Throws Error{invalid_argument} for any other name.
inline Activation activation_kind(std::string_view name) {
  for (int i = 0; i < 7; ++i)
    if (kActivationNames[i] == name) return static_cast<Activation>(i);
  std::string known;
  for (const std::string_view one : kActivationNames) known += ' ' + std::string(one);
  throw Error(ErrorCode::invalid_argument,
              "activation '" + std::string(name) + "' is unknown; there are" + known);
}

/// True: the gradient is computed from y = f(x); false: from x.
constexpr bool gradient_takes_output(Activation kind) {
  return kind == Activation::relu || kind == Activation::sigmoid || kind == Activation::tanh;
}

}  // namespace fornax::kernels
