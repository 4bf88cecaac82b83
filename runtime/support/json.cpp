// The JSON reader.
#include "runtime/support/json.h"

#include <fornax/error.h>

#include <charconv>

namespace fornax {

JsonReader::JsonReader(std::string_view text, std::string where, std::size_t first_byte,
                       std::size_t depth_limit)
    : text_(text), where_(std::move(where)), first_byte_(first_byte), depth_limit_(depth_limit) {
  at_ = find_invalid_utf8(text);
  if (at_ != std::string_view::npos) fail("not UTF-8");
  at_ = 0;
  if (text.starts_with("\xef\xbb\xbf")) fail("a byte order mark; JSON has none");
}

void JsonReader::fail(const std::string& what) const {
  throw Error(ErrorCode::corrupt, where_ + ": byte " + std::to_string(offset()) + ": " + what);
}

void JsonReader::skip_space() noexcept {
  while (at_ < text_.size() &&
         (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
    ++at_;
}

bool JsonReader::take(char c) noexcept {
  if (at_ >= text_.size() || text_[at_] != c) return false;
  ++at_;
  return true;
}

void JsonReader::expect(char c, const char* what) {
  skip_space();
  if (!take(c)) fail(std::string("expected ") + what);
}

JsonReader::Kind JsonReader::peek() {
  skip_space();
  if (at_ >= text_.size()) fail("the text ends where a value is expected");
  switch (text_[at_]) {
    case '{': return Kind::object;
    case '[': return Kind::array;
    case '"': return Kind::string;
    case 't':
    case 'f': return Kind::boolean;
    case 'n': return Kind::null;
    default: break;
  }
  if (text_[at_] != '-' && (text_[at_] < '0' || text_[at_] > '9')) fail("expected a value");
  return Kind::number;
}

void JsonReader::open(char c, bool object) {
  expect(c, object ? "an object, '{'" : "an array, '['");
  if (levels_.size() >= depth_limit_)
    fail("nesting deeper than the limit of " + std::to_string(depth_limit_));
  levels_.push_back({object, true, {}});
}

bool JsonReader::next_member(char close) {
  skip_space();
  Level& level = levels_.back();
  if (take(close)) {
    levels_.pop_back();
    return false;
  }
  if (!level.empty) expect(',', close == '}' ? "',' or '}'" : "',' or ']'");
  level.empty = false;
  return true;
}

void JsonReader::begin_object() { open('{', true); }
void JsonReader::begin_array() { open('[', false); }

bool JsonReader::next_key(std::string& key) {
  if (!next_member('}')) return false;
  skip_space();
  const std::size_t start = at_;
  if (at_ >= text_.size() || text_[at_] != '"') fail("expected a key in quotes");
  key = string();
  if (!levels_.back().keys.insert(key).second) {
    at_ = start;
    fail("key " + json_string(key.substr(0, 64)) + " stands twice in one object");
  }
  expect(':', "':' after a key");
  return true;
}

bool JsonReader::next_element() {
  if (!next_member(']')) return false;
  skip_space();
  if (at_ < text_.size() && text_[at_] == ']') fail("a comma before ']'");
  return true;
}

std::uint32_t JsonReader::hex4() {
  std::uint32_t value = 0;
  if (text_.size() - at_ < 4) fail("\\u needs four hex digits");
  const char* start = text_.data() + at_;
  const auto [stop, error] = std::from_chars(start, start + 4, value, 16);
  if (error != std::errc() || stop != start + 4) fail("\\u needs four hex digits");
  at_ += 4;
  return value;
}

namespace {
void append_utf8(std::string& text, std::uint32_t code) {
  const auto tail = [&](int shift) { text += static_cast<char>(0x80 | (code >> shift & 0x3f)); };
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xc0 | code >> 6);
    tail(0);
  } else if (code < 0x10000) {
    text += static_cast<char>(0xe0 | code >> 12);
    tail(6), tail(0);
  } else {
    text += static_cast<char>(0xf0 | code >> 18);
    tail(12), tail(6), tail(0);
  }
}
}  // namespace

void JsonReader::append_escape(std::string& text) {
  if (at_ >= text_.size()) fail("the text ends inside a string");
  constexpr std::string_view kNames = "\"\\/bfnrt", kValues = "\"\\/\b\f\n\r\t";
  const char c = text_[at_++];
  if (const std::size_t index = kNames.find(c); index != std::string_view::npos) {
    text += kValues[index];
    return;
  }
  if (c != 'u') {
    --at_;
    fail("an escape that JSON has not");
  }
  std::uint32_t code = hex4();
  if (code >= 0xdc00 && code < 0xe000) fail("a lone surrogate");
  if (code >= 0xd800 && code < 0xdc00) {
    if (!take('\\') || !take('u')) fail("a lone surrogate");
    const std::uint32_t low = hex4();
    if (low < 0xdc00 || low >= 0xe000) fail("a lone surrogate");
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  append_utf8(text, code);
}

std::string JsonReader::string() {
  expect('"', "a string");
  std::string text;
  for (;;) {
    const std::size_t start = at_;
    while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' &&
           static_cast<unsigned char>(text_[at_]) >= 0x20)
      ++at_;
    text.append(text_, start, at_ - start);
    if (at_ >= text_.size()) fail("the text ends inside a string");
    if (take('"')) return text;
    if (!take('\\')) fail("a control character inside a string; write it as an escape");
    append_escape(text);
  }
}

void JsonReader::take_digits() {
  const std::size_t start = at_;
  while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
  if (at_ == start) fail("expected a digit");
}

std::string_view JsonReader::number_text(bool& integral) {
  skip_space();
  const std::size_t start = at_;
  take('-');
  if (!take('0')) take_digits();
  if (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') fail("a leading zero");
  integral = true;
  if (take('.')) {
    integral = false;
    take_digits();
  }
  if (take('e') || take('E')) {
    integral = false;
    if (!take('+')) take('-');
    take_digits();
  }
  return text_.substr(start, at_ - start);
}

std::int64_t JsonReader::integer() {
  skip_space();
  const std::size_t start = at_;
  bool integral = false;
  const std::string_view text = number_text(integral);
  std::int64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (integral && error == std::errc() && stop == text.data() + text.size()) return value;
  at_ = start;
  fail("'" + std::string(text.substr(0, 32)) + "' is not an integer of 64 bits");
}

double JsonReader::number() {
  skip_space();
  const std::size_t start = at_;
  bool integral = false;
  const std::string_view text = number_text(integral);
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc()) return value;
  at_ = start;
  fail("'" + std::string(text.substr(0, 32)) + "' is outside the range of a double");
}

void JsonReader::take_word(std::string_view word) {
  if (text_.substr(at_, word.size()) != word) fail("expected '" + std::string(word) + "'");
  at_ += word.size();
}

bool JsonReader::boolean() {
  skip_space();
  const bool value = at_ < text_.size() && text_[at_] == 't';
  take_word(value ? "true" : "false");
  return value;
}

void JsonReader::null() {
  skip_space();
  take_word("null");
}

void JsonReader::skip_scalar(Kind kind) {
  switch (kind) {
    case Kind::null: return null();
    case Kind::boolean: boolean(); return;
    case Kind::number: number(); return;
    case Kind::string: string(); return;
    case Kind::array: return begin_array();
    case Kind::object: return begin_object();
  }
}

void JsonReader::skip() {
  // A loop over open levels, so that nesting costs no stack.
  const std::size_t outside = levels_.size();
  std::string key;
  skip_scalar(peek());
  while (levels_.size() > outside) {
    const bool more = levels_.back().object ? next_key(key) : next_element();
    if (more) skip_scalar(peek());
  }
}

void JsonReader::finish() {
  skip_space();
  if (at_ < text_.size()) fail("text after the value");
}

}  // namespace fornax
