// One kernel that copies many small ranges. Host memory is read in place, over the bus, whose
// latency is long, so a thread has all of its reads under way before it writes.
#include <algorithm>

#include "launch.cuh"
#include "memory.cuh"
#include "transfer.h"

namespace fornax::device {
namespace {

constexpr int kBlock = 128, kWordsPerThread = 4, kMostTransfers = 32;
constexpr std::int64_t kChunk = std::int64_t{kBlock} * kWordsPerThread * sizeof(uint2);
static_assert(sizeof(uint2) == kTransferAlignment);

/// Transfer i has the blocks [first_block[i], first_block[i + 1]), each of which copies a chunk.
struct TransferList {
  Transfer transfers[kMostTransfers];
  int first_block[kMostTransfers + 1];
};

__global__ void transfer_chunk_per_block(TransferList list) {
  int i = 0;
  while (block_index() >= list.first_block[i + 1]) ++i;
  const std::int64_t first = (block_index() - list.first_block[i]) * kChunk;
  const std::int64_t left = list.transfers[i].bytes - first;
  const std::byte* from = list.transfers[i].from + first;
  std::byte* to = list.transfers[i].to + first;
  const int bytes = static_cast<int>(left < kChunk ? left : kChunk), words = bytes / 8;
  uint2 held[kWordsPerThread];
  for (int k = 0; k < kWordsPerThread; ++k) {
    const int word = thread_index() + k * kBlock;
    if (word < words) held[k] = read_vector<uint2>(from + 8 * word);
  }
  for (int k = 0; k < kWordsPerThread; ++k) {
    const int word = thread_index() + k * kBlock;
    if (word < words) write_vector(to + 8 * word, held[k]);
  }
  const int tail = 8 * words + thread_index();
  if (tail < bytes) write(to + tail, read(from + tail));
}

}  // namespace

void transfer(const Queue& queue, const char* name, std::span<const Transfer> transfers) {
  while (!transfers.empty()) {
    const std::size_t count = std::min<std::size_t>(transfers.size(), kMostTransfers);
    TransferList list{};
    for (std::size_t i = 0; i < count; ++i) {
      list.transfers[i] = transfers[i];
      list.first_block[i + 1] =
          list.first_block[i] + static_cast<int>((transfers[i].bytes + kChunk - 1) / kChunk);
    }
    const auto blocks = static_cast<unsigned>(list.first_block[count]);
    if (blocks > 0)
      launch(queue, transfer_chunk_per_block, {{blocks}, {kBlock}, 0, {}, name}, list);
    transfers = transfers.subspan(count);
  }
}

}  // namespace fornax::device
