// Resource: where device memory comes from, in the order of streams.
#pragma once
#include <cstdint>

namespace fornax::memory {

/// An opaque queue of a device; null is a queue like any other.
using Stream = void*;

/// Memory may be used by work enqueued on `stream` after allocate(), and after deallocate() its
/// bytes may be given to work that comes later on that stream.
class Resource {
 public:
  virtual ~Resource() = default;
  /// 256-byte aligned; never null. Throws Error{out_of_memory}.
  virtual void* allocate(std::int64_t bytes, Stream stream) = 0;
  virtual void deallocate(void* memory, std::int64_t bytes, Stream stream) noexcept = 0;
  /// Work enqueued on `later` from now on waits for all that is on `earlier`.
  virtual void order(Stream earlier, Stream later) = 0;
};

}  // namespace fornax::memory
