// Reading a table in two passes over the text: what the columns are, then their cells.
#include <fornax/error.h>
#include <fornax/table.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "runtime/data/csv_reader.h"
#include "runtime/support/input_file.h"

namespace fornax {

namespace {

constexpr std::size_t kMostAutomaticClasses = 20;

/// What the first pass learns of a column.
struct ColumnFacts {
  std::string name;
  bool numeric = true, integral = true, ignored = false;
  std::string first_text;  ///< the cell that made it text
  std::int64_t first_text_line = 0;
  std::set<float> values;  ///< at most one more than kMostAutomaticClasses
};

class TableReader {
 public:
  TableReader(std::string_view text, const std::string& path, const CsvOptions& options)
      : reader_(text, path, options.delimiter, options.comment), path_(path), options_(options) {}

  Table read() {
    find_header();
    find_target();
    examine();
    return fill();
  }

 private:
  using Cells = std::vector<std::string_view>;

  bool missing(std::string_view cell) const {
    return std::find(options_.missing.begin(), options_.missing.end(), cell) !=
           options_.missing.end();
  }

  void find_header() {
    Cells cells;
    if (!reader_.next(cells)) reader_.fail(1, 0, "the file has no rows");
    const bool plain = std::none_of(cells.begin(), cells.end(), [&](std::string_view cell) {
      float value;
      return missing(cell) || parse_number(cell, value) != Parsed::no_number;
    });
    header_ = options_.header == CsvOptions::Header::yes ||
              (options_.header == CsvOptions::Header::automatic && plain);
    facts_.resize(cells.size());
    for (std::size_t i = 0; i < cells.size(); ++i)
      facts_[i].name = header_ ? std::string(cells[i]) : "column" + std::to_string(i);
    for (const std::string& ignored : options_.ignore) facts_[index_of(ignored)].ignored = true;
  }

  std::size_t index_of(const std::string& name) const {
    std::string names;
    for (std::size_t i = 0; i < facts_.size(); ++i) {
      if (facts_[i].name == name) return i;
      if (i < 20) names += (i ? ", " : "") + facts_[i].name;
    }
    throw Error(ErrorCode::not_found, path_ + ": no column is called '" + name + "'; there are " +
                                          std::to_string(facts_.size()) + ": " + names);
  }

  void find_target() {
    const std::string& wanted = options_.target;
    if (wanted == "none") return;
    has_target_ = true;
    const auto count = static_cast<std::int64_t>(facts_.size());
    std::int64_t number = -1;
    const char* end = wanted.data() + wanted.size();
    const auto [stop, error] = std::from_chars(wanted.data(), end, number);
    if (wanted != "last" && (error != std::errc() || stop != end || wanted.empty())) {
      target_ = index_of(wanted);
      return;
    }
    if (number < -count || number >= count)
      throw Error(ErrorCode::invalid_argument, path_ + ": target column " + wanted + " of " +
                                                   std::to_string(count) + " columns");
    target_ = static_cast<std::size_t>(number < 0 ? number + count : number);
  }

  /// The next row of data, checked for its number of cells.
  bool next(Cells& cells) {
    if (!reader_.next(cells)) return false;
    if (cells.size() != facts_.size())
      reader_.fail(reader_.line(), 0,
                   std::to_string(cells.size()) + " cells; the first row has " +
                       std::to_string(facts_.size()) +
                       (cells.back().empty() ? " (a separator at the end makes a cell)" : ""));
    return true;
  }

  void restart() {
    Cells cells;
    reader_.rewind();
    if (header_) reader_.next(cells);
  }

  void examine_cell(std::size_t i, std::string_view cell) {
    ColumnFacts& facts = facts_[i];
    float value = 0;
    const Parsed parsed = parse_number(cell, value);
    if (parsed == Parsed::no_number && facts.numeric) {
      facts.numeric = false;
      facts.first_text = cell.substr(0, 64);
      facts.first_text_line = reader_.line();
    }
    if (parsed == Parsed::number) {
      facts.integral = facts.integral && value == std::floor(value) && std::abs(value) < 0x1p24f;
      if (facts.values.size() <= kMostAutomaticClasses) facts.values.insert(value);
    }
  }

  void examine() {
    Cells cells;
    restart();
    std::int64_t rows = 0;
    for (; next(cells); ++rows)
      for (std::size_t i = 0; i < cells.size(); ++i)
        if (!facts_[i].ignored && !missing(cells[i])) examine_cell(i, cells[i]);
    if (rows == 0) reader_.fail(reader_.line(), 0, "a header, but no rows");
  }

  bool target_is_class() const {
    const ColumnFacts& facts = facts_[target_];
    if (options_.target_kind == CsvOptions::Target::classes) return true;
    if (options_.target_kind == CsvOptions::Target::values) return false;
    return !facts.numeric || (facts.integral && facts.values.size() <= kMostAutomaticClasses);
  }

  float number(std::size_t i, std::string_view cell) const {
    float value = std::numeric_limits<float>::quiet_NaN();
    if (missing(cell)) return value;
    const Parsed parsed = parse_number(cell, value);
    if (parsed == Parsed::number) return value;
    reader_.fail(reader_.line(), i + 1,
                 "'" + std::string(cell.substr(0, 64)) + "' in column '" + facts_[i].name + "' " +
                     (parsed == Parsed::not_finite ? "is no finite f32" : "is no number"));
  }

  std::int32_t code(std::size_t i, std::string_view cell) {
    if (missing(cell)) return -1;
    auto& codes = codes_[i];
    const auto found = codes.find(cell);
    if (found != codes.end()) return found->second;
    const ColumnFacts& facts = facts_[i];
    if (static_cast<std::int64_t>(codes.size()) >= options_.category_limit)
      reader_.fail(
          reader_.line(), i + 1,
          "column '" + facts.name + "' has more than " + std::to_string(options_.category_limit) +
              " different texts (the first that is no number: '" + facts.first_text + "' in line " +
              std::to_string(facts.first_text_line) + "); ignore it or raise category_limit");
    const auto next_code = static_cast<std::int32_t>(codes.size());
    codes.emplace(cell, next_code);
    return next_code;
  }

  /// The class of a cell; integers are written in one way: 1, 01 and 1.0 are one class.
  std::int32_t class_code(std::size_t i, std::string_view cell) {
    if (!facts_[i].numeric) return code(i, cell);
    const float value = number(i, cell);
    if (value != std::floor(value) || std::abs(value) >= 0x1p24f)
      reader_.fail(reader_.line(), i + 1,
                   "class '" + std::string(cell.substr(0, 64)) + "' is no integer below 2^24");
    return code(i, std::to_string(static_cast<std::int64_t>(value)));
  }

  /// Renumbers codes in the order of texts, or of integers.
  void sort_categories(std::size_t i, Column& column, bool integers) {
    std::vector<std::pair<std::string, std::int32_t>> sorted(codes_[i].begin(), codes_[i].end());
    if (integers)
      std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
        return std::stoll(a.first) < std::stoll(b.first);
      });
    std::vector<std::int32_t> rank(sorted.size());
    for (std::size_t at = 0; at < sorted.size(); ++at) {
      rank[static_cast<std::size_t>(sorted[at].second)] = static_cast<std::int32_t>(at);
      column.categories.push_back(sorted[at].first);
    }
    for (std::int32_t& value : column.codes)
      if (value >= 0) value = rank[static_cast<std::size_t>(value)];
  }

  void fill_target(Column& target, std::string_view cell) {
    if (missing(cell))
      reader_.fail(reader_.line(), target_ + 1, "the target '" + target.name + "' is missing");
    if (target.numeric)
      target.numbers.push_back(number(target_, cell));
    else
      target.codes.push_back(class_code(target_, cell));
  }

  Table fill() {
    Table table;
    table.path = path_;
    table.has_target = has_target_;
    codes_.resize(facts_.size());
    std::vector<Column> columns(facts_.size());
    for (std::size_t i = 0; i < facts_.size(); ++i) {
      columns[i].name = facts_[i].name;
      columns[i].numeric = has_target_ && i == target_ ? !target_is_class() : facts_[i].numeric;
    }
    Cells cells;
    restart();
    while (next(cells)) {
      table.lines.push_back(reader_.line());
      for (std::size_t i = 0; i < cells.size(); ++i) {
        if (has_target_ && i == target_)
          fill_target(columns[i], cells[i]);
        else if (!facts_[i].ignored && columns[i].numeric)
          columns[i].numbers.push_back(number(i, cells[i]));
        else if (!facts_[i].ignored)
          columns[i].codes.push_back(code(i, cells[i]));
      }
    }
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const bool is_target = has_target_ && i == target_;
      if (!columns[i].numeric) sort_categories(i, columns[i], is_target && facts_[i].numeric);
      if (is_target)
        table.target = std::move(columns[i]);
      else if (!facts_[i].ignored)
        table.columns.push_back(std::move(columns[i]));
    }
    return table;
  }

  CsvReader reader_;
  const std::string& path_;
  const CsvOptions& options_;
  std::vector<ColumnFacts> facts_;
  std::vector<std::map<std::string, std::int32_t, std::less<>>> codes_;
  std::size_t target_ = 0;
  bool header_ = false, has_target_ = false;
};

}  // namespace

Table read_table(const std::string& path, const CsvOptions& options) {
  const std::string text = read_file(path, options.byte_limit);
  return TableReader(text, path, options).read();
}

}  // namespace fornax
