// Errors of system calls as fornax::Error{io}.
#pragma once
#include <fornax/error.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace fornax {

/// Throws Error{io}: "PATH: WHAT: No space left on device (errno 28)".
[[noreturn]] inline void throw_io(const std::string& what, const std::string& path,
                                  int error = errno) {
  throw Error(ErrorCode::io, path + ": " + what + ": " + std::generic_category().message(error) +
                                 " (errno " + std::to_string(error) + ")");
}

}  // namespace fornax
