// The driver table filled with the CUDA run time; compiled only where a toolkit is found.
#include "runtime/cuda/cudart_table.h"

#include <cuda_runtime_api.h>
#include <nvtx3/nvToolsExt.h>

#include <cstdio>

namespace fornax::cuda {

namespace {

Status from(cudaError_t error) { return static_cast<Status>(static_cast<int>(error)); }
cudaStream_t stream_of(Stream stream) { return static_cast<cudaStream_t>(stream); }
cudaEvent_t event_of(Event event) { return static_cast<cudaEvent_t>(event); }
cudaGraph_t graph_of(Graph graph) { return static_cast<cudaGraph_t>(graph); }
cudaGraphExec_t exec_of(GraphExec executable) { return static_cast<cudaGraphExec_t>(executable); }
std::size_t size(std::int64_t bytes) { return static_cast<std::size_t>(bytes); }

int attribute(cudaDeviceAttr name, int device) {
  int value = 0;
  return cudaDeviceGetAttribute(&value, name, device) == cudaSuccess ? value : 0;
}

Status properties(DriverState&, int device, DeviceProperties* result) {
  cudaDeviceProp read{};
  const cudaError_t error = cudaGetDeviceProperties(&read, device);
  if (error != cudaSuccess) return from(error);
  std::snprintf(result->name, sizeof result->name, "%s", read.name);
  result->major = read.major, result->minor = read.minor;
  result->multiprocessors = read.multiProcessorCount;
  result->clock_khz = attribute(cudaDevAttrClockRate, device);
  result->memory_clock_khz = attribute(cudaDevAttrMemoryClockRate, device);
  result->memory_bus_bits = attribute(cudaDevAttrGlobalMemoryBusWidth, device);
  result->memory_bytes = static_cast<std::int64_t>(read.totalGlobalMem);
  result->shared_bytes_per_block = static_cast<std::int64_t>(read.sharedMemPerBlockOptin);
  return Status::success;
}

Status memory_info(DriverState&, std::int64_t* free_bytes, std::int64_t* total_bytes) {
  std::size_t free = 0, total = 0;
  const cudaError_t error = cudaMemGetInfo(&free, &total);
  *free_bytes = static_cast<std::int64_t>(free), *total_bytes = static_cast<std::int64_t>(total);
  return from(error);
}

// The attributes of a function load it; above 48 KiB shared memory must be asked for.
Status load_kernel(DriverState&, const device::KernelLaunch& launch) {
  cudaFuncAttributes loaded{};
  cudaError_t error = cudaFuncGetAttributes(&loaded, launch.function);
  if (error == cudaSuccess && launch.shared_bytes > 48 * 1024)
    error = cudaFuncSetAttribute(launch.function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(launch.shared_bytes));
  return from(error);
}

Status kernel_properties(DriverState&, const void* function, KernelProperties* result) {
  cudaFuncAttributes read{};
  const cudaError_t error = cudaFuncGetAttributes(&read, function);
  result->registers = read.numRegs, result->binary_version = read.binaryVersion;
  result->static_shared_bytes = static_cast<std::int64_t>(read.sharedSizeBytes);
  result->local_bytes = static_cast<std::int64_t>(read.localSizeBytes);
  return from(error);
}

Status launch(DriverState&, Stream stream, const device::KernelLaunch& launch) {
  const auto dim = [](const device::Dim3& d) { return dim3(d.x, d.y, d.z); };
  cudaLaunchConfig_t config{};
  config.gridDim = dim(launch.grid), config.blockDim = dim(launch.block);
  config.dynamicSmemBytes = launch.shared_bytes, config.stream = stream_of(stream);
  cudaLaunchAttribute cluster{};
  if (launch.cluster.x * launch.cluster.y * launch.cluster.z > 1) {
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim = {launch.cluster.x, launch.cluster.y, launch.cluster.z};
    config.attrs = &cluster, config.numAttrs = 1;
  }
  return from(cudaLaunchKernelExC(&config, launch.function, launch.argument_pointers));
}

Status copy(void* to, const void* source, std::int64_t bytes, cudaMemcpyKind kind, Stream stream) {
  return from(cudaMemcpyAsync(to, source, size(bytes), kind, stream_of(stream)));
}

void fill_device(DriverTable& table) {
  table.driver_version = [](DriverState&, int* v) { return from(cudaDriverGetVersion(v)); };
  table.runtime_version = [](DriverState&, int* v) { return from(cudaRuntimeGetVersion(v)); };
  table.device_count = [](DriverState&, int* count) { return from(cudaGetDeviceCount(count)); };
  table.device_properties = properties;
  table.set_device = [](DriverState&, int device) { return from(cudaSetDevice(device)); };
  table.device_synchronize = [](DriverState&) { return from(cudaDeviceSynchronize()); };
  table.memory_info = memory_info;
  table.allocate = [](DriverState&, void** memory, std::int64_t bytes) {
    return from(cudaMalloc(memory, size(bytes)));
  };
  table.deallocate = [](DriverState&, void* memory) { return from(cudaFree(memory)); };
  table.allocate_pinned = [](DriverState&, void** memory, std::int64_t bytes) {
    return from(cudaMallocHost(memory, size(bytes)));
  };
  table.deallocate_pinned = [](DriverState&, void* memory) { return from(cudaFreeHost(memory)); };
}

void fill_streams(DriverTable& table) {
  table.stream_create = [](DriverState&, Stream* stream, int priority) {
    cudaStream_t made = nullptr;
    const cudaError_t error = cudaStreamCreateWithPriority(&made, cudaStreamNonBlocking, priority);
    *stream = made;
    return from(error);
  };
  table.stream_destroy = [](DriverState&, Stream s) {
    return from(cudaStreamDestroy(stream_of(s)));
  };
  table.stream_synchronize = [](DriverState&, Stream s) {
    return from(cudaStreamSynchronize(stream_of(s)));
  };
  table.stream_query = [](DriverState&, Stream s) { return from(cudaStreamQuery(stream_of(s))); };
  table.stream_wait_event = [](DriverState&, Stream s, Event e) {
    return from(cudaStreamWaitEvent(stream_of(s), event_of(e), 0));
  };
  table.event_create = [](DriverState&, Event* event, bool timing) {
    cudaEvent_t made = nullptr;
    const cudaError_t error =
        cudaEventCreateWithFlags(&made, timing ? cudaEventDefault : cudaEventDisableTiming);
    *event = made;
    return from(error);
  };
  table.event_destroy = [](DriverState&, Event e) { return from(cudaEventDestroy(event_of(e))); };
  table.event_record = [](DriverState&, Event e, Stream s) {
    return from(cudaEventRecord(event_of(e), stream_of(s)));
  };
  table.event_query = [](DriverState&, Event e) { return from(cudaEventQuery(event_of(e))); };
  table.event_synchronize = [](DriverState&, Event e) {
    return from(cudaEventSynchronize(event_of(e)));
  };
  table.event_elapsed = [](DriverState&, float* milliseconds, Event first, Event last) {
    return from(cudaEventElapsedTime(milliseconds, event_of(first), event_of(last)));
  };
}

void fill_work(DriverTable& table) {
  table.copy_to_device = [](DriverState&, void* to, const void* source, std::int64_t bytes,
                            Stream s) {
    return copy(to, source, bytes, cudaMemcpyHostToDevice, s);
  };
  table.copy_to_host = [](DriverState&, void* to, const void* source, std::int64_t bytes,
                          Stream s) { return copy(to, source, bytes, cudaMemcpyDeviceToHost, s); };
  table.copy_on_device = [](DriverState&, void* to, const void* source, std::int64_t bytes,
                            Stream s) {
    return copy(to, source, bytes, cudaMemcpyDeviceToDevice, s);
  };
  table.fill = [](DriverState&, void* to, int byte, std::int64_t bytes, Stream s) {
    return from(cudaMemsetAsync(to, byte, size(bytes), stream_of(s)));
  };
  table.load_kernel = load_kernel;
  table.kernel_properties = kernel_properties;
  table.occupancy = [](DriverState&, const void* function, int threads, std::int64_t shared_bytes,
                       int* blocks) {
    return from(cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, function, threads,
                                                              size(shared_bytes)));
  };
  table.launch = launch;
  table.last_error = [](DriverState&) { return from(cudaGetLastError()); };
  table.error_name = [](DriverState&, Status status) {
    return cudaGetErrorName(static_cast<cudaError_t>(status));
  };
  table.error_string = [](DriverState&, Status status) {
    return cudaGetErrorString(static_cast<cudaError_t>(status));
  };
  table.error_detail = [](DriverState&) { return ""; };
  table.range_push = [](DriverState&, const char* name) { nvtxRangePushA(name); };
  table.range_pop = [](DriverState&) { nvtxRangePop(); };
}

void fill_graphs(DriverTable& table) {
  table.begin_capture = [](DriverState&, Stream s) {
    return from(cudaStreamBeginCapture(stream_of(s), cudaStreamCaptureModeThreadLocal));
  };
  table.end_capture = [](DriverState&, Stream s, Graph* graph) {
    cudaGraph_t made = nullptr;
    const cudaError_t error = cudaStreamEndCapture(stream_of(s), &made);
    *graph = made;
    return from(error);
  };
  table.is_capturing = [](DriverState&, Stream s, bool* capturing) {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    const cudaError_t error = cudaStreamIsCapturing(stream_of(s), &status);
    *capturing = status != cudaStreamCaptureStatusNone;
    return from(error);
  };
  table.graph_node_count = [](DriverState&, Graph graph, std::int64_t* nodes) {
    std::size_t count = 0;
    const cudaError_t error = cudaGraphGetNodes(graph_of(graph), nullptr, &count);
    *nodes = static_cast<std::int64_t>(count);
    return from(error);
  };
  table.graph_instantiate = [](DriverState&, GraphExec* executable, Graph graph) {
    cudaGraphExec_t made = nullptr;
    const cudaError_t error = cudaGraphInstantiateWithFlags(&made, graph_of(graph), 0);
    *executable = made;
    return from(error);
  };
  table.graph_upload = [](DriverState&, GraphExec executable, Stream s) {
    return from(cudaGraphUpload(exec_of(executable), stream_of(s)));
  };
  table.graph_launch = [](DriverState&, GraphExec executable, Stream s) {
    return from(cudaGraphLaunch(exec_of(executable), stream_of(s)));
  };
  table.graph_destroy = [](DriverState&, Graph graph) {
    return from(cudaGraphDestroy(graph_of(graph)));
  };
  table.graph_exec_destroy = [](DriverState&, GraphExec executable) {
    return from(cudaGraphExecDestroy(exec_of(executable)));
  };
}

}  // namespace

DriverCalls make_cudart_driver() {
  DriverTable table{};
  table.name = "cuda";
  fill_device(table), fill_streams(table), fill_work(table), fill_graphs(table);
  return {table, std::make_shared<DriverState>()};
}

}  // namespace fornax::cuda
