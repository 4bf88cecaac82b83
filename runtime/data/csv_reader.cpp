// CSV text (RFC 4180).
#include "runtime/data/csv_reader.h"

#include <fornax/error.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "runtime/support/json.h"

namespace fornax {

namespace {
constexpr std::size_t kColumnLimit = 100'000;
bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }
}  // namespace

CsvReader::CsvReader(std::string_view text, std::string path, char delimiter, char comment)
    : text_(text), path_(std::move(path)), delimiter_(delimiter), comment_(comment) {
  if (text_.starts_with("\xef\xbb\xbf")) start_ = at_ = 3;
  const std::size_t bad = std::min(find_invalid_utf8(text_), text_.find('\0'));
  if (bad != std::string_view::npos)
    fail(1 + std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(bad), '\n'), 0,
         "byte " + std::to_string(bad) + " is " +
             (text_[bad] == '\0' ? "NUL" : "not UTF-8; convert the file first"));
  if (delimiter_ == 0) delimiter_ = find_delimiter();
}

void CsvReader::fail(std::int64_t line, std::size_t column, const std::string& what) const {
  throw Error(ErrorCode::corrupt, path_ + ':' + std::to_string(line) + ':' +
                                      (column ? std::to_string(column) + ": " : " ") + what);
}

bool CsvReader::at_line_end() const noexcept {
  return at_ >= text_.size() || text_[at_] == '\n' || text_[at_] == '\r';
}

void CsvReader::take_line_end() noexcept {
  if (at_ >= text_.size()) return;
  const bool pair = text_[at_] == '\r' && at_ + 1 < text_.size() && text_[at_ + 1] == '\n';
  at_ += pair ? 2 : 1;
  ++line_;
}

bool CsvReader::skip_idle_lines() noexcept {
  while (at_ < text_.size()) {
    if (comment_ != 0 && text_[at_] == comment_)
      while (!at_line_end()) ++at_;
    else if (!at_line_end())
      return true;
    take_line_end();
  }
  return false;
}

char CsvReader::find_delimiter() const noexcept {
  CsvReader copy = *this;
  if (!copy.skip_idle_lines()) return ',';
  std::size_t commas = 0, semicolons = 0, tabs = 0;
  bool quoted = false;
  for (; copy.at_ < text_.size() && (quoted || !copy.at_line_end()); ++copy.at_) {
    const char c = text_[copy.at_];
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    commas += c == ',', semicolons += c == ';', tabs += c == '\t';
  }
  if (commas >= semicolons && commas >= tabs) return ',';
  return semicolons >= tabs ? ';' : '\t';
}

std::string_view CsvReader::quoted_cell(std::size_t column) {
  const std::int64_t opened = line_;
  const std::size_t start = ++at_;
  bool doubled = false;
  for (;; ++at_) {
    if (at_ >= text_.size()) fail(opened, column, "a quote is not closed");
    if (text_[at_] == '\n') ++line_;
    if (text_[at_] != '"') continue;
    if (at_ + 1 >= text_.size() || text_[at_ + 1] != '"') break;
    doubled = true;
    ++at_;
  }
  const std::string_view raw = text_.substr(start, at_ - start);
  ++at_;
  while (at_ < text_.size() && is_blank(text_[at_]) && text_[at_] != delimiter_) ++at_;
  if (!at_line_end() && text_[at_] != delimiter_)
    fail(line_, column, "text after a closing quote; quotes inside a quoted cell are doubled");
  if (!doubled) return raw;
  if (unescaped_count_ == unescaped_.size()) unescaped_.emplace_back();
  std::string& cell = unescaped_[unescaped_count_++];
  cell.clear();
  for (std::size_t i = 0; i < raw.size(); ++i) {
    cell += raw[i];
    if (raw[i] == '"') ++i;
  }
  return cell;
}

std::string_view CsvReader::plain_cell(std::size_t column) {
  const std::size_t start = at_;
  for (; !at_line_end() && text_[at_] != delimiter_; ++at_)
    if (text_[at_] == '"')
      fail(line_, column, "a quote inside a cell that does not begin with one");
  std::string_view cell = text_.substr(start, at_ - start);
  while (!cell.empty() && is_blank(cell.back())) cell.remove_suffix(1);
  return cell;
}

bool CsvReader::next(std::vector<std::string_view>& cells) {
  cells.clear();
  unescaped_count_ = 0;
  // Room for every cell of a row, so that the texts that views point to do not move.
  if (unescaped_.capacity() == 0) unescaped_.reserve(kColumnLimit);
  if (!skip_idle_lines()) return false;
  row_line_ = line_;
  for (;;) {
    const std::size_t column = cells.size() + 1;
    if (column > kColumnLimit)
      fail(line_, column, "more columns than the limit of " + std::to_string(kColumnLimit));
    while (at_ < text_.size() && is_blank(text_[at_]) && text_[at_] != delimiter_) ++at_;
    const bool quoted = at_ < text_.size() && text_[at_] == '"';
    cells.push_back(quoted ? quoted_cell(column) : plain_cell(column));
    if (at_line_end()) break;
    ++at_;
  }
  take_line_end();
  return true;
}

Parsed parse_number(std::string_view text, float& value) noexcept {
  if (text.starts_with('+') && text.size() > 1 && text[1] != '-') text.remove_prefix(1);
  double wide = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, wide);
  if (text.empty() || stop != end || error == std::errc::invalid_argument) return Parsed::no_number;
  if (error == std::errc::result_out_of_range) {
    // Too small or too large for a double: the exponent's sign tells which.
    const std::size_t exponent = text.find_first_of("eE");
    const bool small =
        exponent != std::string_view::npos ? text[exponent + 1] == '-' : text.find('.') <= 2;
    if (!small) return Parsed::not_finite;
    wide = text.starts_with('-') ? -0.0 : 0.0;
  }
  if (!(std::abs(wide) <= static_cast<double>(std::numeric_limits<float>::max())))
    return Parsed::not_finite;
  value = static_cast<float>(wide);
  return Parsed::number;
}

}  // namespace fornax
