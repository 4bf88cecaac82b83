// Memory of a test: 256-byte aligned, filled with a pattern, red zones on both sides.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

namespace fornax {

class GuardedMemory {
 public:
  static constexpr std::size_t kZone = 256;
  static constexpr int kZoneByte = 0xa5;

  explicit GuardedMemory(std::int64_t bytes, int fill = 0xff)
      : bytes_(static_cast<std::size_t>(bytes)),
        all_(
            static_cast<std::byte*>(::operator new (bytes_ + 2 * kZone, std::align_val_t{kZone}))) {
    std::memset(all_, kZoneByte, bytes_ + 2 * kZone);
    std::memset(data(), fill, bytes_);
  }
  ~GuardedMemory() { ::operator delete (all_, std::align_val_t{kZone}); }
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  std::byte* data() noexcept { return all_ + kZone; }
  const std::byte* data() const noexcept { return all_ + kZone; }
  std::size_t bytes() const noexcept { return bytes_; }
  std::byte* with_zones() noexcept { return all_; }
  std::size_t bytes_with_zones() const noexcept { return bytes_ + 2 * kZone; }
  /// Nothing was written outside.
  bool intact() const noexcept {
    for (std::size_t i = 0; i < kZone; ++i)
      if (all_[i] != std::byte{kZoneByte} || all_[kZone + bytes_ + i] != std::byte{kZoneByte})
        return false;
    return true;
  }

 private:
  std::size_t bytes_;
  std::byte* all_;
};

}  // namespace fornax
