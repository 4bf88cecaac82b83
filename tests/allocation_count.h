// Counts heap allocations: whatever links this replaces every form of operator new.
#pragma once
#include <cstdint>

namespace fornax {

/// Calls of operator new in this process so far, in any form and by any thread.
std::int64_t allocation_count() noexcept;

}  // namespace fornax
