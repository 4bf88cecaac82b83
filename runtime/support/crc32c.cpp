// CRC-32C: the processor's instruction where the build may use it, else one table look-up a byte.
#include "runtime/support/crc32c.h"

#include <array>
#include <cstring>
#if defined(__SSE4_2__)
#include <nmmintrin.h>
#endif

namespace fornax {

#if defined(__SSE4_2__)

std::uint32_t crc32c(const void* data, std::size_t bytes, std::uint32_t before) noexcept {
  const auto* next = static_cast<const unsigned char*>(data);
  std::uint64_t crc = ~before;
  for (; bytes >= 8; next += 8, bytes -= 8) {
    std::uint64_t word;
    std::memcpy(&word, next, 8);
    crc = _mm_crc32_u64(crc, word);
  }
  auto crc32 = static_cast<std::uint32_t>(crc);
  for (; bytes > 0; --bytes) crc32 = _mm_crc32_u8(crc32, *next++);
  return ~crc32;
}

#else

namespace {
constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    table[byte] = crc;
  }
  return table;
}
constexpr auto kTable = make_table();
}  // namespace

std::uint32_t crc32c(const void* data, std::size_t bytes, std::uint32_t before) noexcept {
  const auto* next = static_cast<const unsigned char*>(data);
  std::uint32_t crc = ~before;
  for (; bytes > 0; --bytes) crc = crc >> 8 ^ kTable[(crc ^ *next++) & 255];
  return ~crc;
}

#endif

}  // namespace fornax
