// Rows of cells from CSV text.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fornax {

/// Splits text into rows. Throws Error{corrupt} "PATH:LINE:COLUMN: ...", COLUMN counting cells
/// from 1.
class CsvReader {
 public:
  /// `delimiter` 0: chosen from the first row. `text` must outlive the reader.
  CsvReader(std::string_view text, std::string path, char delimiter, char comment);

  /// The next row that is not empty and no comment; false at the end. The cells are valid until the
  /// next call.
  bool next(std::vector<std::string_view>& cells);
  std::int64_t line() const noexcept { return row_line_; }  ///< where the last row began
  void rewind() noexcept { at_ = start_, line_ = 1; }
  [[noreturn]] void fail(std::int64_t line, std::size_t column, const std::string& what) const;

 private:
  bool at_line_end() const noexcept;
  void take_line_end() noexcept;
  bool skip_idle_lines() noexcept;
  char find_delimiter() const noexcept;
  std::string_view quoted_cell(std::size_t column);
  std::string_view plain_cell(std::size_t column);

  std::string_view text_;
  std::string path_;
  char delimiter_, comment_;
  std::size_t start_ = 0, at_ = 0;
  std::int64_t line_ = 1, row_line_ = 1;
  std::vector<std::string> unescaped_;  // cells of this row whose quotes were doubled
  std::size_t unescaped_count_ = 0;
};

enum class Parsed { number, not_finite, no_number };
/// A decimal number with optional sign, fraction and exponent, rounded to double and then to f32;
/// independent of the locale. not_finite: infinities, NaN and what exceeds f32.
Parsed parse_number(std::string_view text, float& value) noexcept;

}  // namespace fornax
