// The pool of device memory.
#include "runtime/memory/pool.h"

#include <fornax/error.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace fornax::memory {

namespace {

std::int64_t rounded(std::int64_t bytes, std::int64_t step) {
  if (bytes < 0 || bytes > std::numeric_limits<std::int64_t>::max() - step)
    throw Error(ErrorCode::invalid_argument,
                "memory pool: " + std::to_string(bytes) + " bytes is no size");
  return std::max((bytes + step - 1) / step * step, step);
}

std::uintptr_t end_of(const auto& block) {
  return block->first + static_cast<std::uintptr_t>(block->second.bytes);
}

}  // namespace

Pool::~Pool() {
  std::uintptr_t chunk = 0;
  std::int64_t bytes = 0;
  for (const auto& [address, block] : blocks_) {
    if (block.first && bytes)
      upstream_.deallocate(reinterpret_cast<void*>(chunk), bytes, block.stream);
    if (block.first) chunk = address, bytes = 0;
    bytes += block.bytes;
  }
  if (bytes) upstream_.deallocate(reinterpret_cast<void*>(chunk), bytes, nullptr);
}

void* Pool::allocate(std::int64_t bytes, Stream stream) {
  const std::int64_t size = rounded(bytes, kAlignment);
  const std::lock_guard lock(mutex_);
  return take(find(size, stream), size);
}

void Pool::deallocate(void* memory, std::int64_t, Stream stream) noexcept {
  const std::lock_guard lock(mutex_);
  const auto block = blocks_.find(reinterpret_cast<std::uintptr_t>(memory));
  if (block == blocks_.end() || block->second.free) return;
  statistics_.in_use_bytes -= block->second.bytes;
  block->second.free = true, block->second.stream = stream;
  const auto joined = join_neighbours(block);
  free_.insert({stream, joined->second.bytes, joined->first});
}

void Pool::release_unused() {
  const std::lock_guard lock(mutex_);
  give_back_chunks();
}

PoolStatistics Pool::statistics() const {
  const std::lock_guard lock(mutex_);
  PoolStatistics result = statistics_;
  result.largest_free_bytes = largest_free();
  return result;
}

/// A free block of at least `bytes`, ordered after its last use, by growing cost: of this stream,
/// of another stream, of all streams joined, a new chunk.
Pool::Blocks::iterator Pool::find(std::int64_t bytes, Stream stream) {
  auto block = find_on(bytes, stream);
  if (block == blocks_.end()) block = find_elsewhere(bytes, stream);
  if (block == blocks_.end()) {
    gather(stream);
    block = find_on(bytes, stream);
  }
  return block == blocks_.end() ? reserve(bytes, stream) : block;
}

Pool::Blocks::iterator Pool::find_on(std::int64_t bytes, Stream stream) {
  const auto key = free_.lower_bound({stream, bytes, 0});
  if (key == free_.end() || std::get<0>(*key) != stream) return blocks_.end();
  return blocks_.find(std::get<2>(*key));
}

Pool::Blocks::iterator Pool::find_elsewhere(std::int64_t bytes, Stream stream) {
  auto best = free_.end();
  for (auto key = free_.begin(); key != free_.end(); ++key)
    if (std::get<1>(*key) >= bytes &&
        (best == free_.end() || std::get<1>(*key) < std::get<1>(*best)))
      best = key;
  if (best == free_.end()) return blocks_.end();
  const auto block = blocks_.find(std::get<2>(*best));
  upstream_.order(block->second.stream, stream);
  erase_free(block);
  add_free(block->first, block->second.bytes, stream, block->second.first);
  return block;
}

/// Moves every free block to `stream`, so that neighbours of different streams join.
void Pool::gather(Stream stream) {
  std::set<Stream> others;
  for (const FreeKey& key : free_)
    if (std::get<0>(key) != stream) others.insert(std::get<0>(key));
  if (others.empty()) return;
  for (const Stream other : others) upstream_.order(other, stream);
  free_.clear();
  for (auto& [address, block] : blocks_)
    if (block.free) block.stream = stream;
  for (auto block = blocks_.begin(); block != blocks_.end(); ++block) {
    if (!block->second.free) continue;
    block = join_neighbours(block);
    free_.insert({stream, block->second.bytes, block->first});
  }
}

Pool::Blocks::iterator Pool::reserve(std::int64_t bytes, Stream stream) {
  const std::int64_t chunk = rounded(bytes, options_.chunk_bytes);
  const auto over = [&](std::int64_t size) {
    return options_.limit_bytes && statistics_.reserved_bytes > options_.limit_bytes - size;
  };
  std::int64_t size = over(chunk) ? bytes : chunk;  // near the limit: not a byte too many
  if (over(size)) give_back_chunks();
  if (over(size)) throw Error(ErrorCode::out_of_memory, shortage(bytes, "the limit is reached"));
  void* memory = nullptr;
  try {
    memory = upstream_.allocate(size, stream);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::out_of_memory) throw;
  }
  if (!memory) {
    give_back_chunks();
    size = bytes;
    try {
      memory = upstream_.allocate(size, stream);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::out_of_memory) throw;
      throw Error(ErrorCode::out_of_memory, shortage(bytes, error.what()));
    }
  }
  statistics_.reserved_bytes += size;
  ++statistics_.reservations;
  statistics_.peak_reserved_bytes =
      std::max(statistics_.peak_reserved_bytes, statistics_.reserved_bytes);
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  add_free(address, size, stream, true);
  return blocks_.find(address);
}

void Pool::give_back_chunks() {
  for (auto block = blocks_.begin(); block != blocks_.end();) {
    const auto next = std::next(block);
    const bool whole = block->second.first && (next == blocks_.end() || next->second.first);
    if (whole && block->second.free) {
      const Block gone = block->second;
      erase_free(block);
      upstream_.deallocate(reinterpret_cast<void*>(block->first), gone.bytes, gone.stream);
      statistics_.reserved_bytes -= gone.bytes;
      blocks_.erase(block);
    }
    block = next;
  }
}

void* Pool::take(Blocks::iterator block, std::int64_t bytes) {
  erase_free(block);
  Block& taken = block->second;
  const std::int64_t rest = taken.bytes - bytes;
  taken.free = false, taken.bytes = bytes;
  if (rest) add_free(end_of(block), rest, taken.stream, false);
  ++statistics_.allocations;
  statistics_.in_use_bytes += bytes;
  statistics_.peak_in_use_bytes = std::max(statistics_.peak_in_use_bytes, statistics_.in_use_bytes);
  return reinterpret_cast<void*>(block->first);
}

void Pool::add_free(std::uintptr_t address, std::int64_t bytes, Stream stream, bool first) {
  blocks_[address] = {bytes, stream, true, first};
  free_.insert({stream, bytes, address});
}

void Pool::erase_free(Blocks::iterator block) {
  free_.erase({block->second.stream, block->second.bytes, block->first});
}

/// Joins a free block, which is in no free list, with free neighbours of its stream, which may be.
Pool::Blocks::iterator Pool::join_neighbours(Blocks::iterator block) {
  const auto next = std::next(block);
  const Stream stream = block->second.stream;
  if (next != blocks_.end() && !next->second.first && next->second.free &&
      next->second.stream == stream) {
    erase_free(next);
    block->second.bytes += next->second.bytes;
    blocks_.erase(next);
  }
  if (block->second.first || block == blocks_.begin()) return block;
  const auto previous = std::prev(block);
  if (!previous->second.free || previous->second.stream != stream) return block;
  erase_free(previous);
  previous->second.bytes += block->second.bytes;
  blocks_.erase(block);
  return previous;
}

std::int64_t Pool::largest_free() const {
  std::int64_t largest = 0;
  for (const FreeKey& key : free_) largest = std::max(largest, std::get<1>(key));
  return largest;
}

std::string Pool::shortage(std::int64_t bytes, const std::string& cause) const {
  std::string text = "memory pool: " + std::to_string(bytes) + " bytes requested; in use " +
                     std::to_string(statistics_.in_use_bytes) + ", reserved " +
                     std::to_string(statistics_.reserved_bytes) + ", largest free block " +
                     std::to_string(largest_free());
  if (options_.limit_bytes) text += ", limit " + std::to_string(options_.limit_bytes);
  return text + ": " + cause;
}

}  // namespace fornax::memory
