// The one log of the library. Categories are listed in log.cpp; spdlog stays inside it.
#pragma once
#include <fornax/log.h>

#include <string_view>

namespace fornax {

/// Whether a line would go anywhere: ask before building a costly message. Cheap and thread-safe.
bool log_enabled(std::string_view category, LogLevel level) noexcept;

/// Writes one line when it is enabled. Never throws: a log that cannot be written is dropped.
void log(std::string_view category, LogLevel level, std::string_view message) noexcept;

}  // namespace fornax
