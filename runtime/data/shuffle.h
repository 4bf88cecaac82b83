// The one shuffle: the same order on every machine.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace fornax {

/// Fisher and Yates with Philox words of (seed, purpose, epoch); allocates nothing.
void shuffle(std::vector<std::int64_t>& values, std::uint64_t seed, std::string_view purpose,
             std::int64_t epoch) noexcept;

}  // namespace fornax
