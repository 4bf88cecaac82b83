// Every environment variable that fornax reads: one table, which is also its documentation.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace fornax {

struct EnvironmentVariable {
  std::string_view name;      ///< "FORNAX_DEVICE"
  std::string_view values;    ///< what it may be set to
  std::string_view fallback;  ///< what holds when it is not set
  std::string_view meaning;
};

std::span<const EnvironmentVariable> environment_table();

/// The variable's text; empty when it is not set or set to nothing.
/// Throws Error{internal} when the name is not in the table.
std::optional<std::string> environment(std::string_view name);

/// The variable as an integer in [low, high].
/// Throws Error{invalid_argument} naming variable, value and range for any other text.
std::optional<std::int64_t> environment_integer(std::string_view name, std::int64_t low,
                                                std::int64_t high);

/// The text of docs/environment.md.
std::string environment_markdown();

}  // namespace fornax
