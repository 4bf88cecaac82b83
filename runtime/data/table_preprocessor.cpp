// From tables to datasets, with constants from training rows.
#include <fornax/error.h>
#include <fornax/table.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

namespace fornax {

namespace {

std::vector<std::int64_t> all_rows(const Table& table) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(table.rows()));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  return rows;
}

[[noreturn]] void refuse(const Table& table, const std::string& what) {
  throw Error(ErrorCode::invalid_argument, table.path + ": " + what);
}

void check_rows(const Table& table, std::span<const std::int64_t> rows) {
  for (const std::int64_t row : rows)
    if (row < 0 || row >= table.rows())
      refuse(table, "row " + std::to_string(row) + " of " + std::to_string(table.rows()));
}

/// The categories that `rows` have, sorted as in the column.
std::vector<std::string> categories_of(const Column& column, std::span<const std::int64_t> rows) {
  std::set<std::int32_t> codes;
  for (const std::int64_t row : rows) codes.insert(column.codes[static_cast<std::size_t>(row)]);
  std::vector<std::string> categories;
  for (const std::int32_t code : codes)
    if (code >= 0) categories.push_back(column.categories[static_cast<std::size_t>(code)]);
  return categories;
}

/// For each code of the column its place in `categories`, or -1.
std::vector<std::int32_t> places_of(const Column& column,
                                    const std::vector<std::string>& categories) {
  std::vector<std::int32_t> places;
  for (const std::string& category : column.categories) {
    const auto found = std::find(categories.begin(), categories.end(), category);
    places.push_back(
        found == categories.end() ? -1 : static_cast<std::int32_t>(found - categories.begin()));
  }
  return places;
}

}  // namespace

void TablePreprocessor::fit_numbers(Feature& feature, const Column& column,
                                    std::span<const std::int64_t> rows) {
  std::vector<float> present;
  for (const std::int64_t row : rows) {
    const float value = column.numbers[static_cast<std::size_t>(row)];
    if (!std::isnan(value)) present.push_back(value);
  }
  feature.indicator = options_.missing_indicators && present.size() < rows.size();
  feature.imputed = Impute::statistic_of(present, options_.impute);
  if (!options_.standardize) return;
  double sum = 0, squares = 0;
  const auto at = [&](std::int64_t row) {
    const float value = column.numbers[static_cast<std::size_t>(row)];
    return std::isnan(value) ? feature.imputed : static_cast<double>(value);
  };
  for (const std::int64_t row : rows) sum += at(row);
  feature.mean = sum / static_cast<double>(rows.size());
  for (const std::int64_t row : rows)
    squares += (at(row) - feature.mean) * (at(row) - feature.mean);
  const double deviation = std::sqrt(squares / static_cast<double>(rows.size()));
  feature.deviation = deviation == 0 ? 1 : deviation;
}

void TablePreprocessor::put_number(const Feature& feature, float value, float* out,
                                   float* indicator) {
  const bool absent = std::isnan(value);
  const double present = absent ? feature.imputed : static_cast<double>(value);
  *out = static_cast<float>((present - feature.mean) / feature.deviation);
  if (feature.indicator) *indicator = absent ? 1.f : 0.f;
}

void TablePreprocessor::put_categories(const Feature& feature, const Column& column,
                                       std::span<const std::int64_t> rows, std::span<float> out,
                                       std::size_t width) {
  const auto places = places_of(column, feature.categories);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::int32_t code = column.codes[static_cast<std::size_t>(rows[i])];
    const std::int32_t place = code < 0 ? -1 : places[static_cast<std::size_t>(code)];
    if (place >= 0) out[i * width + static_cast<std::size_t>(place)] = 1;
  }
}

void TablePreprocessor::fit(const Table& table, std::span<const std::int64_t> rows) {
  if (rows.empty()) refuse(table, "no rows to fit a preprocessor on");
  check_rows(table, rows);
  features_.clear();
  for (const Column& column : table.columns) {
    Feature feature;
    feature.column = column.name;
    feature.numeric = column.numeric;
    if (column.numeric)
      fit_numbers(feature, column, rows);
    else
      feature.categories = categories_of(column, rows);
    features_.push_back(std::move(feature));
  }
  has_target_ = table.has_target;
  class_target_ = table.has_target && !table.target.numeric;
  classes_ = class_target_ ? categories_of(table.target, rows) : std::vector<std::string>();
  fitted_ = true;
}

void TablePreprocessor::fit(const Table& table) { fit(table, all_rows(table)); }

std::vector<std::string> TablePreprocessor::feature_names() const {
  std::vector<std::string> names;
  for (const Feature& feature : features_)
    if (feature.numeric) names.push_back(feature.column);
  for (const Feature& feature : features_)
    if (feature.indicator) names.push_back(feature.column + " missing");
  for (const Feature& feature : features_)
    for (const std::string& category : feature.categories)
      names.push_back(feature.column + '=' + category);
  return names;
}

void TablePreprocessor::set_targets(Dataset& dataset, const Table& table,
                                    std::span<const std::int64_t> rows) const {
  const auto n = static_cast<std::int64_t>(rows.size());
  dataset.targets = Tensor(class_target_ ? DType::i32 : DType::f32, {n});
  dataset.class_names = classes_;
  const auto places = places_of(table.target, classes_);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto row = static_cast<std::size_t>(rows[i]);
    if (!class_target_) {
      dataset.targets.as<float>()[i] = table.target.numbers[row];
      continue;
    }
    const auto code = static_cast<std::size_t>(table.target.codes[row]);
    if (places[code] < 0)
      refuse(table, "line " + std::to_string(table.lines[row]) + ": class '" +
                        table.target.categories[code] + "' was not among the training rows");
    dataset.targets.as<std::int32_t>()[i] = places[code];
  }
}

Dataset TablePreprocessor::apply(const Table& table, std::span<const std::int64_t> rows) const {
  if (!fitted_) refuse(table, "apply() before fit() of the preprocessor");
  check_rows(table, rows);
  if (table.columns.size() != features_.size())
    refuse(table, std::to_string(table.columns.size()) + " columns; fitted on " +
                      std::to_string(features_.size()));
  Dataset dataset;
  dataset.feature_names = feature_names();
  const std::size_t width = dataset.feature_names.size();
  dataset.features = Tensor(
      DType::f32, {static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(width)});
  const auto x = dataset.features.as<float>();
  std::size_t number = 0;
  auto indicator = static_cast<std::size_t>(std::count_if(
      features_.begin(), features_.end(), [](const Feature& feature) { return feature.numeric; }));
  auto category = indicator + static_cast<std::size_t>(std::count_if(
                                  features_.begin(), features_.end(),
                                  [](const Feature& feature) { return feature.indicator; }));
  for (std::size_t c = 0; c < features_.size(); ++c) {
    const Feature& feature = features_[c];
    const Column& column = table.columns[c];
    if (column.name != feature.column || column.numeric != feature.numeric)
      refuse(table, "column '" + column.name + "' is " + (column.numeric ? "numeric" : "text") +
                        "; fitted on '" + feature.column + "', " +
                        (feature.numeric ? "numeric" : "text"));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      float* out = x.data() + i * width;
      const auto row = static_cast<std::size_t>(rows[i]);
      if (feature.numeric) put_number(feature, column.numbers[row], out + number, out + indicator);
    }
    if (!feature.numeric) put_categories(feature, column, rows, x.subspan(category), width);
    number += feature.numeric, indicator += feature.indicator;
    category += feature.categories.size();
  }
  if (has_target_ && table.has_target) set_targets(dataset, table, rows);
  return dataset;
}

Dataset TablePreprocessor::apply(const Table& table) const { return apply(table, all_rows(table)); }

Dataset read_csv(const std::string& path, const CsvOptions& options, bool refuse_missing) {
  const Table table = read_table(path, options);
  TablePreprocessor preprocessor({.standardize = false});
  preprocessor.fit(table);
  Dataset dataset = preprocessor.apply(table);
  const std::size_t width = dataset.feature_names.size();
  std::size_t feature = 0;
  for (const Column& column : table.columns) {
    if (!column.numeric) continue;
    for (std::size_t row = 0; row < column.numbers.size(); ++row) {
      if (!std::isnan(column.numbers[row])) continue;
      if (refuse_missing)
        refuse(table, "line " + std::to_string(table.lines[row]) + ": column '" + column.name +
                          "' is missing; pass refuse_missing = false and fit Impute, or use "
                          "read_table and TablePreprocessor");
      dataset.features.as<float>()[row * width + feature] = column.numbers[row];
    }
    ++feature;
  }
  return dataset;
}

}  // namespace fornax
