// The fake filling: executes nothing and checks the order of everything. Device memory is only
// addresses, so a device of any size can be played.
#pragma once
#include <string>
#include <vector>

#include "runtime/cuda/driver_table.h"

namespace fornax::cuda {

struct FakeDevice {
  const char* name = "fake";
  int major = 9, minor = 0;
  int multiprocessors = 132;
  std::int64_t memory_bytes = 80'000'000'000;
  std::int64_t shared_bytes_per_block = 227 * 1024;

  static FakeDevice h200() { return {"fake H200", 9, 0, 132, 141'000'000'000, 227 * 1024}; }
};

/// What was called so far. Work inside a graph is counted when the graph is launched.
struct FakeReport {
  std::int64_t kernel_launches = 0, graph_launches = 0, copies = 0, fills = 0;
  std::int64_t copied_bytes = 0;
  std::int64_t records = 0, waits = 0;
  std::int64_t allocations = 0, synchronisations = 0, kernels_loaded = 0;
  std::int64_t allocated_bytes = 0, peak_allocated_bytes = 0;
  std::vector<std::string> faults;  ///< unordered accesses; calls that a step must not make
};

/// A driver of its own with one device.
DriverCalls make_fake_driver(const FakeDevice& device = {});

/// Of a driver that make_fake_driver() made.
FakeReport fake_report(const DriverState& state);
std::string to_string(const FakeReport& report);

}  // namespace fornax::cuda
