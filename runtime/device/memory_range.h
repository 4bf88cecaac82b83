// A part of memory, as those see it who judge commands by their addresses.
#pragma once
#include <cstddef>
#include <cstdint>

namespace fornax {

struct MemoryRange {
  const std::byte* begin = nullptr;
  const std::byte* end = nullptr;

  MemoryRange() = default;
  MemoryRange(const void* data, std::int64_t bytes)
      : begin(static_cast<const std::byte*>(data)), end(begin + bytes) {}
  bool overlaps(const MemoryRange& other) const { return begin < other.end && other.begin < end; }
  bool covers(const MemoryRange& other) const { return begin <= other.begin && other.end <= end; }
};

}  // namespace fornax
