// The block of device memory behind one Program, or behind those that share it.
#pragma once
#include <fornax/program.h>

#include "runtime/device/backend.h"

namespace fornax {

struct ArenaData {
  std::shared_ptr<Backend> backend;  ///< of the first Program
  DeviceMemory memory;
  std::uint64_t moves = 0;  ///< the block's addresses changed so often: Programs bind again

  /// Makes the block `bytes` large or larger. Its content is not kept, and steps under way may
  /// still use the old block. Throws Error{out_of_memory}, the block being as large as it was, and
  /// Error{invalid_argument} when the arena is used on another backend.
  void reserve(const std::shared_ptr<Backend>& on, std::int64_t bytes);
};

}  // namespace fornax
