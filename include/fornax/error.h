// The one exception type of fornax.
#pragma once
#include <fornax/export.h>

#include <stdexcept>
#include <string>

namespace fornax {

enum class ErrorCode {
  invalid_argument,  ///< a value outside its range, a wrong option
  shape,             ///< extents that do not fit each other
  dtype,             ///< an element type that the operation does not take
  not_found,         ///< a name that nothing has
  io,                ///< the system refused to read or write
  corrupt,           ///< a file that is not what it says
  out_of_memory,
  unsupported,  ///< this build or machine cannot do it
  device,       ///< a device failed; the first such error is kept and returned again
  internal,     ///< a defect of fornax
};

FORNAX_API const char* name(ErrorCode code) noexcept;

/// What every function of fornax throws. what() says what, where, the value, the limit and a hint.
class FORNAX_API Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace fornax
