// Inputs of a step that launches on the host read where the caller has them: no copy to the arena.
#pragma once
#include <atomic>
#include <vector>

#include "runtime/device/row_run.h"

namespace fornax {

/// Inputs from this size on are worth it. Tests lower it.
inline std::atomic<std::int64_t> in_place_bytes{16 << 10};

/// An input whose upload is left out, and the operands that read it.
struct InputInPlace {
  Command upload;  ///< for a step whose caller has it at an address that no element may have
  struct Reader {
    kernels::ConstTensorView* operand;
    std::int64_t offset_bytes;  ///< in the input
  };
  std::vector<Reader> readers;

  /// Lets the readers read from `data`; false where they cannot.
  bool read_from(const void* data) const;
  /// Lets them read what was uploaded.
  void read_uploaded() const;
};

inline constexpr int kLeftOut = -1;  ///< Command::slot of an upload that is not to be done

/// Leaves uploads out where all that reads them can read elsewhere: launches alone, before anything
/// is written where the plan has the input. `operands` keeps what their arguments point to from now
/// on; it must live as long as they do.
std::vector<InputInPlace> take_inputs_in_place(
    std::vector<Stage>& stages, std::vector<std::vector<kernels::ConstTensorView>>& operands);

}  // namespace fornax
