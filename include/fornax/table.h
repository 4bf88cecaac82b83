// Tables of numbers and texts: CSV files, and the way from a table to a dataset.
#pragma once
#include <fornax/data.h>
#include <fornax/export.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace fornax {

struct CsvOptions {
  enum class Header { automatic, yes, no };
  enum class Target { automatic, classes, values };
  /// Column of the target: its name, its number from 0 (negative: from the end), "last" or "none".
  std::string target = "last";
  /// automatic: texts, and integers of at most 20 different values, are classes.
  Target target_kind = Target::automatic;
  /// automatic: the first row is a header when no cell of it is a number or missing.
  Header header = Header::automatic;
  char delimiter = 0;  ///< 0: the most frequent of , ; and tab in the first row
  char comment = '#';  ///< a line that begins with it is left out; 0: none
  std::vector<std::string> missing = {"", "?", "NA", "N/A", "NaN", "nan", "null"};
  std::vector<std::string> ignore = {};  ///< names of columns to leave out
  std::int64_t category_limit = 1000;    ///< different texts in one column
  std::int64_t byte_limit = std::int64_t{1} << 32;
};

/// One column: numbers (NaN where missing), or codes of sorted categories (-1 where missing).
struct Column {
  std::string name;
  std::vector<float> numbers;
  std::vector<std::int32_t> codes;
  std::vector<std::string> categories;
  bool numeric = true;
};

struct Table {
  std::string path;
  std::vector<Column> columns;  ///< without the target
  Column target;                ///< classes when not numeric
  bool has_target = false;
  std::vector<std::int64_t> lines;  ///< of the file, for each row
  std::int64_t rows() const noexcept { return static_cast<std::int64_t>(lines.size()); }
};

/// Reads a CSV file (RFC 4180 quotes; LF, CRLF or CR; UTF-8, with or without byte order mark).
/// A column is numeric unless some cell that is not missing is no number; numbers are parsed the
/// same under every locale. Needs memory for the file and the table.
/// Throws Error{io}, and Error{corrupt} or Error{invalid_argument}: "FILE:LINE:COLUMN: what, value,
/// hint".
FORNAX_API Table read_table(const std::string& path, const CsvOptions& options = {});

struct TableOptions {
  Impute::Statistic impute = Impute::Statistic::mean;
  bool missing_indicators = false;  ///< a 0/1 feature for each column with missing numbers
  bool standardize = true;          ///< numbers; one-hot features and indicators stay 0 and 1
};

/// From tables to datasets with everything learnt from training rows only: categories, classes,
/// imputed values, means and deviations. Features: numeric columns, then indicators, then one
/// feature for each category that the training rows have; a category that they lack, or a missing
/// one, is all zeros.
class FORNAX_API TablePreprocessor {
 public:
  explicit TablePreprocessor(const TableOptions& options = {}) : options_(options) {}
  /// Throws Error{invalid_argument} when there are no rows.
  void fit(const Table& table, std::span<const std::int64_t> rows);
  void fit(const Table& table);
  /// Throws Error{invalid_argument} when columns differ from the fitted table's, or a row's class
  /// was not among the training rows' (naming the line).
  Dataset apply(const Table& table, std::span<const std::int64_t> rows) const;
  Dataset apply(const Table& table) const;

 private:
  struct Feature {
    std::string column;
    std::vector<std::string> categories;
    double imputed = 0, mean = 0, deviation = 1;
    bool numeric = true, indicator = false;
  };
  void fit_numbers(Feature& feature, const Column& column, std::span<const std::int64_t> rows);
  static void put_number(const Feature& feature, float value, float* out, float* indicator);
  static void put_categories(const Feature& feature, const Column& column,
                             std::span<const std::int64_t> rows, std::span<float> out,
                             std::size_t width);
  void set_targets(Dataset& dataset, const Table& table, std::span<const std::int64_t> rows) const;
  std::vector<std::string> feature_names() const;

  TableOptions options_;
  std::vector<Feature> features_;
  std::vector<std::string> classes_;
  bool fitted_ = false, has_target_ = false, class_target_ = false;
};

/// read_table, then one-hot features for texts; missing numbers stay NaN, for Impute. With
/// `refuse_missing` a missing number is an Error{invalid_argument} that names its line.
FORNAX_API Dataset read_csv(const std::string& path, const CsvOptions& options = {},
                            bool refuse_missing = true);

}  // namespace fornax
