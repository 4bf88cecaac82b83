// A driver whose device is the simt machine.
#include "runtime/cuda/simt_table.h"

#include <fornax/error.h>

#include <cstring>
#include <new>

#include "runtime/cuda/machine_table.h"
#include "runtime/cuda/simt/machine.h"

namespace fornax::cuda {

namespace {

constexpr std::int64_t kMemoryBytes = std::int64_t{16} << 30;  // what the device says it has

class SimtState final : public MachineState {
 public:
  SimtState() : MachineState([this](const Operation& work) { return execute(work); }, nullptr) {
    machine.set_seed(simt::options().seed);
  }

 private:
  Status execute(const Operation& work) {
    const auto bytes = static_cast<std::size_t>(work.bytes);
    if (work.kind == Operation::Kind::copy && bytes) std::memmove(work.to, work.from, bytes);
    if (work.kind == Operation::Kind::fill && bytes) std::memset(work.to, work.byte, bytes);
    if (work.kind != Operation::Kind::launch) return Status::success;
    try {
      simt::run(work.launch);
    } catch (const std::exception& error) {
      detail = work.name + ": " + error.what();
      return Status::launch_failure;
    }
    return Status::success;
  }
};

StreamMachine& machine(DriverState& state) { return static_cast<MachineState&>(state).machine; }

Status allocate(DriverState& state, void** memory, std::int64_t bytes) {
  *memory = nullptr;
  if (const Status status = machine(state).forbidden_while_capturing(); status != Status::success)
    return status;
  *memory = ::operator new (static_cast<std::size_t>(bytes), std::align_val_t{256}, std::nothrow);
  return *memory ? Status::success : Status::out_of_memory;
}

// As cudaFree, waits for the device.
Status deallocate(DriverState& state, void* memory) {
  const Status status = machine(state).synchronize_all();
  ::operator delete (memory, std::align_val_t{256});
  return status;
}

Status properties(DriverState&, int device, DeviceProperties* result) {
  if (device != 0) return Status::invalid_device;
  std::strcpy(result->name, "simt");
  const bool sm_80 = simt::options().architecture == simt::Architecture::sm_80;
  result->major = sm_80 ? 8 : 9, result->minor = 0;
  result->multiprocessors = sm_80 ? 108 : 132;
  result->memory_bytes = kMemoryBytes;
  result->shared_bytes_per_block = (sm_80 ? 163 : 227) * 1024;
  return Status::success;
}

}  // namespace

DriverCalls make_simt_driver() {
  DriverTable table{};
  table.name = "simt";
  fill_machine_entries(table);
  table.driver_version = table.runtime_version = [](DriverState&, int* version) {
    *version = 0;
    return Status::success;
  };
  table.device_count = [](DriverState&, int* count) {
    *count = 1;
    return Status::success;
  };
  table.device_properties = properties;
  table.set_device = [](DriverState&, int device) {
    return device == 0 ? Status::success : Status::invalid_device;
  };
  table.memory_info = [](DriverState&, std::int64_t* free_bytes, std::int64_t* total_bytes) {
    *free_bytes = *total_bytes = kMemoryBytes;
    return Status::success;
  };
  table.allocate = table.allocate_pinned = allocate;
  table.deallocate = table.deallocate_pinned = deallocate;
  table.annotate = nullptr;  // the fake filling checks the order
  return {table, std::make_shared<SimtState>()};
}

}  // namespace fornax::cuda
