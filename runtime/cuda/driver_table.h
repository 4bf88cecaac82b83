// The one table of driver calls that the CUDA backend is written against. Three fillings: cudart
// (a card), simt (executes on the CPU), fake (executes nothing, checks the order of everything).
// No CUDA header here: a stream, event or graph is an opaque pointer.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "kernels/device/launch_table.h"

namespace fornax::cuda {

/// Numbers of cudaError_t; a filling may return any other of them too.
enum class Status : int {
  success = 0,
  invalid_value = 1,
  out_of_memory = 2,
  insufficient_driver = 35,
  no_device = 100,
  invalid_device = 101,
  no_kernel_image = 209,
  invalid_handle = 400,
  not_ready = 600,
  illegal_address = 700,
  launch_out_of_resources = 701,
  launch_failure = 719,
  not_supported = 801,
  capture_unsupported = 900,
  capture_invalidated = 901,
  capture_unmatched = 903,
  capture_unjoined = 904,
  capture_isolation = 905,
};

struct DeviceProperties {
  char name[256] = {};
  int major = 0, minor = 0;
  int multiprocessors = 0;
  int clock_khz = 0, memory_clock_khz = 0, memory_bus_bits = 0;
  std::int64_t memory_bytes = 0;
  std::int64_t shared_bytes_per_block = 0;  ///< with the opt-in limit
};

struct KernelProperties {
  int registers = 0, binary_version = 0;
  std::int64_t static_shared_bytes = 0, local_bytes = 0;
};

/// How a launch touches a range. Updates (atomics) of one range need no order among themselves.
struct Access {
  enum class Kind : std::uint8_t { read, write, update };
  const void* address = nullptr;
  std::int64_t bytes = 0;
  Kind kind = Kind::read;
};

using Stream = void*;
using Event = void*;
using Graph = void*;
using GraphExec = void*;

/// What a filling keeps; every call gets it.
struct DriverState {
  virtual ~DriverState() = default;
};

/// Semantics are those of the CUDA call named beside; calls on a stream are asynchronous, in order.
/// No call throws.
struct DriverTable {
  const char* name;

  Status (*driver_version)(DriverState&, int* version);
  Status (*runtime_version)(DriverState&, int* version);
  Status (*device_count)(DriverState&, int* count);
  Status (*device_properties)(DriverState&, int device, DeviceProperties* properties);
  Status (*set_device)(DriverState&, int device);
  Status (*device_synchronize)(DriverState&);
  Status (*memory_info)(DriverState&, std::int64_t* free_bytes, std::int64_t* total_bytes);

  Status (*allocate)(DriverState&, void** memory, std::int64_t bytes);  ///< cudaMalloc
  Status (*deallocate)(DriverState&, void* memory);
  Status (*allocate_pinned)(DriverState&, void** memory, std::int64_t bytes);  ///< cudaMallocHost
  Status (*deallocate_pinned)(DriverState&, void* memory);

  Status (*stream_create)(DriverState&, Stream* stream, int priority);  ///< non-blocking
  Status (*stream_destroy)(DriverState&, Stream stream);
  Status (*stream_synchronize)(DriverState&, Stream stream);
  Status (*stream_query)(DriverState&, Stream stream);
  Status (*stream_wait_event)(DriverState&, Stream stream, Event event);

  Status (*event_create)(DriverState&, Event* event, bool timing);
  Status (*event_destroy)(DriverState&, Event event);
  Status (*event_record)(DriverState&, Event event, Stream stream);
  Status (*event_query)(DriverState&, Event event);
  Status (*event_synchronize)(DriverState&, Event event);
  Status (*event_elapsed)(DriverState&, float* milliseconds, Event from, Event to);

  Status (*copy_to_device)(DriverState&, void* to, const void* from, std::int64_t bytes, Stream);
  Status (*copy_to_host)(DriverState&, void* to, const void* from, std::int64_t bytes, Stream);
  Status (*copy_on_device)(DriverState&, void* to, const void* from, std::int64_t bytes, Stream);
  Status (*fill)(DriverState&, void* to, int byte, std::int64_t bytes, Stream stream);

  /// Loads the kernel's code, so that no launch does, and allows it that much shared memory.
  Status (*load_kernel)(DriverState&, const device::KernelLaunch& launch);
  Status (*kernel_properties)(DriverState&, const void* function, KernelProperties* properties);
  Status (*occupancy)(DriverState&, const void* function, int threads, std::int64_t shared_bytes,
                      int* blocks);
  Status (*launch)(DriverState&, Stream stream, const device::KernelLaunch& launch);

  Status (*begin_capture)(DriverState&, Stream stream);
  Status (*end_capture)(DriverState&, Stream stream, Graph* graph);
  Status (*is_capturing)(DriverState&, Stream stream, bool* capturing);
  Status (*graph_node_count)(DriverState&, Graph graph, std::int64_t* nodes);
  Status (*graph_instantiate)(DriverState&, GraphExec* executable, Graph graph);
  Status (*graph_upload)(DriverState&, GraphExec executable, Stream stream);
  Status (*graph_launch)(DriverState&, GraphExec executable, Stream stream);
  Status (*graph_destroy)(DriverState&, Graph graph);
  Status (*graph_exec_destroy)(DriverState&, GraphExec executable);

  Status (*last_error)(DriverState&);  ///< and forgets it
  const char* (*error_name)(DriverState&, Status status);
  const char* (*error_string)(DriverState&, Status status);
  /// More words on the last failure than its status has, or "".
  const char* (*error_detail)(DriverState&);

  /// What the launches that follow on the stream touch, until the next call. Null where nothing
  /// looks at it.
  Status (*annotate)(DriverState&, Stream stream, std::span<const Access> accesses);
  /// What the host touches now of memory that copies use. Null where nothing looks at it.
  Status (*host_access)(DriverState&, const Access& access);
  void (*range_push)(DriverState&, const char* name);  ///< NVTX
  void (*range_pop)(DriverState&);
};

/// A filling with its state.
struct DriverCalls {
  DriverTable table;
  std::shared_ptr<DriverState> state;
};

/// Ranges that mark one step between these: no allocation, no synchronisation.
inline constexpr const char* kStepRange = "fornax step";

}  // namespace fornax::cuda
