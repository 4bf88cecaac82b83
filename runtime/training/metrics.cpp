// Metrics of metrics.h.
#include <fornax/error.h>
#include <fornax/metrics.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace fornax {

namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

void check_rows(const Tensor& scores, const Tensor& labels) {
  if (scores.shape().rank() != 2 || labels.shape() != Shape{scores.shape()[0]})
    throw Error(ErrorCode::shape, "metrics: scores " + to_string(scores.shape()) + " and labels " +
                                      to_string(labels.shape()) + "; wanted [n, C] and [n]");
}

/// Area under the curve of `score` for telling rows of `wanted` from the rest.
double area(const std::vector<double>& score, std::span<const std::int32_t> labels,
            std::int32_t wanted) {
  std::vector<std::size_t> order(score.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return score[a] < score[b] || (score[a] == score[b] && a < b);
  });
  double rank_sum = 0, inside = 0;
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin;
    while (end < order.size() && score[order[end]] == score[order[begin]]) ++end;
    const double rank = static_cast<double>(begin + 1 + end) / 2;  // mean rank of equal scores
    for (std::size_t i = begin; i < end; ++i)
      if (labels[order[i]] == wanted) rank_sum += rank, inside += 1;
    begin = end;
  }
  const double outside = static_cast<double>(score.size()) - inside;
  if (inside == 0 || outside == 0) return kNone;
  return (rank_sum - inside * (inside + 1) / 2) / (inside * outside);
}

}  // namespace

double accuracy(const Tensor& scores, const Tensor& labels) {
  check_rows(scores, labels);
  const auto values = scores.as<float>();
  const auto classes = static_cast<std::size_t>(scores.shape()[1]);
  const auto wanted = labels.as<std::int32_t>();
  if (wanted.empty() || classes == 0) return kNone;
  std::int64_t right = 0;
  for (std::size_t row = 0; row < wanted.size(); ++row) {
    const auto at = values.subspan(row * classes, classes);
    right += std::max_element(at.begin(), at.end()) - at.begin() == wanted[row];
  }
  return static_cast<double>(right) / static_cast<double>(wanted.size());
}

double area_under_curve(const Tensor& scores, const Tensor& labels) {
  check_rows(scores, labels);
  const auto values = scores.as<float>();
  const auto rows = static_cast<std::size_t>(scores.shape()[0]);
  const auto classes = static_cast<std::size_t>(scores.shape()[1]);
  std::vector<double> score(rows);
  double sum = 0, count = 0;
  for (std::size_t c = classes == 2 ? 1 : 0; c < classes; ++c) {
    for (std::size_t row = 0; row < rows; ++row) {
      const double at = static_cast<double>(values[row * classes + c]);
      score[row] = classes == 2 ? at - static_cast<double>(values[row * classes]) : at;
      if (std::isnan(score[row])) return kNone;  // no order to rank by
    }
    const double one = area(score, labels.as<std::int32_t>(), static_cast<std::int32_t>(c));
    if (std::isfinite(one)) sum += one, count += 1;
  }
  return count > 0 ? sum / count : kNone;
}

double mean_squared_difference(const Tensor& prediction, const Tensor& target) {
  if (prediction.shape() != target.shape())
    throw Error(ErrorCode::shape, "metrics: prediction " + to_string(prediction.shape()) +
                                      " against target " + to_string(target.shape()));
  const auto a = prediction.as<float>(), b = target.as<float>();
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += difference * difference;
  }
  return a.empty() ? kNone : sum / static_cast<double>(a.size());
}

}  // namespace fornax
