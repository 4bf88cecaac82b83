// Arenas that grow to what the largest of their Programs needs.
#include "runtime/execution/arena.h"

namespace fornax {

// The old block goes first: both at once would be the peak that sharing is to avoid.
void ArenaData::reserve(const std::shared_ptr<Backend>& on, std::int64_t bytes) {
  kernels::require(!backend || backend == on, ErrorCode::invalid_argument,
                   "compile: the arena is shared with a Program of another State");
  if (memory.get() && memory.bytes() >= bytes) return;
  const std::int64_t before = memory.bytes();
  memory = DeviceMemory();
  ++moves;
  try {
    memory = DeviceMemory(on, bytes);
  } catch (const Error&) {
    if (before > 0) memory = DeviceMemory(on, before);
    throw;
  }
  backend = on;
}

Arena::Arena() : data_(std::make_shared<ArenaData>()) {}
std::int64_t Arena::bytes() const { return data_->memory.bytes(); }

}  // namespace fornax
