// Reading tensor data, and its checksums.
#include "runtime/storage/tensor_data.h"

#include <fornax/error.h>

#include <algorithm>

#include "runtime/support/crc32c.h"
#include "runtime/support/json.h"

namespace fornax {

void ChunkDigests::update(std::span<const std::byte> data) {
  while (!data.empty()) {
    const auto room = static_cast<std::size_t>(kChunkBytes - held_);
    const auto piece = data.first(std::min(room, data.size()));
    crc_ = crc32c(piece.data(), piece.size(), crc_);
    held_ += static_cast<std::int64_t>(piece.size());
    data = data.subspan(piece.size());
    if (held_ == kChunkBytes) finish();
  }
}

void ChunkDigests::finish() {
  if (held_ == 0) return;
  finished_(chunk_++, crc_);
  held_ = 0, crc_ = 0;
}

namespace {

void check_booleans(const SafetensorsEntry& entry, const Tensor& tensor, const InputFile& file,
                    std::int64_t data_offset) {
  const auto bytes = tensor.bytes();
  const auto bad =
      std::find_if(bytes.begin(), bytes.end(), [](std::byte b) { return b > std::byte{1}; });
  if (bad == bytes.end()) return;
  const std::int64_t at = data_offset + entry.begin + (bad - bytes.begin());
  throw Error(ErrorCode::corrupt, file.path() + ": byte " + std::to_string(at) + ": tensor " +
                                      json_string(entry.name.substr(0, 256)) + " has the BOOL " +
                                      std::to_string(static_cast<int>(*bad)) + "; it is 0 or 1");
}

}  // namespace

std::map<std::string, Tensor> read_tensors(const InputFile& file, const SafetensorsHeader& header,
                                           ChunkDigests* digests) {
  std::map<std::string, Tensor> tensors;
  for (const SafetensorsEntry& entry : header.entries) {
    Tensor tensor(entry.dtype, entry.shape);
    const auto bytes = tensor.bytes();
    // In pieces, so that checksums are taken while the bytes are in the cache.
    for (std::size_t at = 0; at < bytes.size(); at += static_cast<std::size_t>(kChunkBytes)) {
      const auto piece =
          bytes.subspan(at, std::min(static_cast<std::size_t>(kChunkBytes), bytes.size() - at));
      file.read(header.data_offset + entry.begin + static_cast<std::int64_t>(at), piece.data(),
                static_cast<std::int64_t>(piece.size()));
      if (digests) digests->update(piece);
    }
    tensors.emplace(entry.name, std::move(tensor));
  }
  if (digests) digests->finish();
  for (const SafetensorsEntry& entry : header.entries)
    if (entry.dtype == DType::boolean)
      check_booleans(entry, tensors.at(entry.name), file, header.data_offset);
  return tensors;
}

}  // namespace fornax
