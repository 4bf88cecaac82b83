// How what a step takes from the host and gives back goes over the bus: small transfers by a kernel
// at the step's two ends, large ones by copies.
#pragma once
#include <span>
#include <vector>

#include "runtime/cuda/driver_table.h"
#include "runtime/device/backend.h"

namespace fornax::cuda {

/// Most bytes that a kernel takes, and gives, of a step. By PCIe's rates they are 2 to 5
/// us, about what the calls, events and nodes of copies should cost; what is beyond them should go
/// up beside the step before, which a kernel of the step does not. An estimate: no other was tried.
inline constexpr std::int64_t kTransferBytes = 128 * 1024;

/// StepState::bad_index and bad_value, which come back.
inline constexpr std::int64_t kFlagsBytes = 16;

/// What a launch touches: operands and workspace. Of an upload and a download, their range.
std::vector<Access> accesses_of(const Command& command);

/// Places of a step's transfers in a slot's pinned memory, in this order: the StepState and small
/// inputs, large inputs, flags and small outputs, large outputs.
struct StepTransfers {
  enum class Way : std::uint8_t { none, kernel, copy };  ///< none: no transfer, or an empty one
  struct Place {
    Way way = Way::none;
    std::int64_t at = 0;  ///< bytes from the start of the pinned memory; a multiple of 256
  };
  std::vector<Place> places;                   ///< by command
  std::int64_t copied_at = 0, copied_end = 0;  ///< large inputs
  std::int64_t results_at = 0;                 ///< the flags
  std::int64_t bytes = 0;                      ///< of the pinned memory
};

/// An upload goes by the kernel that begins the step when no command before it touches its range,
/// a download by the one that ends it when no command after it writes its range: moved there, both
/// still see and leave the same bytes. Of these, in their order, as many as fit `most_by_kernel`.
StepTransfers place_transfers(std::span<const Command> commands, std::int64_t most_by_kernel);

/// A number of bytes up to the next place.
std::int64_t padded(std::int64_t bytes);

}  // namespace fornax::cuda
