// The state of the block that an OS thread runs: fibers, warps, barriers, copies under way.
// Built with -fno-builtin: a loop that became memcpy or memmove would be seen by TSan, so nothing
// here grows or erases a vector on a fiber.
#pragma once
#include <boost/context/detail/fcontext.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/device/mbarrier.cuh"
#include "sanitizer.h"

namespace fornax::simt {

namespace context = boost::context::detail;
using device::Dim3;

constexpr int kMaxThreads = 1024, kNamedBarriers = 16;
constexpr std::size_t kStackBytes = 128 * 1024, kSharedLimit = 227 * 1024;
#ifdef SIMT_ADDRESS
constexpr std::size_t kSharedBytes = kSharedLimit + 13 * 1024;  // room for the gaps
#else
constexpr std::size_t kSharedBytes = kSharedLimit;
#endif
constexpr unsigned char kFresh = 0xff;  // NaN in every float type, -1 in every integer
constexpr std::size_t kMaxCopies = 128;

enum class State : std::uint8_t { ready, at_barrier, at_named, in_warp, spinning, done };
enum class Operation : std::uint8_t {
  none,
  shuffle,
  ballot,
  sync_warp,
  load_matrices,
  load_transposed,
  multiply_bf16,
  multiply_f16,
  multiply_tf32
};
const char* name(Operation operation);

struct AsyncCopy {
  char* to;
  const char* from;
  int bytes, valid_bytes, group;
  Site site;
};

// A bulk copy under way. The async proxy is one for the block.
struct BulkCopy {
  char* to;
  const char* from;
  std::size_t bytes;
  Mbarrier* barrier;  // null: a store
  int owner, group;
  Site site;
};

// A stack and what the sanitizers know of it. Blocks take turns with two sets of them under TSan,
// so that one thread index of two blocks is two TSan threads.
struct Stack {
  char* low = nullptr;
  context::fcontext_t context = nullptr;
  void *fake = nullptr, *tsan = nullptr;
};

struct Thread {
  Stack* stack;
  State state;
  int index, named, polls;
  Dim3 id;
  Site site;
  std::vector<AsyncCopy> copies;
  int groups_made, groups_done, store_groups;
};

struct alignas(64) Warp {
  std::uint32_t ready, live, yielded, arrived, mask;
  Operation operation;
  Site site;
  struct alignas(16) Slot {
    unsigned char bytes[64];
  } slots[32];
};

struct NamedBarrier {
  int expected, arrived;
};

// TSan: what threads of a block release and acquire. They lie behind the shared memory and are as
// fresh as it is in every block: an edge from one block's barrier to the next one's would hide
// races between them.
struct Tags {
  char barrier, named[kNamedBarriers], warp[kMaxThreads / 32], issue, proxy, store;
};
constexpr std::size_t kMappedBytes = (kSharedBytes + sizeof(Tags) + 4095) / 4096 * 4096;

struct Grid;

struct Block {
  Thread threads[kMaxThreads];
  Warp warps[kMaxThreads / 32];
  NamedBarrier named[kNamedBarriers];
  std::vector<Stack> stacks[2];
  int parity = 0, count = 0, warp_count = 0, live = 0, waiting = 0;
  Thread* current = nullptr;
  context::fcontext_t scheduler = nullptr;
  const void* scheduler_stack = nullptr;
  std::size_t scheduler_stack_bytes = 0;
  void *scheduler_fake = nullptr, *scheduler_tsan = nullptr;
  char* shared = nullptr;
  std::size_t shared_bytes = 0;
  bool shared_made = false, atomics_seen = false;
  Site barrier_site{};
  Grid* grid = nullptr;
  std::uint32_t seed = 0, random = 0;
  char failure[1024] = "";
  std::vector<BulkCopy> bulk;
  void* proxy_tsan = nullptr;
  std::uint64_t progress = 0;  // counts what can end somebody's spinning
  std::uint64_t switches = 0;
  char launch_tag, block_tag, done_tag, fence_tag;

  Tags& tags() { return *reinterpret_cast<Tags*>(shared + kSharedBytes); }
  Warp& warp_of(const Thread& thread) { return warps[thread.index / 32]; }
};
inline constinit thread_local Block* block = nullptr;

inline void copy_16(void* to, const void* from) { __builtin_memcpy(to, from, 16); }
inline void copy_bytes(void* to, const void* from, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i)
    static_cast<volatile char*>(to)[i] = static_cast<const char*>(from)[i];
}
inline std::uint32_t random_bits() {
  return (block->random = block->random * 1664525u + 1013904223u) >> 8;
}

// fiber.cpp
void make_stacks();
void abandon_stacks();
void resume(Thread& thread);
/// Back to the scheduler; returns when the scheduler resumes this thread.
void leave();
/// The same, for a thread that polls: it runs again after every other thread had its turn.
void spin(Site site);
/// Ends the launch: the scheduler throws, the threads are abandoned where they stand. So a fiber
/// must own nothing on its stack when it calls a primitive.
[[noreturn]] void fail(Site site, const char* format, ...);

// scheduler.cpp
void run_block();
void thread_ended(Thread& thread);

// barrier.cpp, warp.cpp, accesses.cpp
void release_barrier_if_complete();
void complete_operation_if_all_arrived(Warp& warp);
void count_matrix_rows(const char* const (&rows)[32], int matrices, Site site);
void finish_block_counts();

}  // namespace fornax::simt
