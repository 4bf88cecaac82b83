// SHA-256 (FIPS 180-4), fed in pieces.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace fornax {

class Sha256 {
 public:
  Sha256& update(const void* data, std::size_t bytes) noexcept;
  Sha256& update(std::string_view text) noexcept { return update(text.data(), text.size()); }
  /// The digest of everything fed so far; more may be fed after it.
  std::array<std::uint8_t, 32> digest() const noexcept;
  /// digest() as 64 lower-case hex digits.
  std::string hex() const;

 private:
  void compress(const std::uint8_t* block) noexcept;

  std::array<std::uint32_t, 8> hash_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::uint8_t, 64> pending_{};
  std::uint64_t bytes_ = 0;
};

/// Two lower-case hex digits a byte.
std::string hex(const std::uint8_t* data, std::size_t bytes);

}  // namespace fornax
