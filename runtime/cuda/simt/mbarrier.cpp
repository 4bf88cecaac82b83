// mbarrier and the block's async proxy, which makes bulk copies when somebody waits.
#include "block.h"

namespace fornax::simt {

namespace {

// The 64 bits of a barrier: `made` tells one from fresh shared memory.
struct Fields {
  std::uint64_t bytes_offset : 28, pending : 16, count : 16, phase : 1, made : 3;
};
constexpr std::int64_t kNoBytes = 1 << 27;
constexpr unsigned kMade = 5;

Fields load(const Mbarrier& barrier) {
  Fields fields;
  __builtin_memcpy(&fields, &barrier.state, sizeof fields);
  return fields;
}
void store(Mbarrier& barrier, Fields fields) {
  __builtin_memcpy(&barrier.state, &fields, sizeof fields);
}
std::int64_t bytes_of(Fields fields) {
  return static_cast<std::int64_t>(fields.bytes_offset) - kNoBytes;
}
void add_bytes(Fields& fields, std::int64_t bytes) {
  fields.bytes_offset =
      static_cast<std::uint64_t>(bytes_of(fields) + bytes + kNoBytes) & 0xfffffffu;
}

void finish_phase_if_complete(Fields& fields) {
  if (fields.pending != 0 || bytes_of(fields) != 0) return;
  fields.phase ^= 1u;
  fields.pending = fields.count;
}

void check_made(const Mbarrier& barrier, Site site) {
  if (load(barrier).made != kMade) fail(site, "an mbarrier is used before its init");
}

// The async proxy makes one copy. It has seen what its issuer had done (a load), or what a
// fence.proxy.async released (a store): a missing fence is a race.
void run_bulk(std::size_t which) {
  const BulkCopy copy = block->bulk[which];
  for (std::size_t i = which + 1; i < block->bulk.size(); ++i) block->bulk[i - 1] = block->bulk[i];
  block->bulk.pop_back();
  ++block->progress;
#ifdef SIMT_THREAD
  void* me = __tsan_get_current_fiber();
  if (!block->proxy_tsan) block->proxy_tsan = __tsan_create_fiber(0);
  __tsan_switch_to_fiber(block->proxy_tsan, 1);
  acquire(copy.barrier ? &block->tags().issue : &block->tags().proxy);
  __tsan_read_range(const_cast<char*>(copy.from), copy.bytes);
  __tsan_write_range(copy.to, copy.bytes);
  release(copy.barrier ? static_cast<void*>(copy.barrier) : &block->tags().store);
  __tsan_switch_to_fiber(me, 1);
#endif
  if (copy.barrier) unpoison(copy.to, copy.bytes);
  copy_bytes(copy.to, copy.from, copy.bytes);
  if (!copy.barrier) return;
  Fields fields = load(*copy.barrier);
  add_bytes(fields, -static_cast<std::int64_t>(copy.bytes));
  finish_phase_if_complete(fields);
  store(*copy.barrier, fields);
}

void check_bulk(const void* to, const void* from, std::size_t bytes, Site site) {
  const auto bits = reinterpret_cast<std::uintptr_t>(to) | reinterpret_cast<std::uintptr_t>(from);
  if ((bits | bytes) % 16)
    fail(site, "misaligned bulk copy: an address or the size is not a multiple of 16");
  if (block->bulk.size() == kMaxCopies)
    fail(site, "a block with more than %zu bulk copies under way", kMaxCopies);
}

}  // namespace

void mbarrier_init(Mbarrier& barrier, int count, Site site) {
  if (count < 1 || count > 0xffff) fail(site, "an mbarrier for %d arrivals", count);
  const auto arrivals = static_cast<std::uint16_t>(count);
  store(barrier, {static_cast<std::uint64_t>(kNoBytes), arrivals, arrivals, 0, kMade});
}

void mbarrier_arrive(Mbarrier& barrier, int expected_bytes, Site site) {
  check_made(barrier, site);
  Fields fields = load(barrier);
  if (fields.pending == 0) fail(site, "more arrivals at an mbarrier than its count");
  ++block->progress;
  release(&barrier);
  add_bytes(fields, expected_bytes);
  --fields.pending;
  finish_phase_if_complete(fields);
  store(barrier, fields);
}

void mbarrier_wait(Mbarrier& barrier, int parity, Site site) {
  check_made(barrier, site);
  while (load(barrier).phase == static_cast<unsigned>(parity)) {
    const std::size_t under_way = block->bulk.size();
    if (under_way) run_bulk(block->seed ? random_bits() % under_way : 0);
    spin(site);
  }
  acquire(&barrier);
}

void bulk_load(void* to, const void* from, std::size_t bytes, Mbarrier& barrier, Site site) {
  check_bulk(to, from, bytes, site);
  check_made(barrier, site);
  release(&block->tags().issue);
  poison(to, bytes);
  block->bulk.push_back({static_cast<char*>(to), static_cast<const char*>(from), bytes, &barrier,
                         block->current->index, 0, site});
}

void bulk_store(void* to, const void* from, std::size_t bytes, Site site) {
  check_bulk(to, from, bytes, site);
  const Thread& me = *block->current;
  block->bulk.push_back({static_cast<char*>(to), static_cast<const char*>(from), bytes, nullptr,
                         me.index, me.store_groups, site});
}

void bulk_store_commit() { ++block->current->store_groups; }

void bulk_store_wait(int pending_groups) {
  const Thread& me = *block->current;
  const auto ends_now = [&](const BulkCopy& copy) {
    return !copy.barrier && copy.owner == me.index && copy.group < me.store_groups - pending_groups;
  };
  for (std::size_t i = 0; i < block->bulk.size();)
    if (ends_now(block->bulk[i]))
      run_bulk(i);
    else
      ++i;
  acquire(&block->tags().store);
}

void fence_async_proxy() { release(&block->tags().proxy); }

}  // namespace fornax::simt
