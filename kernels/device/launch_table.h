// How a kernel launch reaches a driver: plain data through one function of a table.
#pragma once
#include <cstddef>
#include <cstdint>

namespace fornax::device {

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
};

/// One launch. `arguments` is one trivially copyable block, so a driver may keep a copy and replay
/// it; argument_pointers points into it, as cudaLaunchKernelExC wants.
struct KernelLaunch {
  const char* name;
  const void* function;                   ///< the kernel's symbol
  void (*invoke)(const void* arguments);  ///< host twin: calls the kernel; null under nvcc
  const void* arguments;
  std::size_t argument_bytes;
  void** argument_pointers;
  int argument_count;
  Dim3 grid, block, cluster;
  std::size_t shared_bytes;
};

struct LaunchTable;

/// Where work goes: a stream of a driver. On the CPU all fields are null.
struct Queue {
  void* stream = nullptr;
  const LaunchTable* table = nullptr;
  void* context = nullptr;
};

struct LaunchTable {
  void (*launch)(const Queue& queue, const KernelLaunch& launch);
  /// Fills bytes with zero, in order on the queue.
  void (*fill_zero)(const Queue& queue, void* to, std::size_t bytes);
  void (*copy)(const Queue& queue, void* to, const void* from, std::size_t bytes);
};

}  // namespace fornax::device
