// From an optimizer node and the state of the step to the rates of one tensor.
#pragma once
#include "kernels/optimizer_step/operands.h"
#include "kernels/optimizer_step/update_rule.h"

namespace fornax::kernels {

/// f32 rounds the product once.
template <class T>
T learning_rate_of(const KernelArgs& args, std::size_t tensor) {
  const auto slot = static_cast<std::size_t>(args.attributes->integer("learning_rate_slot"));
  return static_cast<T>(args.step->scalars[slot]) *
         static_cast<T>(args.attributes->numbers("learning_rate_scale")[tensor]);
}

/// What every gradient is multiplied with; 1 when the operand is absent.
template <class T>
T scale_of(const KernelArgs& args) {
  return args.in.back().present() ? *args.in.back().as<T>() : T(1);
}

template <class T>
numeric::SgdRates<T> sgd_rates_of(const KernelArgs& args, std::size_t tensor) {
  return {learning_rate_of<T>(args, tensor),
          static_cast<T>(args.attributes->numbers("weight_decay")[tensor]),
          static_cast<T>(args.attributes->number("momentum")), scale_of<T>(args),
          args.attributes->integer("nesterov") != 0};
}

template <class T>
numeric::AdamWRates<T> adamw_rates_of(const KernelArgs& args, std::size_t tensor) {
  const numeric::AdamWConstants constants{args.attributes->number("beta1"),
                                          args.attributes->number("beta2"),
                                          args.attributes->number("epsilon")};
  return numeric::adamw_rates<T>(constants, learning_rate_of<T>(args, tensor),
                                 static_cast<T>(args.attributes->numbers("weight_decay")[tensor]),
                                 args.step->step, scale_of<T>(args));
}

}  // namespace fornax::kernels
