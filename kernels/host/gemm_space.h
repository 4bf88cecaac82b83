// The scratch of a product as its loops see it.
#pragma once
#include <cstdint>

namespace fornax::host {

/// Floats that a product needs: of all its threads together, and of each for itself.
struct GemmFloats {
  std::int64_t shared = 0, own = 0;
};

/// Both begin at cache lines.
struct GemmRoom {
  float* shared;
  float* threads;
  std::int64_t thread_floats;
  float* own(std::int64_t thread) const { return threads + thread * thread_floats; }
};

}  // namespace fornax::host
