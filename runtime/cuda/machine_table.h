// The part of a driver table that a StreamMachine fills for any state that has one.
#pragma once
#include <cstring>

#include "runtime/cuda/stream_machine.h"

namespace fornax::cuda {

/// A driver without a card. Its memory and its executing differ, its streams do not.
struct MachineState : DriverState {
  MachineState(StreamMachine::Execute execute, Observer* observer)
      : machine(std::move(execute), observer) {}
  StreamMachine machine;
  std::string detail;  ///< of the last failure
};

const char* status_name(Status status) noexcept;
const char* status_meaning(Status status) noexcept;

/// Streams, events, copies, launches, capture and graphs of `table` go to the state's machine;
/// whatever touches memory or describes the device is left to the caller.
void fill_machine_entries(DriverTable& table);

}  // namespace fornax::cuda
