// The table of environment variables.
#include "runtime/support/environment.h"

#include <fornax/error.h>

#include <array>
#include <charconv>
#include <cstdlib>

namespace fornax {

namespace {

constexpr std::array kTable = {
    EnvironmentVariable{
        "FORNAX_DEVICE", "`cpu`, `cpu:THREADS`, `reference`, `reference:f64`, `cuda:INDEX`, `simt`",
        "the first CUDA device, else the CPU", "The device that `Device::automatic()` stands for."},
    EnvironmentVariable{"FORNAX_NUM_THREADS", "1 to 1024", "all processors of the process",
                        "Threads of the CPU backend. Results do not depend on it."},
    EnvironmentVariable{"FORNAX_ISA", "`avx2`, `avx3`, ..., as Highway names its targets",
                        "the best that the processor has",
                        "Widest vector instructions of the CPU kernels. Results do not depend on "
                        "it."},
    EnvironmentVariable{"FORNAX_LOG", "a list such as `info`, `plan`, `warning,plan=debug`",
                        "`warning`",
                        "What is logged: a level for everything, a category, or category=level. "
                        "A category alone means category=debug."},
    EnvironmentVariable{"FORNAX_LOG_FILE", "a path", "standard error",
                        "Where the log goes; lines are appended."},
    EnvironmentVariable{"FORNAX_MODULE_DIR", "a folder", "the folder of libfornax",
                        "Where the backend modules libfornax_cuda.so and libfornax_simt.so are."},
    EnvironmentVariable{"FORNAX_SIMT_ARCH", "`80`, `90`", "`90`",
                        "The GPU architecture that the simt machine plays."},
    EnvironmentVariable{"FORNAX_SLOW_TESTS", "`1`", "not set",
                        "Tests only: also run the exhaustive ones, which take minutes."},
    EnvironmentVariable{"FORNAX_DATA_DIR", "a folder", "`../shared/data` beside the sources",
                        "Tests and samples only: where the public data sets are."},
};

}  // namespace

std::span<const EnvironmentVariable> environment_table() { return kTable; }

std::optional<std::string> environment(std::string_view name) {
  for (const EnvironmentVariable& variable : kTable) {
    if (variable.name != name) continue;
    const char* text = std::getenv(std::string(name).c_str());
    if (text == nullptr || *text == '\0') return std::nullopt;
    return std::string(text);
  }
  throw Error(ErrorCode::internal,
              "environment: '" + std::string(name) + "' is not in the table of variables");
}

std::optional<std::int64_t> environment_integer(std::string_view name, std::int64_t low,
                                                std::int64_t high) {
  const auto text = environment(name);
  if (!text) return std::nullopt;
  std::int64_t value = 0;
  const char* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, value);
  if (error != std::errc() || stop != end || value < low || value > high)
    throw Error(ErrorCode::invalid_argument, "environment: " + std::string(name) + "='" +
                                                 text->substr(0, 64) + "'; it must be an integer " +
                                                 std::to_string(low) + " to " +
                                                 std::to_string(high));
  return value;
}

std::string environment_markdown() {
  std::string text =
      "# Environment variables\n\n"
      "Made from the table in `runtime/support/environment.cpp`; a test compares them.\n\n"
      "| variable | values | not set | meaning |\n| --- | --- | --- | --- |\n";
  for (const EnvironmentVariable& variable : kTable) {
    text += "| `" + std::string(variable.name) + "` | " + std::string(variable.values) + " | ";
    text += std::string(variable.fallback) + " | " + std::string(variable.meaning) + " |\n";
  }
  return text;
}

}  // namespace fornax
