// One block from its first thread to its last: who runs next, and what happens when nobody can.
#include <sys/mman.h>

#include <bit>
#include <chrono>
#include <cstdio>
#include <map>
#include <span>
#include <thread>
#include <utility>

#include "block.h"
#include "grid.h"

namespace fornax::simt {

namespace {

// TSan's runtime since LLVM 14 and GCC 13 has 255 places for threads; beyond that threads share
// places, and races between those that share are missed. When two sets of fibers do not fit, an
// even seed looks inside blocks and an odd seed between blocks too.
#ifndef SIMT_THREAD
constexpr int kTsanThreads = 0;
#elif !defined(__clang__) && __GNUC__ < 13
constexpr int kTsanThreads = 4000;
#else
constexpr int kTsanThreads = 250;
#endif

int choose_set() {
  const bool fits = 2 * block->count <= kTsanThreads || block->seed % 2 == 1;
  return kTsanThreads && fits ? block->parity : 0;
}

void start_shared_memory() {
  block->shared_made = block->atomics_seen = false;
#ifdef SIMT_THREAD
  // A fresh mapping has no history, and munmap forgets what was released there; an edge from block
  // to block would hide races between blocks.
  munmap(block->shared, kMappedBytes);
  mmap(block->shared, kMappedBytes, PROT_READ | PROT_WRITE,
       MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
#endif
  unpoison(block->shared, kSharedBytes);
  for (std::size_t i = 0; i < block->shared_bytes; ++i)
    static_cast<volatile char*>(block->shared)[i] = static_cast<char>(kFresh);
  poison(block->shared + block->shared_bytes, kSharedBytes - block->shared_bytes);
}

void start_thread(int i, int set) {
  Thread& thread = block->threads[i];
  const unsigned u = static_cast<unsigned>(i);
  thread.state = State::ready, thread.index = i;
  thread.id = {u % blockDim.x, u / blockDim.x % blockDim.y, u / (blockDim.x * blockDim.y)};
  thread.stack = &block->stacks[set][u];
  thread.copies.clear();
  thread.copies.reserve(kMaxCopies);
  thread.groups_made = thread.groups_done = thread.store_groups = 0;
  thread.polls = 0;
}

void start_block() {
  block->live = block->count, block->waiting = 0;
  block->bulk.clear();
  block->bulk.reserve(kMaxCopies);
  block->parity ^= 1;
  for (NamedBarrier& barrier : block->named) barrier.expected = barrier.arrived = 0;
  start_shared_memory();
  release(&block->block_tag);
  for (int w = 0; w < block->warp_count; ++w) {
    const int lanes = block->count - w * 32;
    Warp& warp = block->warps[w];
    warp.ready = warp.live = lanes >= 32 ? ~0u : (1u << lanes) - 1;
    warp.yielded = warp.arrived = 0;
  }
  const int set = choose_set();
  for (int i = 0; i < block->count; ++i) start_thread(i, set);
}

// Runs ready lanes of each warp in turn. Returns whether any ran.
bool run_warps() {
  bool any = false;
  const bool chaos = block->seed != 0;
  const int first = chaos ? static_cast<int>(random_bits()) % block->warp_count : 0;
  for (int k = 0; k < block->warp_count; ++k) {
    const int w = (first + k) % block->warp_count;
    Warp& warp = block->warps[w];
    while (warp.ready) {
      const int turn = chaos ? static_cast<int>(random_bits() % 32) : 0;
      const int chosen = (std::countr_zero(std::rotr(warp.ready, turn)) + turn) % 32;
      warp.ready &= ~(1u << chosen);
      any = true;
      resume(block->threads[w * 32 + chosen]);
      if (*block->failure) return true;
      if (chaos && random_bits() % 8 == 0) break;
    }
  }
  return any;
}

const char* what_it_waits_for(const Thread& thread) {
  switch (thread.state) {
    case State::at_barrier: return "sync_block";
    case State::at_named: return "sync_named";
    case State::in_warp: return name(block->warp_of(thread).operation);
    default: return "a poll";
  }
}

// Nothing can run: says how many threads wait for what at which lines.
void report_deadlock() {
  std::map<std::pair<unsigned, std::string>, int> waiting;
  const Thread* first = nullptr;
  for (const Thread& thread : std::span(block->threads, static_cast<std::size_t>(block->count))) {
    if (thread.state == State::done) continue;
    if (!first) first = &thread;
    ++waiting[{thread.site.line, what_it_waits_for(thread)}];
  }
  std::string where;
  for (const auto& [key, threads] : waiting) {
    where += where.empty() ? "" : ", ";
    where += std::to_string(threads) + " in " + key.second + " at line ";
    where += std::to_string(key.first);
  }
  std::snprintf(block->failure, sizeof block->failure,
                "deadlock: %.500s; kernel of %s, block (%u,%u,%u), the first is thread (%u,%u,%u) "
                "at %s:%u",
                where.c_str(), block->grid->launch->name, blockIdx.x, blockIdx.y, blockIdx.z,
                first->id.x, first->id.y, first->id.z, first->site.file, first->site.line);
}

// Another OS thread's block may still end this one's poll.
bool others_may_help(std::chrono::steady_clock::time_point since) {
  if (block->grid->running.load() <= 1) return false;
  std::this_thread::yield();
  return std::chrono::steady_clock::now() - since < std::chrono::seconds(10);
}

}  // namespace

void thread_ended(Thread& thread) {
  if (!thread.copies.empty()) fail(thread.copies[0].site, "a cp.async is never waited for");
  if (block->live == 1 && !block->bulk.empty())
    fail(block->bulk[0].site, "a bulk copy is never waited for");
  ++block->progress;
  release(&block->done_tag);
  thread.state = State::done;
  --block->live;
  Warp& warp = block->warp_of(thread);
  warp.live &= ~(1u << thread.index % 32);
  release_barrier_if_complete();
  complete_operation_if_all_arrived(warp);
}

void run_block() {
  start_block();
  std::uint64_t progress = block->progress;
  auto since = std::chrono::steady_clock::now();
  for (int idle = 0; block->live && !*block->failure;) {
    const bool any = run_warps();
    if (*block->failure) return;
    idle = block->progress == progress ? idle + 1 : 0;
    progress = block->progress;
    if (idle == 1) since = std::chrono::steady_clock::now();
    if (!any || (idle > 100 && !others_may_help(since))) return report_deadlock();
    for (int w = 0; w < block->warp_count; ++w) {
      block->warps[w].ready |= block->warps[w].yielded;
      block->warps[w].yielded = 0;
    }
  }
  finish_block_counts();
}

}  // namespace fornax::simt
