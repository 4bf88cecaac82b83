// Options of the simt machine and the environment that sets them.
#include <cstdlib>

#include "fornax/error.h"
#include "machine.h"

namespace fornax::simt {

namespace {

long read_number(const char* name, long otherwise, long largest) {
  const char* text = std::getenv(name);
  if (!text || !*text) return otherwise;
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (*end || value < 0 || value > largest)
    throw Error(ErrorCode::invalid_argument, std::string(name) + " is '" + text +
                                                 "'; a number from 0 to " +
                                                 std::to_string(largest) + " is expected");
  return value;
}

Architecture read_architecture() {
  const char* text = std::getenv("FORNAX_SIMT_ARCH");
  const std::string value = text ? text : "";
  if (value.empty() || value == "sm_90") return Architecture::sm_90;
  if (value == "sm_80") return Architecture::sm_80;
  throw Error(ErrorCode::invalid_argument,
              "FORNAX_SIMT_ARCH is '" + value + "'; sm_80 or sm_90 is expected");
}

Options read_options() {
  return {static_cast<std::uint32_t>(read_number("FORNAX_SIMT_SEED", 0, 0x7fffffff)),
          static_cast<int>(read_number("FORNAX_SIMT_THREADS", 1, 256)), read_architecture()};
}

}  // namespace

Options& options() {
  static Options current = read_options();
  return current;
}

}  // namespace fornax::simt
