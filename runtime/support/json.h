// JSON (RFC 8259), strict and bounded: a pull reader for untrusted text, and what a writer needs.
#pragma once
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace fornax {

/// Reads one JSON text value by value; nothing but the keys of open objects is kept.
/// Refused beyond the grammar: text that is not UTF-8, a byte order mark, duplicate keys in one
/// object, lone surrogates, nesting deeper than `depth_limit`, numbers outside int64 or double.
/// Every method throws Error{corrupt}: "WHERE: byte OFFSET: what, and what was expected".
///
///   JsonReader reader(text, "model.safetensors header");
///   std::string key;
///   for (reader.begin_object(); reader.next_key(key);) sizes[key] = reader.integer();
///   reader.finish();
class JsonReader {
 public:
  enum class Kind { null, boolean, number, string, array, object };

  /// `text` must outlive the reader. `first_byte` is added to every offset that is reported.
  JsonReader(std::string_view text, std::string where, std::size_t first_byte = 0,
             std::size_t depth_limit = 32);

  /// The kind of the value that comes next.
  Kind peek();
  void begin_object();
  /// True: the next member's key, whose value must be read next. False: the object is closed.
  bool next_key(std::string& key);
  void begin_array();
  /// True: an element comes next. False: the array is closed.
  bool next_element();
  std::string string();
  /// Only digits after an optional minus: 1.0 and 1e3 are refused.
  std::int64_t integer();
  double number();
  bool boolean();
  void null();
  /// Reads over one value of any kind, checking it.
  void skip();
  /// Nothing but white space may be left.
  void finish();

  /// Offset of the next byte, counted from `first_byte`.
  std::size_t offset() const noexcept { return first_byte_ + at_; }
  [[noreturn]] void fail(const std::string& what) const;

 private:
  struct Level {
    bool object;
    bool empty = true;
    std::set<std::string, std::less<>> keys;
  };
  void skip_space() noexcept;
  bool take(char c) noexcept;
  void expect(char c, const char* what);
  void open(char c, bool object);
  bool next_member(char close);
  std::string_view number_text(bool& integral);
  void take_digits();
  void take_word(std::string_view word);
  void append_escape(std::string& text);
  std::uint32_t hex4();
  void skip_scalar(Kind kind);

  std::string_view text_;
  std::string where_;
  std::size_t first_byte_, depth_limit_, at_ = 0;
  std::vector<Level> levels_;
};

/// The offset of the first byte that is not UTF-8 (RFC 3629: no surrogates, no overlong forms), or
/// npos.
std::size_t find_invalid_utf8(std::string_view text) noexcept;

/// `text` in quotes with escapes. Throws Error{invalid_argument} when it is not UTF-8.
std::string json_string(std::string_view text);

/// The shortest text that reads back to the same double. Throws Error{invalid_argument} for NaN and
/// infinities, which JSON has not.
std::string json_number(double value);

}  // namespace fornax
