// How much arithmetic an element takes.
#pragma once

namespace fornax::numeric::inline plain {

struct Arithmetic {
  double flops = 0;
  /// Operations of a lane of a vector, of any kind: a fma is one, and so is what some processor
  /// does in one instruction.
  double operations = 0;
  double quotients = 0;  ///< and square roots, among the operations: processors are slower at them
  constexpr Arithmetic() = default;
  constexpr Arithmetic(double floating) : Arithmetic(floating, floating / 2) {}
  constexpr Arithmetic(double floating, double all) : flops(floating), operations(all) {}
};

}  // namespace fornax::numeric::inline plain
