// Block barriers, shared memory, device fences and the turns that polling threads give.
#include "block.h"

namespace fornax::simt {

void release_barrier_if_complete() {
  if (block->waiting == 0 || block->waiting != block->live) return;
  block->waiting = 0;
  for (int w = 0; w < block->warp_count; ++w) block->warps[w].ready = block->warps[w].live;
}

void sync_block(Site site) {
  Thread& me = *block->current;
  if (block->waiting == 0) block->barrier_site = site;
  if (!(block->barrier_site == site))
    fail(site, "divergent barrier: sync_block reached from two places, the other is line %u",
         block->barrier_site.line);
  me.state = State::at_barrier, me.site = site;
  ++block->waiting, ++block->progress;
  release(&block->tags().barrier);
  release_barrier_if_complete();
  leave();
  me.state = State::ready;
  acquire(&block->tags().barrier);
}

namespace {

void wake_named(int which) {
  for (int i = 0; i < block->count; ++i) {
    Thread& thread = block->threads[i];
    if (thread.state != State::at_named || thread.named != which) continue;
    block->warp_of(thread).ready |= 1u << i % 32;
  }
}

}  // namespace

void sync_named(int which, int threads, bool wait, Site site) {
  if (which < 1 || which >= kNamedBarriers) fail(site, "named barrier %d is not 1 .. 15", which);
  if (threads < 32 || threads % 32) fail(site, "a named barrier of %d threads", threads);
  NamedBarrier& barrier = block->named[which];
  if (barrier.arrived && barrier.expected != threads)
    fail(site, "named barrier %d: %d threads here, %d elsewhere", which, threads, barrier.expected);
  Thread& me = *block->current;
  barrier.expected = threads;
  ++barrier.arrived, ++block->progress;
  release(&block->tags().named[which]);
  if (wait) me.state = State::at_named, me.named = which, me.site = site;
  if (barrier.arrived == threads) {
    barrier.arrived = 0;
    wake_named(which);
  }
  if (!wait) return;
  leave();
  me.state = State::ready;
  acquire(&block->tags().named[which]);
}

void* shared_memory(std::size_t bytes, bool* first, Site site) {
  if (bytes > block->shared_bytes)
    fail(site, "the kernel uses %zu bytes of shared memory, the launch gave %zu", bytes,
         block->shared_bytes);
  *first = !block->shared_made;
  block->shared_made = true;
  return block->shared;
}

void guard(void* bytes, std::size_t size) { poison(bytes, size); }

// A fence is modelled as ordered after every earlier fence of the grid, once its block has read an
// atomic: right kernels never look wrong, a side without its fence does.
void fence_device() {
  if (block->atomics_seen) acquire(&block->fence_tag);
  release(&block->fence_tag);
}

void atomic_made(bool wrote, Site site) {
  Thread& me = *block->current;
  block->atomics_seen = true;
  if (wrote) {
    ++block->progress;
    me.polls = 0;
  } else if (++me.polls > 16) {
    me.polls = 0;
    spin(site);
  }
}

}  // namespace fornax::simt
