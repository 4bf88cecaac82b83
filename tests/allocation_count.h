// Counts heap allocations: whatever links this replaces every form of operator new.
#pragma once
#include <cstdint>

namespace fornax {

/// Calls of operator new in this process so far, in any form and by any thread.
std::int64_t allocation_count() noexcept;

/// Bytes of the aligned forms, which the CPU backend takes its memory by: now, and at most since
/// reset_aligned_peak().
std::int64_t aligned_bytes() noexcept;
std::int64_t aligned_peak_bytes() noexcept;
void reset_aligned_peak() noexcept;

}  // namespace fornax
