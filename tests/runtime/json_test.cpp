// The JSON reader and writer: RFC 8259, what is refused beyond it, and offsets in messages.
#include "runtime/support/json.h"

#include <fornax/error.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

namespace fornax {
namespace {

void read_all(std::string_view text) {
  JsonReader reader(text, "text");
  reader.skip();
  reader.finish();
}

std::string message_of(std::string_view text) {
  try {
    read_all(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::corrupt);
    return error.what();
  }
  return "accepted";
}

TEST(Json, AcceptsTheGrammar) {
  for (const char* text :
       {"{}", "[]", " [ ] \n", "null", "true", "false", "0", "-0", "-1.5e+10", "1E30", "[1,2,3]",
        "{\"a\":{\"b\":[{}]}}", "\"\"", "\"\\u00e9\\ud83d\\ude00\\n\"", "\"\xc3\xa9\"", "\"\x7f\"",
        "[0.1,1e-300]", "{\"\":0}"})
    EXPECT_EQ(message_of(text), "accepted") << text;
}

TEST(Json, RefusesEverythingElse) {
  for (const std::string_view text : {"",
                                      " ",
                                      "{",
                                      "}",
                                      "[",
                                      "]",
                                      "[1,]",
                                      "[,1]",
                                      "[1 2]",
                                      "{,}",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "{a:1}",
                                      "{'a':1}",
                                      "{1:1}",
                                      "01",
                                      "-",
                                      "+1",
                                      "1.",
                                      ".5",
                                      "1e",
                                      "1e+",
                                      "0x1",
                                      "1_000",
                                      "NaN",
                                      "Infinity",
                                      "-Infinity",
                                      "nul",
                                      "True",
                                      "truE",
                                      "\"",
                                      "\"\\\"",
                                      "\"\\x\"",
                                      "\"\\u12\"",
                                      "\"\\u+123\"",
                                      "\"\\ud800\"",
                                      "\"\\ude00\"",
                                      "\"\\ud800\\u0041\"",
                                      "\"\n\"",
                                      "\"\t\"",
                                      "[1]x",
                                      "{} {}",
                                      "1 2",
                                      "\xef\xbb\xbf{}",
                                      "\"\xff\"",
                                      "\"\xc0\x80\"",
                                      "\"\xed\xa0\x80\"",
                                      "\"\xf4\x90\x80\x80\"",
                                      "\"\xe2\x82\"",
                                      "[1e400]"})
    EXPECT_NE(message_of(text), "accepted") << text;
}

TEST(Json, RefusesMismatchedPairs) {
  for (const std::string_view text : {"[1e-400]", "{\"a\":1,\"a\":1}", "{\"a\":1,\"\\u0061\":2}",
                                      "[\"a\":1]", "{\"a\":1]", "[1}", "//x", "[1/**/]"})
    EXPECT_NE(message_of(text), "accepted") << text;
  EXPECT_NE(message_of(std::string_view("[\0]", 3)), "accepted");
  EXPECT_NE(message_of(std::string_view("\"\0\"", 3)), "accepted");
}

TEST(Json, NamesTheByte) {
  EXPECT_EQ(message_of("[1, x]"), "text: byte 4: expected a value");
  EXPECT_EQ(message_of("{\"a\":1, \"a\":2}"), "text: byte 8: key \"a\" stands twice in one object");
  JsonReader shifted("[x]", "file", 8);
  try {
    shifted.skip();
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "file: byte 9: expected a value");
  }
}

TEST(Json, NestingIsLimitedAndCostsNoStack) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_EQ(message_of(nested(32)), "accepted");
  EXPECT_NE(message_of(nested(33)).find("limit of 32"), std::string::npos);
  const std::string deep = nested(1'000'000);
  JsonReader reader(deep, "deep", 0, 1'000'000);
  reader.skip();
  reader.finish();
}

TEST(Json, IntegersAreExact) {
  const auto integer = [](std::string_view text) { return JsonReader(text, "n").integer(); };
  EXPECT_EQ(integer("9223372036854775807"), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(integer("-9223372036854775808"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(integer("9007199254740993"), 9007199254740993);
  for (const char* text :
       {"9223372036854775808", "1.0", "1e3", "\"1\"", "true", "99999999999999999999"})
    EXPECT_THROW(integer(text), Error) << text;
}

TEST(Json, StringsAndNumbersRoundTrip) {
  const std::string text = std::string("a\"\\/\b\f\n\r\t\x01\x1f\x7f", 12) + "\xf0\x9f\x98\x80";
  EXPECT_EQ(JsonReader(json_string(text), "s").string(), text);
  EXPECT_THROW(json_string("\xff"), Error);
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    const double value = std::bit_cast<double>(random());
    if (!std::isfinite(value) || std::abs(value) < 1e-300) continue;
    const double back = JsonReader(json_number(value), "n").number();
    ASSERT_EQ(std::bit_cast<std::uint64_t>(back), std::bit_cast<std::uint64_t>(value));
  }
  EXPECT_EQ(json_number(0.1), "0.1");
  EXPECT_THROW(json_number(std::nan("")), Error);
  EXPECT_THROW(json_number(HUGE_VAL), Error);
}

TEST(Json, TruncatedAnywhereIsRefused) {
  const std::string text = "{\"a\":[1,-2.5e3,true,null],\"b\":{\"c\":\"\\u00e9x\"}}";
  ASSERT_EQ(message_of(text), "accepted");
  for (std::size_t length = 0; length < text.size(); ++length)
    EXPECT_NE(message_of(std::string_view(text).substr(0, length)), "accepted") << length;
}

TEST(Json, ReadsMembersInOrder) {
  JsonReader reader(" {\"a\" : 1, \"b\" : [true , \"x\"], \"c\" : null } ", "text");
  std::string key, keys;
  reader.begin_object();
  while (reader.next_key(key)) {
    keys += key;
    if (key != "b") {
      reader.skip();
      continue;
    }
    reader.begin_array();
    ASSERT_TRUE(reader.next_element());
    EXPECT_TRUE(reader.boolean());
    ASSERT_TRUE(reader.next_element());
    EXPECT_EQ(reader.string(), "x");
    EXPECT_FALSE(reader.next_element());
  }
  reader.finish();
  EXPECT_EQ(keys, "abc");
}

}  // namespace
}  // namespace fornax
