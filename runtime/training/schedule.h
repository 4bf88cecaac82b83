// Learning-rate schedules.
#pragma once
#include <fornax/training.h>

#include "kernels/numeric/numeric.h"

namespace fornax {

struct RateSchedule {
  Schedule kind;
  double rate, warmup;
  std::int64_t steps;  ///< of the whole training

  /// The rate of step `step` (from 0). cos comes from kernels/numeric: the same
  /// bits everywhere.
  double at(std::int64_t step) const {
    const auto warm =
        static_cast<double>(static_cast<std::int64_t>(warmup * static_cast<double>(steps)));
    const auto now = static_cast<double>(step);
    if (now < warm) return rate * (now + 1) / warm;
    if (kind == Schedule::constant) return rate;
    const double rest = static_cast<double>(steps) - warm;
    const double part = rest > 0 ? (now - warm) / rest : 1;
    const auto angle = static_cast<float>(3.14159265358979323846 * (part < 1 ? part : 1));
    return rate * 0.5 * (1 + static_cast<double>(numeric::cos(angle)));
  }
};

}  // namespace fornax
