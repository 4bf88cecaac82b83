// A launch: checks it, shares its blocks among OS threads, gathers the first failure.
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>
#include <thread>

#include "block.h"
#include "fornax/error.h"
#include "grid.h"
#include "machine.h"

namespace fornax::simt {

namespace {

void make_block_state() {
  if (block) return;
  block = new Block;  // kept with its stacks for the thread's later launches
  void* mapped = mmap(nullptr, kMappedBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  block->shared = static_cast<char*>(mapped);
}

void start_grid_on_this_thread(Grid& grid) {
  make_block_state();
  const device::KernelLaunch& launch = *grid.launch;
  block->grid = &grid;
  block->count = static_cast<int>(launch.block.x * launch.block.y * launch.block.z);
  block->warp_count = (block->count + 31) / 32;
  block->shared_bytes = launch.shared_bytes;
  block->seed = block->random = options().seed;
  *block->failure = 0;
  make_stacks();
  blockDim = launch.block, gridDim = launch.grid;
#ifdef SIMT_THREAD
  block->scheduler_tsan = __tsan_get_current_fiber();
#endif
  release(&block->launch_tag);
}

void keep_failure(Grid& grid) {
  abandon_stacks();
  acquire(&block->done_tag);
  const std::lock_guard lock(grid.mutex);
  if (!grid.failed.exchange(true)) grid.failure = block->failure;
}

// Takes blocks until none is left.
void run_blocks(Grid& grid) {
  start_grid_on_this_thread(grid);
  grid.running.fetch_add(1);
  while (!grid.failed.load()) {
    const std::uint64_t taken = grid.next.fetch_add(1);
    if (taken >= grid.blocks) break;
    const std::uint64_t i = grid.backwards ? grid.blocks - 1 - taken : taken;
    const std::uint64_t row = i / gridDim.x;
    blockIdx = {static_cast<unsigned>(i % gridDim.x), static_cast<unsigned>(row % gridDim.y),
                static_cast<unsigned>(row / gridDim.y)};
    run_block();
    if (*block->failure) keep_failure(grid);
  }
  grid.running.fetch_sub(1);
  acquire(&block->done_tag);
}

void free_block_state() {
  if (!block) return;
  for (const auto& set : block->stacks)
    for (const Stack& stack : set) munmap(stack.low - 4096, kStackBytes + 4096);
  munmap(block->shared, kMappedBytes);
  delete block;
  block = nullptr;
}

void run_on_threads(Grid& grid, int threads) {
  std::exception_ptr error;
  std::mutex mutex;
  std::vector<std::thread> workers;
  for (int i = 1; i < threads; ++i) {
    workers.emplace_back([&] {
      try {
        run_blocks(grid);
      } catch (...) {
        const std::lock_guard lock(mutex);
        error = std::current_exception();
      }
      free_block_state();
    });
  }
  run_blocks(grid);
  for (std::thread& worker : workers) worker.join();
  if (error) std::rethrow_exception(error);
}

void check(const device::KernelLaunch& launch) {
  const auto refuse = [&](ErrorCode code, const std::string& what) {
    throw Error(code, "launch of " + std::string(launch.name) + ": " + what);
  };
  const auto count = [](const Dim3& d) { return std::uint64_t{d.x} * d.y * d.z; };
  if (count(launch.block) == 0 || count(launch.block) > kMaxThreads)
    refuse(ErrorCode::invalid_argument,
           std::to_string(count(launch.block)) + " threads in a block; 1 to 1024 are allowed");
  if (count(launch.grid) == 0 || launch.grid.y > 65535 || launch.grid.z > 65535)
    refuse(ErrorCode::invalid_argument, "the grid is empty, or y or z exceeds 65535");
  if (launch.shared_bytes > kSharedBytes)
    refuse(ErrorCode::invalid_argument, std::to_string(launch.shared_bytes) +
                                            " bytes of shared memory; the limit is " +
                                            std::to_string(kSharedLimit));
  if (count(launch.cluster) != 1)
    refuse(ErrorCode::unsupported, "the simt machine runs no clusters of blocks");
  if (!launch.invoke)
    refuse(ErrorCode::invalid_argument, "the kernel was not built by the host compiler");
}

int usable_threads(const Grid& grid) {
#if defined(SIMT_ADDRESS) || defined(SIMT_THREAD)
  (void)grid;
  return 1;
#else
  if (counting) return 1;
  const auto wanted = static_cast<std::uint64_t>(std::max(options().threads, 1));
  return static_cast<int>(std::min(wanted, grid.blocks));
#endif
}

}  // namespace

void run(const device::KernelLaunch& launch) {
  check(launch);
  Grid grid;
  grid.launch = &launch;
  grid.blocks = std::uint64_t{launch.grid.x} * launch.grid.y * launch.grid.z;
  grid.backwards = options().seed & 2u;
  run_on_threads(grid, usable_threads(grid));
  if (grid.failed.load()) throw Error(ErrorCode::device, "simt: " + grid.failure);
}

const device::LaunchTable& launch_table() {
  static const device::LaunchTable table{
      [](const device::Queue&, const device::KernelLaunch& launch) { run(launch); },
      [](const device::Queue&, void* to, std::size_t bytes) { std::memset(to, 0, bytes); },
      [](const device::Queue&, void* to, const void* from, std::size_t bytes) {
        std::memcpy(to, from, bytes);
      }};
  return table;
}

std::uint64_t switches() { return block ? block->switches : 0; }

}  // namespace fornax::simt
