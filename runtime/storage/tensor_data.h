// The data part of a safetensors file, with a CRC-32C of every MiB.
#pragma once
#include <fornax/tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "runtime/storage/safetensors_header.h"

namespace fornax {

inline constexpr std::int64_t kChunkBytes = std::int64_t{1} << 20;

/// CRC-32C of consecutive chunks of kChunkBytes, fed in pieces of any size.
class ChunkDigests {
 public:
  /// `finished(chunk, crc)` is called as soon as a chunk is complete.
  explicit ChunkDigests(std::function<void(std::size_t, std::uint32_t)> finished)
      : finished_(std::move(finished)) {}
  void update(std::span<const std::byte> data);
  /// Ends the last, shorter chunk.
  void finish();

 private:
  std::function<void(std::size_t, std::uint32_t)> finished_;
  std::size_t chunk_ = 0;
  std::int64_t held_ = 0;
  std::uint32_t crc_ = 0;
};

/// Reads every tensor; `digests`, if given, is fed with the data in order.
/// Throws Error{corrupt} for a BOOL that is neither 0 nor 1, after the digests had their say.
std::map<std::string, Tensor> read_tensors(const InputFile& file, const SafetensorsHeader& header,
                                           ChunkDigests* digests = nullptr);

}  // namespace fornax
