// UTF-8, and JSON's strings and numbers as text.
#include <fornax/error.h>

#include <charconv>
#include <cmath>

#include "runtime/support/json.h"

namespace fornax {

namespace {

/// Bytes of the sequence that starts at `at`; 0 when it is not UTF-8.
std::size_t sequence_length(std::string_view text, std::size_t at) noexcept {
  const auto byte = [&](std::size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u;
  };
  const unsigned first = byte(0), second = byte(1);
  if (first < 0x80) return 1;
  const std::size_t length = first < 0xc2   ? 0u
                             : first < 0xe0 ? 2u
                             : first < 0xf0 ? 3u
                             : first < 0xf5 ? 4u
                                            : 0u;
  const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool surrogate = first == 0xed && second >= 0xa0;
  const bool beyond = first == 0xf4 && second >= 0x90;
  if (length == 0 || overlong || surrogate || beyond) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  return length;
}

}  // namespace

std::size_t find_invalid_utf8(std::string_view text) noexcept {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = sequence_length(text, at);
    if (length == 0) return at;
    at += length;
  }
  return std::string_view::npos;
}

std::string json_string(std::string_view text) {
  if (const std::size_t at = find_invalid_utf8(text); at != std::string_view::npos)
    throw Error(ErrorCode::invalid_argument,
                "json: byte " + std::to_string(at) + " of a string is not UTF-8");
  constexpr char kDigits[] = "0123456789abcdef";
  constexpr std::string_view kNames = "\"\\bfnrt", kValues = "\"\\\b\f\n\r\t";
  std::string quoted(1, '"');
  for (const char c : text) {
    if (const std::size_t index = kValues.find(c); index != std::string_view::npos) {
      quoted += '\\';
      quoted += kNames[index];
    } else if (static_cast<unsigned char>(c) < 0x20) {
      quoted += "\\u00";
      quoted += kDigits[c >> 4];
      quoted += kDigits[c & 15];
    } else {
      quoted += c;
    }
  }
  return quoted += '"';
}

std::string json_number(double value) {
  if (!std::isfinite(value))
    throw Error(ErrorCode::invalid_argument, std::string("json: ") +
                                                 (std::isnan(value) ? "NaN" : "infinity") +
                                                 " has no JSON number; write null or a string");
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return std::string(text, end);
}

}  // namespace fornax
