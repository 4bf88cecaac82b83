// Known values of metrics and learning-rate schedules; the form of plots.
#include <fornax/metrics.h>
#include <fornax/plot.h>

#include <cmath>
#include <limits>

#include "runtime/training/schedule.h"
#include "tests/runtime/expect_error.h"
#include "tests/runtime/temporary_folder.h"

namespace fornax {
namespace {

Tensor labels(std::initializer_list<std::int32_t> values) {
  return Tensor({static_cast<std::int64_t>(values.size())}, values);
}

TEST(Metrics, AccuracyTakesTheFirstOfEqualScores) {
  const Tensor scores({3, 2}, {0.2f, 0.8f, 0.6f, 0.4f, 0.5f, 0.5f});
  EXPECT_EQ(accuracy(scores, labels({1, 0, 0})), 1);
  EXPECT_DOUBLE_EQ(accuracy(scores, labels({1, 0, 1})), 2.0 / 3);
  EXPECT_EQ(accuracy(scores, labels({0, 1, 1})), 0);
  EXPECT_TRUE(std::isnan(accuracy(Tensor(DType::f32, {0, 2}), Tensor(DType::i32, {0}))));
}

// Of the four pairs (class 0, class 1) three are in order and one is tied.
TEST(Metrics, AreaUnderCurveCountsTiesHalf) {
  const Tensor scores({4, 2}, {0.f, 1.f, 1.f, 3.f, 0.f, 2.f, 0.f, 3.f});
  EXPECT_DOUBLE_EQ(area_under_curve(scores, labels({0, 0, 1, 1})), 3.5 / 4);
  EXPECT_DOUBLE_EQ(area_under_curve(scores, labels({1, 1, 0, 0})), 0.5 / 4);
  EXPECT_DOUBLE_EQ(area_under_curve(Tensor(DType::f32, {4, 2}), labels({0, 1, 1, 0})), 0.5);
  EXPECT_TRUE(std::isnan(area_under_curve(scores, labels({1, 1, 1, 1})))) << "one class only";
}

TEST(Metrics, AreaUnderCurveOfMoreClassesIsTheMeanOverThosePresent) {
  const Tensor scores({3, 3}, {2.f, 0.f, 5.f, 1.f, 1.f, 5.f, 3.f, 3.f, 5.f});
  // Class 0: its row lies between the others, 1/2. Class 1: both above the other. Class 2: absent.
  EXPECT_DOUBLE_EQ(area_under_curve(scores, labels({0, 1, 1})), (0.5 + 1.0) / 2);
  Tensor unknown = scores;
  unknown.as<float>()[4] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(area_under_curve(unknown, labels({0, 1, 1}))));
}

TEST(Metrics, MeanSquaredDifference) {
  EXPECT_EQ(mean_squared_difference(Tensor({2}, {1.f, 3.f}), Tensor({2}, {0.f, 5.f})), 2.5);
}

TEST(Metrics, RefuseShapesThatDoNotFit) {
  const Tensor scores(DType::f32, {3, 2});
  const Tensor four = labels({0, 0, 0, 0}), whole(DType::f32, {3});
  expect_error(ErrorCode::shape, "scores [3, 2] and labels [4]", [&] { accuracy(scores, four); });
  expect_error(ErrorCode::shape, "wanted [n, C] and [n]", [&] { area_under_curve(whole, four); });
  expect_error(ErrorCode::shape, "prediction [3, 2] against target [3]",
               [&] { mean_squared_difference(scores, whole); });
  EXPECT_THROW(accuracy(scores, Tensor(DType::f32, {3})), Error) << "labels are i32";
}

TEST(Schedule, ConstantAfterWarmup) {
  const RateSchedule schedule{Schedule::constant, 0.5, 0.25, 40};
  EXPECT_DOUBLE_EQ(schedule.at(0), 0.05);
  EXPECT_DOUBLE_EQ(schedule.at(4), 0.25);
  for (const std::int64_t step : {9, 10, 39, 1000}) EXPECT_DOUBLE_EQ(schedule.at(step), 0.5);
}

TEST(Schedule, CosineFallsToZero) {
  const RateSchedule schedule{Schedule::cosine, 0.5, 0.25, 40};
  EXPECT_DOUBLE_EQ(schedule.at(4), 0.25);
  EXPECT_DOUBLE_EQ(schedule.at(10), 0.5);
  EXPECT_NEAR(schedule.at(25), 0.25, 1e-7) << "half of the rest";
  EXPECT_NEAR(schedule.at(20), 0.25 * (1 + std::cos(std::acos(-1) / 3)), 1e-7);
  EXPECT_NEAR(schedule.at(40), 0, 1e-12);
  EXPECT_NEAR(schedule.at(400), 0, 1e-12) << "and stays there";
  for (std::int64_t step = 10; step < 40; ++step)
    EXPECT_GT(schedule.at(step), schedule.at(step + 1)) << step;
}

class Plots : public TemporaryFolder {
 protected:
  static std::size_t count(const std::string& text, const std::string& part) {
    std::size_t found = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
      ++found;
    return found;
  }
  static int python(const std::string& program) {
    return std::system(("python3 -c \"" + program + "\" 2> /dev/null").c_str());
  }
  int parse(const std::string& name) {
    return python("import xml.dom.minidom; xml.dom.minidom.parse('" + path(name) + "')");
  }
};

const double kNan = std::numeric_limits<double>::quiet_NaN();

TEST_F(Plots, AreWellFormed) {
  if (python("") != 0) GTEST_SKIP() << "python3 was not found";
  const std::vector<Series> series = {
      {"a & b <c> \"d\"", {1, 2, 3}, {0.5, kNan, 1e30}}, {"none", {}, {}}, {"\x01", {1}, {-1e30}}};
  write_curves(path("curves.svg"), series, {"<title>", "x & y", "\"y\""});
  write_scatter(path("scatter.svg"), series, {"&&", "", ""});
  write_curves(path("empty.svg"), {}, {});
  for (const char* name : {"curves.svg", "scatter.svg", "empty.svg"})
    EXPECT_EQ(parse(name), 0) << text_of(name);
  file("broken.svg", "<svg><text>a & b</text></svg>");
  EXPECT_NE(parse("broken.svg"), 0) << "the check must be able to fail";
}

TEST_F(Plots, LeaveOutPointsThatAreNotFinite) {
  write_scatter(path("s.svg"), {{"s", {1, 2, kNan, 4}, {1, kNan, 3, 4}}}, {});
  EXPECT_EQ(count(text_of("s.svg"), "<circle"), 2u);
  EXPECT_EQ(count(text_of("s.svg"), "nan"), 0u);
}

TEST_F(Plots, RefuseWhatCannotBeWritten) {
  const std::string nowhere = path("absent") + "/plot.svg";
  expect_error(ErrorCode::io, "plot: '" + nowhere + "' cannot be written",
               [&] { write_curves(nowhere, {}, {}); });
  expect_error(ErrorCode::io, "cannot be written", [&] { write_scatter(nowhere, {}, {}); });
  expect_error(ErrorCode::invalid_argument, "series 'odd' has 2 x and 1 y", [&] {
    write_curves(path("odd.svg"), {{"odd", {1, 2}, {1}}}, {});
  });
  EXPECT_EQ(files(), 0u);
}

}  // namespace
}  // namespace fornax
