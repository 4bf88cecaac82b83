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
                        "Threads of the CPU backend, and up to 8 that stage what a GPU step takes. "
                        "Results do not depend on it."},
    EnvironmentVariable{"FORNAX_ISA", "`avx2`, `avx512`, `neon`, `portable`",
                        "the best that the processor has",
                        "Vector instructions of the CPU kernels. Results do not depend on them."},
    EnvironmentVariable{"FORNAX_LOG", "a list such as `info`, `plan`, `warning,plan=debug`",
                        "`warning`",
                        "What is logged: a level for everything, a category, or category=level. "
                        "A category alone means category=debug."},
    EnvironmentVariable{"FORNAX_LOG_FILE", "a path", "standard error",
                        "Where the log goes; lines are appended."},
    EnvironmentVariable{"FORNAX_MODULE_DIR", "a folder", "the folder of libfornax",
                        "Where the backend modules libfornax_cuda.so and libfornax_simt.so are."},
    EnvironmentVariable{"FORNAX_CUBLASLT", "a path", "libcublasLt.so.13, else .12, of the system",
                        "The library whose products `KernelChoice::library` asks first."},
    EnvironmentVariable{"FORNAX_MEMORY_LIMIT", "a number of bytes, 1 or more", "no limit",
                        "The most device memory that a CUDA or simt backend reserves."},
    EnvironmentVariable{"FORNAX_SIMT_ARCH", "`sm_80`, `sm_90`", "`sm_90`",
                        "The GPU architecture that the simt machine plays."},
    EnvironmentVariable{"FORNAX_SIMT_SEED", "0 to 2147483647", "0",
                        "Order in which the simt machine runs threads and streams. Results do not "
                        "depend on it."},
    EnvironmentVariable{"FORNAX_SIMT_THREADS", "1 to 256", "1",
                        "Threads over which the simt machine spreads the blocks of a launch."},
    EnvironmentVariable{"FORNAX_SLOW_TESTS", "`1`", "not set",
                        "Tests only: also run the exhaustive ones, which take minutes, and draw "
                        "fifty times as many random graphs."},
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
