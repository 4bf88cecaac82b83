// Entries of a driver table that are answered by a StreamMachine.
#include "runtime/cuda/machine_table.h"

#include <array>

namespace fornax::cuda {

namespace {

StreamMachine& machine(DriverState& state) { return static_cast<MachineState&>(state).machine; }

struct StatusText {
  Status status;
  const char *name, *meaning;
};
constexpr std::array kTexts{
    StatusText{Status::success, "success", "no error"},
    StatusText{Status::invalid_value, "invalid_value", "an argument is out of range"},
    StatusText{Status::out_of_memory, "out_of_memory", "the device has not enough memory"},
    StatusText{Status::no_device, "no_device", "no device was found"},
    StatusText{Status::invalid_device, "invalid_device", "there is no device of that number"},
    StatusText{Status::no_kernel_image, "no_kernel_image", "no code for this architecture"},
    StatusText{Status::invalid_handle, "invalid_handle", "the handle is not of this driver"},
    StatusText{Status::not_ready, "not_ready", "work is still under way"},
    StatusText{Status::illegal_address, "illegal_address", "a kernel touched a foreign address"},
    StatusText{Status::launch_failure, "launch_failure", "a kernel failed"},
    StatusText{Status::not_supported, "not_supported", "this driver cannot do it"},
    StatusText{Status::capture_unsupported, "capture_unsupported",
               "the call is forbidden while a stream captures"},
    StatusText{Status::capture_invalidated, "capture_invalidated",
               "an earlier call spoiled the capture"},
    StatusText{Status::capture_unmatched, "capture_unmatched",
               "the capture was not begun on this stream"},
    StatusText{Status::capture_unjoined, "capture_unjoined",
               "a stream of the capture was not joined to the one that began it"},
    StatusText{Status::capture_isolation, "capture_isolation",
               "an edge leads into or out of a capture"},
};

const StatusText& text_of(Status status) noexcept {
  static constexpr StatusText kOther{Status::success, "error", "an error of the driver"};
  for (const StatusText& text : kTexts)
    if (text.status == status) return text;
  return kOther;
}

Status copy(DriverState& state, void* to, const void* from, std::int64_t bytes, Stream stream,
            const char* name) {
  Operation operation;
  operation.kind = Operation::Kind::copy, operation.name = name;
  operation.to = to, operation.from = from, operation.bytes = bytes;
  operation.accesses = {{from, bytes, Access::Kind::read}, {to, bytes, Access::Kind::write}};
  return machine(state).enqueue(stream, std::move(operation));
}

void fill_streams(DriverTable& table) {
  table.device_synchronize = [](DriverState& s) { return machine(s).synchronize_all(); };
  table.stream_create = [](DriverState& s, Stream* stream, int) {
    return machine(s).create(stream);
  };
  table.stream_destroy = [](DriverState& s, Stream stream) {
    return machine(s).destroy_stream(stream);
  };
  table.stream_synchronize = [](DriverState& s, Stream stream) {
    return machine(s).synchronize(stream);
  };
  table.stream_query = [](DriverState& s, Stream stream) { return machine(s).query(stream); };
  table.stream_wait_event = [](DriverState& s, Stream stream, Event event) {
    return machine(s).wait(stream, event);
  };
  table.event_create = [](DriverState& s, Event* event, bool) {
    return machine(s).create_event(event);
  };
  table.event_destroy = [](DriverState& s, Event event) { return machine(s).destroy_event(event); };
  table.event_record = [](DriverState& s, Event event, Stream stream) {
    return machine(s).record(event, stream);
  };
  table.event_query = [](DriverState& s, Event event) { return machine(s).query_event(event); };
  table.event_synchronize = [](DriverState& s, Event event) {
    return machine(s).synchronize_event(event);
  };
  table.event_elapsed = [](DriverState&, float* milliseconds, Event, Event) {
    *milliseconds = 0;  // no clock runs on this device
    return Status::success;
  };
}

void fill_work(DriverTable& table) {
  table.copy_to_device = [](DriverState& s, void* to, const void* from, std::int64_t bytes,
                            Stream stream) { return copy(s, to, from, bytes, stream, "upload"); };
  table.copy_to_host = [](DriverState& s, void* to, const void* from, std::int64_t bytes,
                          Stream stream) { return copy(s, to, from, bytes, stream, "download"); };
  table.copy_on_device = [](DriverState& s, void* to, const void* from, std::int64_t bytes,
                            Stream stream) { return copy(s, to, from, bytes, stream, "copy"); };
  table.fill = [](DriverState& s, void* to, int byte, std::int64_t bytes, Stream stream) {
    Operation operation;
    operation.kind = Operation::Kind::fill, operation.name = "fill";
    operation.to = to, operation.byte = byte, operation.bytes = bytes;
    operation.accesses = {{to, bytes, Access::Kind::write}};
    return machine(s).enqueue(stream, std::move(operation));
  };
  table.load_kernel = [](DriverState&, const device::KernelLaunch&) { return Status::success; };
  table.launch = [](DriverState& s, Stream stream, const device::KernelLaunch& launch) {
    Operation operation;
    operation.kind = Operation::Kind::launch, operation.name = launch.name;
    operation.launch = launch;
    return machine(s).enqueue(stream, std::move(operation));
  };
  table.annotate = [](DriverState& s, Stream stream, std::span<const Access> accesses) {
    return machine(s).annotate(stream, accesses);
  };
}

void fill_graphs(DriverTable& table) {
  table.begin_capture = [](DriverState& s, Stream stream) {
    return machine(s).begin_capture(stream);
  };
  table.end_capture = [](DriverState& s, Stream stream, Graph* graph) {
    return machine(s).end_capture(stream, graph);
  };
  table.is_capturing = [](DriverState& s, Stream stream, bool* capturing) {
    return machine(s).is_capturing(stream, capturing);
  };
  table.graph_node_count = [](DriverState& s, Graph graph, std::int64_t* nodes) {
    return machine(s).node_count(graph, nodes);
  };
  table.graph_instantiate = [](DriverState& s, GraphExec* executable, Graph graph) {
    return machine(s).instantiate(executable, graph);
  };
  table.graph_upload = [](DriverState&, GraphExec, Stream) { return Status::success; };
  table.graph_launch = [](DriverState& s, GraphExec executable, Stream stream) {
    return machine(s).launch_graph(executable, stream);
  };
  table.graph_destroy = [](DriverState& s, Graph graph) { return machine(s).destroy_graph(graph); };
  table.graph_exec_destroy = [](DriverState& s, GraphExec executable) {
    return machine(s).destroy_graph(executable);
  };
}

}  // namespace

const char* status_name(Status status) noexcept { return text_of(status).name; }
const char* status_meaning(Status status) noexcept { return text_of(status).meaning; }

void fill_machine_entries(DriverTable& table) {
  fill_streams(table);
  fill_work(table);
  fill_graphs(table);
  table.kernel_properties = [](DriverState&, const void*, KernelProperties* properties) {
    *properties = {};
    return Status::success;
  };
  table.occupancy = [](DriverState&, const void*, int, std::int64_t, int* blocks) {
    *blocks = 1;
    return Status::success;
  };
  table.last_error = [](DriverState& s) {
    static_cast<MachineState&>(s).detail.clear();
    return Status::success;
  };
  table.error_name = [](DriverState&, Status status) { return status_name(status); };
  table.error_string = [](DriverState&, Status status) { return status_meaning(status); };
  table.error_detail = [](DriverState& s) -> const char* {
    return static_cast<MachineState&>(s).detail.c_str();
  };
  table.range_push = [](DriverState&, const char*) {};
  table.range_pop = [](DriverState&) {};
}

}  // namespace fornax::cuda
