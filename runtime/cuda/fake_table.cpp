// A driver that only looks: counts calls, checks order and what a step may call.
#include "runtime/cuda/fake_table.h"

#include <cstdlib>
#include <map>

#include "runtime/cuda/machine_table.h"
#include "runtime/cuda/order_checker.h"

namespace fornax::cuda {

namespace {

// Between the ranges of user and kernel addresses of every system that there is: never mapped.
constexpr std::uintptr_t kFirstAddress = std::uintptr_t{1} << 56;

class FakeState final : public MachineState, private Observer {
 public:
  explicit FakeState(const FakeDevice& device)
      : MachineState([](const Operation&) { return Status::success; }, this), device_(device) {}

  Status allocate(void** memory, std::int64_t bytes) {
    *memory = nullptr;
    refuse_in_step("allocates device memory");
    if (const Status status = machine.forbidden_while_capturing(); status != Status::success)
      return status;
    if (bytes > device_.memory_bytes - report_.allocated_bytes) return Status::out_of_memory;
    *memory = reinterpret_cast<void*>(next_);
    next_ += (static_cast<std::uintptr_t>(bytes) + 511) / 256 * 256;  // a gap ends every block
    sizes_[*memory] = bytes;
    ++report_.allocations;
    report_.allocated_bytes += bytes;
    report_.peak_allocated_bytes = std::max(report_.peak_allocated_bytes, report_.allocated_bytes);
    return Status::success;
  }

  Status deallocate(void* memory) {
    refuse_in_step("frees device memory");
    const auto found = sizes_.find(memory);
    if (found == sizes_.end()) return Status::invalid_value;
    const Status status = machine.synchronize_all();
    order_.forget(memory, found->second);
    report_.allocated_bytes -= found->second;
    sizes_.erase(found);
    return status;
  }

  Status allocate_pinned(void** memory, std::int64_t bytes) {
    refuse_in_step("allocates pinned memory");
    if (const Status status = machine.forbidden_while_capturing(); status != Status::success)
      return status;
    *memory = std::calloc(static_cast<std::size_t>(bytes), 1);
    sizes_[*memory] = bytes;
    return *memory ? Status::success : Status::out_of_memory;
  }

  Status deallocate_pinned(void* memory) {
    refuse_in_step("frees pinned memory");
    const auto found = sizes_.find(memory);
    if (found == sizes_.end()) return Status::invalid_value;
    order_.forget(memory, found->second);
    sizes_.erase(found);
    std::free(memory);
    return Status::success;
  }

  void refuse_in_step(const char* what) {
    if (in_step_) faults_.push_back(std::string("a step ") + what);
  }
  void push(const char* name) {
    ranges_.emplace_back(name);
    in_step_ += ranges_.back() == kStepRange;
  }
  void pop() {
    if (ranges_.empty()) return;
    in_step_ -= ranges_.back() == kStepRange;
    ranges_.pop_back();
  }

  FakeReport report() const {
    FakeReport result = report_;
    result.faults = order_.faults();
    result.faults.insert(result.faults.end(), faults_.begin(), faults_.end());
    return result;
  }
  const FakeDevice& device() const { return device_; }
  void count_synchronisation() {
    ++report_.synchronisations;
    refuse_in_step("waits for the device");
  }
  void touched_by_host(const Access& access) { order_.touched_by_host(access); }
  void count_loading() { ++report_.kernels_loaded; }

 private:
  void enqueued(const StreamState& stream, const Operation& operation) override {
    order_.enqueued(stream, operation);
    count(operation);
  }
  void synchronized(const StreamState& stream) override { order_.synchronized(stream); }
  void synchronized(const EventState& event) override { order_.synchronized(event); }

  void count(const Operation& operation) {
    switch (operation.kind) {
      case Operation::Kind::launch: ++report_.kernel_launches; break;
      case Operation::Kind::copy: ++report_.copies, report_.copied_bytes += operation.bytes; break;
      case Operation::Kind::fill: ++report_.fills; break;
      case Operation::Kind::record: ++report_.records; break;
      case Operation::Kind::wait: ++report_.waits; break;
      case Operation::Kind::graph:
        ++report_.graph_launches;
        for (const GraphNode& node : operation.graph->nodes) count(node.operation);
        break;
    }
  }

  FakeDevice device_;
  OrderChecker order_;
  FakeReport report_;
  std::vector<std::string> faults_, ranges_;
  int in_step_ = 0;
  std::uintptr_t next_ = kFirstAddress;
  std::map<void*, std::int64_t> sizes_;
};

FakeState& fake(DriverState& state) { return static_cast<FakeState&>(state); }

Status properties(DriverState& state, int device, DeviceProperties* result) {
  if (device != 0) return Status::invalid_device;
  const FakeDevice& played = fake(state).device();
  std::snprintf(result->name, sizeof result->name, "%s", played.name);
  result->major = played.major, result->minor = played.minor;
  result->multiprocessors = played.multiprocessors;
  result->memory_bytes = played.memory_bytes;
  result->shared_bytes_per_block = played.shared_bytes_per_block;
  return Status::success;
}

void fill_device(DriverTable& table) {
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
  table.memory_info = [](DriverState& s, std::int64_t* free_bytes, std::int64_t* total_bytes) {
    *total_bytes = fake(s).device().memory_bytes;
    *free_bytes = *total_bytes - fake(s).report().allocated_bytes;
    return Status::success;
  };
  table.allocate = [](DriverState& s, void** memory, std::int64_t bytes) {
    return fake(s).allocate(memory, bytes);
  };
  table.deallocate = [](DriverState& s, void* memory) { return fake(s).deallocate(memory); };
  table.allocate_pinned = [](DriverState& s, void** memory, std::int64_t bytes) {
    return fake(s).allocate_pinned(memory, bytes);
  };
  table.deallocate_pinned = [](DriverState& s, void* memory) {
    return fake(s).deallocate_pinned(memory);
  };
}

/// The calls that a step must not make, counted, then done by the machine.
void fill_watched(DriverTable& table) {
  table.device_synchronize = [](DriverState& s) {
    fake(s).count_synchronisation();
    return fake(s).machine.synchronize_all();
  };
  table.stream_synchronize = [](DriverState& s, Stream stream) {
    fake(s).count_synchronisation();
    return fake(s).machine.synchronize(stream);
  };
  table.event_synchronize = [](DriverState& s, Event event) {
    fake(s).count_synchronisation();
    return fake(s).machine.synchronize_event(event);
  };
  table.graph_instantiate = [](DriverState& s, GraphExec* executable, Graph graph) {
    fake(s).refuse_in_step("instantiates a graph");
    return fake(s).machine.instantiate(executable, graph);
  };
  table.load_kernel = [](DriverState& s, const device::KernelLaunch&) {
    fake(s).count_loading();
    fake(s).refuse_in_step("loads a kernel");
    return Status::success;
  };
  table.host_access = [](DriverState& s, const Access& access) {
    fake(s).touched_by_host(access);
    return Status::success;
  };
  table.range_push = [](DriverState& s, const char* name) { fake(s).push(name); };
  table.range_pop = [](DriverState& s) { fake(s).pop(); };
}

}  // namespace

DriverCalls make_fake_driver(const FakeDevice& device) {
  DriverTable table{};
  table.name = "fake";
  fill_machine_entries(table);
  fill_device(table);
  fill_watched(table);
  return {table, std::make_shared<FakeState>(device)};
}

FakeReport fake_report(const DriverState& state) {
  return static_cast<const FakeState&>(state).report();
}

std::string to_string(const FakeReport& report) {
  std::string text;
  const auto line = [&](const char* what, std::int64_t count) {
    text += std::string(what) + ' ' + std::to_string(count) + '\n';
  };
  line("graph launches", report.graph_launches);
  line("kernel launches", report.kernel_launches);
  line("kernels loaded", report.kernels_loaded);
  line("copies", report.copies), line("copied bytes", report.copied_bytes);
  line("fills", report.fills);
  line("event records", report.records), line("event waits", report.waits);
  line("allocations", report.allocations);
  line("peak allocated bytes", report.peak_allocated_bytes);
  line("synchronisations", report.synchronisations);
  line("faults", static_cast<std::int64_t>(report.faults.size()));
  for (const std::string& fault : report.faults) text += "  " + fault + '\n';
  return text;
}

}  // namespace fornax::cuda
