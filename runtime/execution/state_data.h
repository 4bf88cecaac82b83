// What a State holds.
#pragma once
#include <fornax/state.h>

#include <mutex>

#include "runtime/device/backend.h"

namespace fornax {

struct StateValue {
  StateEntry::Role role;
  DType dtype;  ///< as stored on the backend
  Shape shape;
  DeviceMemory memory;
};

struct ProgramData;

struct StateData {
  Device device;
  std::shared_ptr<Backend> backend;
  std::map<std::string, StateValue, std::less<>> values;
  std::map<std::string, double, std::less<>> scalars;
  std::map<std::string, std::string, std::less<>> notes;
  std::int64_t step = 0;
  std::uint64_t seed = 0;

  /// Guards what follows, and the ends of steps that write this State.
  std::mutex steps_mutex;
  std::vector<ProgramData*> writers;  ///< Programs that write this State
  std::string unreported;             ///< a bad index of a Program that is gone
};

/// Waits for the submitted steps that write the State. Throws Error{invalid_argument} for a bad
/// index that nobody was told of.
void settle(StateData& state);

/// Initial elements of one parameter or state, drawn in f32 on the host.
Tensor initial_value(const Initializer& initializer, DType dtype, const Shape& shape,
                     std::string_view name, std::uint64_t seed);

}  // namespace fornax
