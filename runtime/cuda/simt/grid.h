// What the OS threads that run one launch share.
#pragma once
#include <atomic>
#include <mutex>
#include <string>

#include "kernels/device/launch_table.h"

namespace fornax::simt {

struct Grid {
  const device::KernelLaunch* launch;
  std::uint64_t blocks;
  bool backwards;
  std::atomic<std::uint64_t> next{0};
  std::atomic<std::uint64_t> progress{0};  // of blocks that ended
  std::atomic<int> running{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;
  std::string failure;  // of the first block that failed
};

}  // namespace fornax::simt
