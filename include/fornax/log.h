// What fornax tells while it works.
#pragma once
#include <fornax/export.h>

#include <functional>
#include <string_view>

namespace fornax {

enum class LogLevel { debug, info, warning, error, off };

FORNAX_API const char* name(LogLevel level) noexcept;  ///< "warning"

/// One line of the log; the texts are valid during the call only.
struct LogRecord {
  std::string_view category;  ///< "plan", "memory", "device", "storage", "data", "training", ...
  LogLevel level;
  std::string_view message;
};

/// Sends every enabled line to `sink` instead of standard error (or FORNAX_LOG_FILE). An empty sink
/// brings that back. Process-wide, may be called at any time from any thread; calls of the sink do
/// not overlap, and it must not log.
FORNAX_API void set_log_sink(std::function<void(const LogRecord&)> sink);

/// Sets what is enabled, in the words of FORNAX_LOG: a comma-separated list of a level for
/// everything, a category (means category=debug) or category=level. Process-wide.
/// Throws Error{invalid_argument} naming the word that is neither, with what there is.
FORNAX_API void set_log_levels(std::string_view levels);

}  // namespace fornax
