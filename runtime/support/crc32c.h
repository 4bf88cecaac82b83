// CRC-32C (Castagnoli polynomial 0x1edc6f41, reflected; RFC 3720 appendix B.4).
#pragma once
#include <cstddef>
#include <cstdint>

namespace fornax {

/// CRC-32C of `bytes` bytes; `before` is the CRC of what precedes them, so that pieces join.
std::uint32_t crc32c(const void* data, std::size_t bytes, std::uint32_t before = 0) noexcept;

}  // namespace fornax
