// cp.async by thread. Until it is waited for, a copy's destination is poisoned for ASan and keeps
// its old bytes; under chaos the new bytes may come at once. TSan sees a write at the issue and one
// more at the wait.
#include <algorithm>

#include "block.h"

namespace fornax::simt {

namespace {

void put_bytes(const AsyncCopy& copy) {
  for (int i = 0; i < copy.bytes; ++i)
    static_cast<volatile char*>(copy.to)[i] = i < copy.valid_bytes ? copy.from[i] : '\0';
}

}  // namespace

void copy_async(void* to, const void* from, int bytes, int valid_bytes, Site site) {
  const auto addresses =
      reinterpret_cast<std::uintptr_t>(to) | reinterpret_cast<std::uintptr_t>(from);
  if (addresses % static_cast<unsigned>(bytes))
    fail(site, "misaligned cp.async: an address is not a multiple of %d", bytes);
  if (valid_bytes < 0 || valid_bytes > bytes)
    fail(site, "cp.async: %d valid bytes of %d", valid_bytes, bytes);
  const auto* shared = static_cast<const char*>(to);
  if (shared < block->shared || shared + bytes > block->shared + kSharedBytes)
    fail(site, "cp.async: the destination is not in shared memory");
  Thread& me = *block->current;
  if (me.copies.size() == kMaxCopies)
    fail(site, "a thread with more than %zu cp.async under way", kMaxCopies);
  me.copies.push_back({static_cast<char*>(to), static_cast<const char*>(from), bytes, valid_bytes,
                       me.groups_made, site});
  if (block->seed && random_bits() % 2) put_bytes(me.copies.back());
  poison(to, static_cast<std::size_t>(bytes));
}

void copy_commit() { ++block->current->groups_made; }

void copy_wait(int pending_groups) {
  Thread& me = *block->current;
  me.groups_done = std::max(me.groups_done, me.groups_made - pending_groups);
  std::size_t kept = 0;
  for (const AsyncCopy& copy : me.copies) {
    if (copy.group >= me.groups_done) {
      me.copies[kept++] = copy;
      continue;
    }
    const auto bytes = static_cast<std::size_t>(copy.bytes);
    unpoison(copy.to, bytes);
    check_write(copy.to, bytes);
    put_bytes(copy);
  }
  while (me.copies.size() > kept) me.copies.pop_back();
}

}  // namespace fornax::simt
