// The header of a safetensors file: reading it strictly, and laying out a new one.
#pragma once
#include <fornax/dtype.h>
#include <fornax/shape.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/support/input_file.h"

namespace fornax {

inline constexpr std::int64_t kSafetensorsHeaderLimit = 100'000'000;

struct SafetensorsEntry {
  std::string name;
  DType dtype = DType::none;
  Shape shape;
  std::int64_t begin = 0, end = 0;  ///< bytes, counted from the start of the data
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  ///< by begin: together they cover the data
  std::map<std::string, std::string> metadata;
  std::int64_t data_offset = 0;  ///< of the data in the file
};

/// The bytes after the length, as many as it says. Throws Error{corrupt} when length and file size
/// contradict each other, before anything is allocated.
std::string read_safetensors_header_text(const InputFile& file);

/// Throws Error{corrupt} and Error{unsupported} as load_safetensors says.
SafetensorsHeader parse_safetensors_header(std::string_view text, const InputFile& file);

/// Sorts by descending element size, then name, and sets begin and end.
void lay_out(std::vector<SafetensorsEntry>& entries);

/// Length and padded text; metadata are written first and in the order given.
/// Throws Error{invalid_argument} as save_safetensors says.
std::string format_safetensors_header(
    const std::vector<SafetensorsEntry>& entries,
    const std::vector<std::pair<std::string, std::string>>& metadata, const std::string& path);

}  // namespace fornax
