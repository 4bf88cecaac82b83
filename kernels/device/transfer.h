// Small copies between host and device memory by one kernel: what a step takes and gives.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "launch_table.h"

namespace fornax::device {

/// Bytes from one range to another; at most one of them in pinned host memory. Both begin at a
/// multiple of kTransferAlignment.
struct Transfer {
  std::byte* to = nullptr;
  const std::byte* from = nullptr;
  std::int64_t bytes = 0;
};
inline constexpr std::int64_t kTransferAlignment = 8;

/// Enqueues the transfers, none of which writes what another touches, as one kernel for each 32 of
/// them. `name` is the launch's, for traces.
void transfer(const Queue& queue, const char* name, std::span<const Transfer> transfers);

}  // namespace fornax::device
