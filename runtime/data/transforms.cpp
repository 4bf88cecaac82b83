// Transforms fitted on training rows.
#include <fornax/data.h>
#include <fornax/error.h>

#include <algorithm>
#include <cmath>

namespace fornax {

namespace {

std::size_t row_elements(const Dataset& dataset) {
  const std::int64_t rows = dataset.size();
  return rows == 0 ? 0 : dataset.features.as<float>().size() / static_cast<std::size_t>(rows);
}

void check_rows(const Dataset& dataset, std::size_t fitted, const char* what) {
  if (dataset.size() == 0) return;
  if (fitted == 0 || row_elements(dataset) != fitted)
    throw Error(ErrorCode::invalid_argument,
                std::string(what) + ": rows of " + std::to_string(row_elements(dataset)) +
                    " features; fitted on " + std::to_string(fitted) +
                    (fitted == 0 ? " (call fit() with training rows first)" : ""));
}

void check_training(const Dataset& train, const char* what) {
  if (train.size() == 0)
    throw Error(ErrorCode::invalid_argument, std::string(what) + ": no training rows to fit");
}

}  // namespace

void Standardize::fit(const Dataset& train) {
  check_training(train, "Standardize");
  const auto x = train.features.as<float>();
  const std::size_t width = row_elements(train);
  const auto rows = static_cast<double>(train.size());
  mean_.assign(width, 0);
  deviation_.assign(width, 0);
  for (std::size_t i = 0; i < x.size(); ++i) mean_[i % width] += static_cast<double>(x[i]);
  for (double& mean : mean_) mean /= rows;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double centred = static_cast<double>(x[i]) - mean_[i % width];
    deviation_[i % width] += centred * centred;
  }
  for (double& deviation : deviation_) {
    deviation = std::sqrt(deviation / rows);
    if (deviation == 0) deviation = 1;
  }
}

void Standardize::apply(Dataset& dataset) const {
  check_rows(dataset, mean_.size(), "Standardize");
  const auto x = dataset.features.as<float>();
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t feature = i % mean_.size();
    x[i] = static_cast<float>((static_cast<double>(x[i]) - mean_[feature]) / deviation_[feature]);
  }
}

void Impute::fit(const Dataset& train) {
  check_training(train, "Impute");
  const auto x = train.features.as<float>();
  const std::size_t width = row_elements(train);
  values_.assign(width, 0);
  std::vector<float> present;
  for (std::size_t feature = 0; feature < width; ++feature) {
    present.clear();
    for (std::size_t i = feature; i < x.size(); i += width)
      if (!std::isnan(x[i])) present.push_back(x[i]);
    values_[feature] = statistic_of(present, statistic_);
  }
}

double Impute::statistic_of(std::span<float> values, Statistic statistic) {
  if (values.empty()) return 0;
  const std::size_t half = values.size() / 2;
  if (statistic == Statistic::mean) {
    double sum = 0;
    for (const float value : values) sum += static_cast<double>(value);
    return sum / static_cast<double>(values.size());
  }
  std::sort(values.begin(), values.end());
  const auto upper = static_cast<double>(values[half]);
  return values.size() % 2 ? upper : (static_cast<double>(values[half - 1]) + upper) / 2;
}

void Impute::apply(Dataset& dataset) const {
  check_rows(dataset, values_.size(), "Impute");
  const auto x = dataset.features.as<float>();
  for (std::size_t i = 0; i < x.size(); ++i)
    if (std::isnan(x[i])) x[i] = static_cast<float>(values_[i % values_.size()]);
}

Tensor one_hot(const Tensor& labels, std::int64_t classes) {
  const auto label = labels.as<std::int32_t>();
  Tensor result(DType::f32, {static_cast<std::int64_t>(label.size()), classes});
  const auto y = result.as<float>();
  for (std::size_t i = 0; i < label.size(); ++i) {
    if (label[i] < 0 || label[i] >= classes)
      throw Error(ErrorCode::invalid_argument, "one_hot: label " + std::to_string(label[i]) +
                                                   " at " + std::to_string(i) + "; there are " +
                                                   std::to_string(classes) + " classes");
    y[i * static_cast<std::size_t>(classes) + static_cast<std::size_t>(label[i])] = 1;
  }
  return result;
}

}  // namespace fornax
