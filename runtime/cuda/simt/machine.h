// The simt machine: runs launches of CUDA kernels, built by the host compiler, on fibers, and
// checks them. Launches run when they are made; one host thread at a time uses the machine.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/device/launch_table.h"

namespace fornax::simt {

/// Whose tensor-core arithmetic the mma twins follow.
enum class Architecture { sm_80, sm_90 };

struct Options {
  /// 0: warps in order. Else warps and lanes in a random order, asynchronous copies early or late;
  /// bit 1 set: the blocks of a grid from last to first.
  std::uint32_t seed = 0;
  int threads = 1;  ///< OS threads that share the blocks; 1 under a sanitizer or while counting
  Architecture architecture = Architecture::sm_90;
};

/// Read once from FORNAX_SIMT_SEED, FORNAX_SIMT_THREADS, FORNAX_SIMT_ARCH (sm_80 or sm_90); tests
/// change it between launches. Throws Error{invalid_argument} when a value is none of these.
Options& options();

/// Runs the whole grid. Throws Error{device} with block, thread and line when the kernel breaks a
/// rule of CUDA; Error{invalid_argument} when the launch does, Error{unsupported} for clusters.
void run(const device::KernelLaunch& launch);

/// A table whose launch() is run() and whose copies are done at once: what tests need of a driver.
const device::LaunchTable& launch_table();

/// How many times fibers were switched by this thread.
std::uint64_t switches();

/// Accesses of one kernel at one source line, as warps make them.
struct AccessCount {
  std::string kernel;  ///< the launch's name
  std::string file;  ///< name without folders
  unsigned line;
  std::string kind;  ///< global_read, global_write, shared_read, shared_write, load_matrices
  std::int64_t requests;
  std::int64_t units;  ///< sectors of 32 bytes (global), wavefronts (shared)
  std::int64_t ideal;  ///< the fewest units that the bytes need
};

/// Starts counting from zero. The named loads and stores, cp.async and ldmatrix are counted.
void count_accesses();
/// Stops counting; sorted by kernel, file, line and kind. Nothing is counted under TSan.
std::vector<AccessCount> access_report();

}  // namespace fornax::simt
