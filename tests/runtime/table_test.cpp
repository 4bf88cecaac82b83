// CSV: what is read, what is refused and where; tables to datasets; real files.
#include <fornax/error.h>
#include <fornax/table.h>
#include <gtest/gtest.h>

#include <clocale>
#include <cmath>
#include <filesystem>

#include "runtime/support/environment.h"
#include "tests/runtime/temporary_folder.h"

namespace fornax {
namespace {

class TableTest : public TemporaryFolder {
 protected:
  Table table(std::string_view text, const CsvOptions& options = {}) const {
    return read_table(file("x.csv", text), options);
  }
  void expect_refused(std::string_view text, const std::string& part,
                      const CsvOptions& options = {}) const {
    try {
      table(text, options);
      ADD_FAILURE() << "accepted: " << text.substr(0, 80);
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
          << error.what() << "\n  expected: " << part;
    }
  }
};

TEST_F(TableTest, LineEndsQuotesCommentsAndByteOrderMark) {
  const Table t =
      table("\xef\xbb\xbf# comment\r\na,\"b \"\"x\"\"\",y\r1,\"one\ntwo\",u\n\n2,  three ,v");
  ASSERT_EQ(t.rows(), 2);
  EXPECT_EQ(t.columns[0].numbers, (std::vector<float>{1, 2}));
  EXPECT_EQ(t.columns[1].name, "b \"x\"");
  EXPECT_EQ(t.columns[1].categories, (std::vector<std::string>{"one\ntwo", "three"}));
  EXPECT_EQ(t.target.categories, (std::vector<std::string>{"u", "v"}));
  EXPECT_EQ(t.lines, (std::vector<std::int64_t>{3, 6}));
}

TEST_F(TableTest, DelimitersHeadersAndTargets) {
  EXPECT_EQ(table("1;2,5;3\n4;5;6\n").columns.size(), 2u);
  EXPECT_EQ(table("1\t2\n").columns.size(), 1u);
  EXPECT_EQ(table("a,b\n1,2\n").rows(), 1);
  EXPECT_EQ(table("a,1\nb,2\n").rows(), 2);
  EXPECT_EQ(table("a,b\nc,d\n", {.header = CsvOptions::Header::no}).rows(), 2);
  for (const char* target : {"b", "1", "-2"})
    EXPECT_EQ(table("a,b,c\n1,2,3\n", {.target = target}).target.name, "b") << target;
  EXPECT_FALSE(table("1,2\n", {.target = "none"}).has_target);
  EXPECT_EQ(table("a,b,c\n1,2,3\n", {.ignore = {"a"}}).columns.size(), 1u);
  EXPECT_THROW(table("a,b\n1,2\n", {.target = "z"}), Error);
  EXPECT_THROW(table("a,b\n1,2\n", {.target = "2"}), Error);
}

TEST_F(TableTest, NumbersUnderAnyLocale) {
  std::setlocale(LC_ALL, "de_DE.UTF-8");
  const Table t = table("-0,1e-400,+1.5,1e3,.5,0\n1,?,NA,,nan,1\n");
  const float expected[5] = {-0.f, 0.f, 1.5f, 1000.f, .5f};
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(t.columns[i].numbers[0], expected[i]);
  EXPECT_TRUE(std::signbit(t.columns[0].numbers[0]));
  for (std::size_t i = 1; i < 5; ++i) EXPECT_TRUE(std::isnan(t.columns[i].numbers[1])) << i;
  std::setlocale(LC_ALL, "C");
  EXPECT_FALSE(table("0x1p3,0\n").columns[0].numeric);
  EXPECT_FALSE(table("1_000,0\n").columns[0].numeric);
}

TEST_F(TableTest, RefusedWithThePlace) {
  expect_refused("", "x.csv:1: the file has no rows");
  expect_refused("# only\n\n", "no rows");
  expect_refused("a,b\n", "a header, but no rows");
  expect_refused("1,2\n3\n", "x.csv:2: 1 cells; the first row has 2");
  expect_refused("1,2\n3,4,\n", "x.csv:2: 3 cells; the first row has 2 (a separator at the end");
  expect_refused("1,\"2\n3,4\n", "x.csv:1:2: a quote is not closed");
  expect_refused("1,\"2\"3\n", "x.csv:1:2: text after a closing quote");
  expect_refused("1,2\"\n", "a quote inside a cell");
  expect_refused(std::string_view("1,2\n3,\0\n", 8), "x.csv:2: byte 6 is NUL");
  expect_refused("1,2\n3,\xff\n", "x.csv:2: byte 6 is not UTF-8");
  expect_refused("1,2\ninf,4\n", "x.csv:2:1: 'inf' in column 'column0' is no finite f32");
  expect_refused("1,2\n1e400,4\n", "'1e400' in column 'column0' is no finite f32");
  expect_refused("1,2\n1e39,4\n", "is no finite f32");
  expect_refused("1,2\n3,?\n", "x.csv:2:2: the target 'column1' is missing");
  expect_refused("1,2\n3,3.7\n", "x.csv:2:2: class '3.7' is no integer",
                 {.target_kind = CsvOptions::Target::classes});
  expect_refused("1,2\n3,x\n", "'x' in column 'column1' is no number",
                 {.target_kind = CsvOptions::Target::values});
  expect_refused("a,1\nb,1\nc,1\n",
                 "more than 2 different texts (the first that is no number: "
                 "'a' in line 1)",
                 {.category_limit = 2});
  expect_refused(std::string(200'000, ','), "more columns than the limit");
  expect_refused("1,2\n", "exceed the limit of 3", {.byte_limit = 3});
  EXPECT_THROW(read_table(path("absent")), Error);
  EXPECT_THROW(read_table("/dev/zero"), Error);
}

TEST_F(TableTest, IntegersOfFewValuesAreClassesInNumericOrder) {
  const Table t = table("1,10\n1,9\n1,9.0\n1,-1\n");
  ASSERT_FALSE(t.target.numeric);
  EXPECT_EQ(t.target.categories, (std::vector<std::string>{"-1", "9", "10"}));
  EXPECT_EQ(t.target.codes, (std::vector<std::int32_t>{2, 1, 1, 0}));
  EXPECT_TRUE(table("1,0.5\n1,1\n").target.numeric);
}

TEST_F(TableTest, EverythingIsLearntFromTrainingRows) {
  const Table t = table("1,red,a\n3,blue,b\n?,red,a\n100,green,a\n7,?,c\n");
  const std::vector<std::int64_t> train = {0, 1, 2}, test = {3, 2}, alien = {4};
  TablePreprocessor preprocessor({.missing_indicators = true, .standardize = false});
  EXPECT_THROW(preprocessor.apply(t), Error);
  preprocessor.fit(t, train);
  const Dataset data = preprocessor.apply(t, test);
  EXPECT_EQ(data.feature_names, (std::vector<std::string>{"column0", "column0 missing",
                                                          "column1=blue", "column1=red"}));
  const float expected[8] = {100, 0, 0, 0, 2, 1, 0, 1};
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(data.features.as<float>()[i], expected[i]) << i;
  EXPECT_EQ(data.class_names, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(data.targets.as<std::int32_t>()[0], 0);
  try {
    preprocessor.apply(t, alien);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("line 5: class 'c'"), std::string::npos);
  }
  EXPECT_THROW(preprocessor.fit(t, std::vector<std::int64_t>{}), Error);
  EXPECT_THROW(preprocessor.fit(t, std::vector<std::int64_t>{5}), Error);
}

TEST_F(TableTest, ReadCsvKeepsOrRefusesMissing) {
  const std::string name = file("m.csv", "1,2,a\n?,4,b\n");
  EXPECT_THROW(read_csv(name), Error);
  const Dataset data = read_csv(name, {}, false);
  EXPECT_TRUE(std::isnan(data.features.as<float>()[2]));
  EXPECT_EQ(data.features.as<float>()[3], 4);
}

TEST_F(TableTest, TruncatedAnywhereNeverCrashes) {
  const std::string text = "a,\"b\"\"c\",d\r\n1,\"x,\n\",y\r\n2,z,?\r\n";
  int refused = 0;
  for (std::size_t length = 0; length <= text.size(); ++length) {
    try {
      table(text.substr(0, length));
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 5);
}

class RealFiles : public testing::Test {
 protected:
  void SetUp() override {
    const auto set = environment("FORNAX_DATA_DIR");
    folder_ = set ? std::filesystem::path(*set)
                  : std::filesystem::path(FORNAX_SOURCE_DIR) / "../shared/data";
    if (!std::filesystem::exists(folder_ / "iris.csv"))
      GTEST_SKIP() << "no data sets in " << folder_ << "; set FORNAX_DATA_DIR";
  }
  std::string path(const char* name) const { return folder_ / name; }
  std::filesystem::path folder_;
};

TEST_F(RealFiles, AreWhatTheyAre) {
  const Dataset iris = read_csv(path("iris.csv"));
  EXPECT_EQ(iris.features.shape(), (Shape{150, 4}));
  EXPECT_EQ(iris.class_names.front(), "Iris-setosa");
  const Dataset digits = read_csv(path("optdigits.tra"));
  EXPECT_EQ(digits.features.shape(), (Shape{2999, 64}));
  EXPECT_EQ(digits.class_names.size(), 10u);
  EXPECT_EQ(read_csv(path("optdigits.tes")).size(), 1797);
  EXPECT_THROW(read_csv(path("breast-cancer-wisconsin.csv")), Error);
  const Dataset breast = read_csv(path("breast-cancer-wisconsin.csv"), {}, false);
  EXPECT_EQ(breast.features.shape(), (Shape{699, 9}));
  EXPECT_EQ(breast.class_names, (std::vector<std::string>{"2", "4"}));
  const Dataset german = read_csv(path("german.csv"));
  EXPECT_EQ(german.features.shape(), (Shape{1000, 61}));
  EXPECT_THROW(read_csv(path("metro-traffic.csv")), Error);
  const Dataset traffic = read_csv(path("metro-traffic.csv"), {.ignore = {"date_time"}});
  EXPECT_EQ(traffic.size(), 48204);
  EXPECT_EQ(traffic.targets.dtype(), DType::f32);
}

}  // namespace
}  // namespace fornax
