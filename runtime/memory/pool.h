// Pool: keeps freed device memory and gives it again; best fit, neighbours coalesce.
// Thread-safe. After RMM's stream-ordered pool: a block freed on a stream serves that stream at
// once, and another stream after an order between the two.
#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <tuple>

#include "runtime/memory/resource.h"

namespace fornax::memory {

struct PoolOptions {
  std::int64_t limit_bytes = 0;                      ///< most that may be reserved; 0: no limit
  std::int64_t chunk_bytes = std::int64_t{2} << 20;  ///< reserves multiples of this
};

struct PoolStatistics {
  std::int64_t in_use_bytes = 0, peak_in_use_bytes = 0;
  std::int64_t reserved_bytes = 0, peak_reserved_bytes = 0;
  std::int64_t largest_free_bytes = 0;
  std::int64_t allocations = 0, reservations = 0;  ///< made so far
  /// 1 - largest free block / free bytes; 0 when nothing is free.
  double fragmentation() const noexcept {
    const std::int64_t free = reserved_bytes - in_use_bytes;
    return free ? 1 - static_cast<double>(largest_free_bytes) / static_cast<double>(free) : 0;
  }
};

class Pool final : public Resource {
 public:
  static constexpr std::int64_t kAlignment = 256;

  Pool(Resource& upstream, const PoolOptions& options) : upstream_(upstream), options_(options) {}
  /// Returns every chunk upstream, blocks in use included.
  ~Pool() override;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// Throws Error{out_of_memory}, listing bytes requested, in use, reserved, the largest free block
  /// and the limit; Error{invalid_argument} when bytes is negative.
  void* allocate(std::int64_t bytes, Stream stream) override;
  /// `memory` is what allocate(bytes) returned.
  void deallocate(void* memory, std::int64_t bytes, Stream stream) noexcept override;
  void order(Stream earlier, Stream later) override { upstream_.order(earlier, later); }

  /// Returns chunks without a block in use to upstream.
  void release_unused();
  PoolStatistics statistics() const;

 private:
  /// A run of bytes inside one chunk.
  struct Block {
    std::int64_t bytes = 0;
    Stream stream = nullptr;  ///< free: where its last use was
    bool free = false;
    bool first = false;  ///< of its chunk: never joined to the block before
  };
  using Blocks = std::map<std::uintptr_t, Block>;
  using FreeKey = std::tuple<Stream, std::int64_t, std::uintptr_t>;  ///< stream, bytes, address

  Blocks::iterator find(std::int64_t bytes, Stream stream);
  Blocks::iterator find_on(std::int64_t bytes, Stream stream);
  Blocks::iterator find_elsewhere(std::int64_t bytes, Stream stream);
  void gather(Stream stream);
  Blocks::iterator reserve(std::int64_t bytes, Stream stream);
  void give_back_chunks();
  void* take(Blocks::iterator block, std::int64_t bytes);
  void add_free(std::uintptr_t address, std::int64_t bytes, Stream stream, bool first);
  void erase_free(Blocks::iterator block);
  Blocks::iterator join_neighbours(Blocks::iterator block);
  std::int64_t largest_free() const;
  std::string shortage(std::int64_t bytes, const std::string& cause) const;

  Resource& upstream_;
  PoolOptions options_;
  mutable std::mutex mutex_;
  Blocks blocks_;
  std::set<FreeKey> free_;
  PoolStatistics statistics_;
};

}  // namespace fornax::memory
