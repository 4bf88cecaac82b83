// What the CPU kernels of f32 share: their offer, and how much work is worth a thread.
#pragma once
#include <algorithm>

#include "kernels/offer.h"

namespace fornax::host {

using kernels::offer_f32;

/// Elements that are worth a thread's while.
inline constexpr std::int64_t kElementsOfPart = 16384;
inline std::int64_t rows_of_part(std::int64_t row_elements) {
  return std::max<std::int64_t>(1, kElementsOfPart / std::max<std::int64_t>(1, row_elements));
}

}  // namespace fornax::host
