// Memory, copies and the device's model.
#include "runtime/cuda/cuda_backend.h"

#include <fornax/error.h>

#include "runtime/cuda/cuda_sequence.h"

namespace fornax::cuda {

namespace {

/// FP32 lanes of one multiprocessor: each does one fma, 2 FLOPs, a cycle.
int f32_lanes(int architecture) { return architecture == 80 ? 64 : 128; }
/// Dense bf16 FLOPs of one multiprocessor a cycle: the datasheets' rates.
int bf16_flops(int architecture) { return architecture >= 90 ? 4096 : 2048; }

void check_device(Driver& driver, int device) {
  int count = 0;
  driver.call("looking for devices", &DriverTable::device_count, &count);
  if (count == 0)
    throw Error(ErrorCode::unsupported,
                std::string(driver.table().name) + ": a driver is there, but no device");
  if (device < 0 || device >= count)
    throw Error(ErrorCode::unsupported, std::string(driver.table().name) + ": there is no device " +
                                            std::to_string(device) + "; the driver has " +
                                            std::to_string(count) + ", numbered from 0");
  driver.call("choosing the device", &DriverTable::set_device, device);
}

kernels::DeviceModel make_model(Driver& driver, const BackendOptions& options) {
  DeviceProperties properties;
  driver.call("reading the device's properties", &DriverTable::device_properties, options.device,
              &properties);
  kernels::DeviceModel model;
  model.backend = kernels::Backend::cuda;
  model.module = options.module;
  model.name = properties.name;
  model.architecture = properties.major * 10 + properties.minor;
  model.multiprocessors = properties.multiprocessors;
  model.streams = 2;
  model.memory_bytes = properties.memory_bytes;
  model.shared_bytes_per_block = properties.shared_bytes_per_block;
  const double cycles = properties.clock_khz * 1e3 * properties.multiprocessors;
  model.f32_flops = cycles * 2 * f32_lanes(model.architecture);
  model.bf16_flops = cycles * bf16_flops(model.architecture);
  model.bytes_per_second =
      properties.memory_clock_khz * 1e3 * 2 * properties.memory_bus_bits / 8;  // double data rate
  return model;
}

}  // namespace

CudaBackend::CudaBackend(DriverCalls calls, const BackendOptions& options)
    : driver_(std::make_shared<Driver>(std::move(calls))),
      model_((check_device(*driver_, options.device), make_model(*driver_, options))),
      stream_(make_stream(driver_)),
      copy_stream_(make_stream(driver_)),
      upstream_(driver_),
      pool_(upstream_, {.limit_bytes = options.memory_limit_bytes}),
      transfer_bytes_(options.transfer_bytes) {}

CudaBackend::~CudaBackend() = default;

void* CudaBackend::allocate(std::int64_t bytes) {
  void* memory = pool_.allocate(bytes, stream_.get());
  try {
    driver_->call("clearing memory", &DriverTable::fill, memory, 0, bytes, stream_.get());
    driver_->call("clearing memory", &DriverTable::stream_synchronize, stream_.get());
  } catch (...) {
    pool_.deallocate(memory, bytes, stream_.get());
    throw;
  }
  return memory;
}

// A block's users are on stream_ or joined to it, so the next owner, there too, comes after them.
void CudaBackend::deallocate(void* memory, std::int64_t bytes) noexcept {
  pool_.deallocate(memory, bytes, stream_.get());
}

void CudaBackend::upload(void* to, const void* from, std::int64_t bytes) {
  if (bytes == 0) return;
  driver_->call("an upload", &DriverTable::copy_to_device, to, from, bytes, stream_.get());
  driver_->call("an upload", &DriverTable::stream_synchronize, stream_.get());
}

void CudaBackend::download(void* to, const void* from, std::int64_t bytes) {
  if (bytes == 0) return;
  driver_->call("a download", &DriverTable::copy_to_host, to, from, bytes, stream_.get());
  driver_->call("a download", &DriverTable::stream_synchronize, stream_.get());
}

std::unique_ptr<Sequence> CudaBackend::record(std::vector<Command> commands,
                                              const RecordOptions& options) {
  return std::make_unique<CudaSequence>(
      driver_, pool_, BackendStreams{stream_.get(), copy_stream_.get(), transfer_bytes_},
      std::move(commands), options);
}

}  // namespace fornax::cuda
