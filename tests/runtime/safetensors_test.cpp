// safetensors: round trips, and files that are not what they say.
#include <fornax/error.h>
#include <fornax/storage.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "tests/runtime/temporary_folder.h"

namespace fornax {
namespace {

std::string framed(const std::string& header, const std::string& data = {}) {
  const std::uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}

TensorMap example() {
  TensorMap tensors;
  tensors["w"] = Tensor({2, 3}, {1.f, -0.f, std::nanf(""), 4.f, HUGE_VALF, 6.f});
  tensors["bias"] = Tensor({2}, {std::int64_t{1} << 60, std::int64_t{-1}});
  tensors["flag"] = Tensor({2}, {true, false});
  tensors["scalar"] = Tensor(Shape{}, {2.5});
  tensors["none"] = Tensor(DType::bf16, {0, 7});
  tensors["half"] = Tensor(DType::f16, {3});
  tensors["b\"\xc3\xa9\n"] = Tensor({3}, {std::uint8_t{1}, std::uint8_t{2}, std::uint8_t{255}});
  tensors[""] = Tensor({1}, {std::int32_t{-7}});
  return tensors;
}

bool same(const TensorMap& a, const TensorMap& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    const auto p = x.second.bytes(), q = y.second.bytes();
    return x.first == y.first && x.second.dtype() == y.second.dtype() &&
           x.second.shape() == y.second.shape() &&
           std::equal(p.begin(), p.end(), q.begin(), q.end());
  });
}

class Safetensors : public TemporaryFolder {
 protected:
  /// What loading `bytes` says: "corrupt: ...", or "accepted".
  std::string verdict(const std::string& bytes) const {
    try {
      load_safetensors(file("x", bytes));
    } catch (const Error& error) {
      return std::string(name(error.code())) + ": " + error.what();
    }
    return "accepted";
  }
  void expect_refused(const std::string& bytes, const std::string& part) const {
    const std::string said = verdict(bytes);
    EXPECT_NE(said.find(part), std::string::npos) << said << "\n  expected: " << part;
    EXPECT_TRUE(said == "accepted" || said.find(path("x")) != std::string::npos) << said;
  }
};

TEST_F(Safetensors, RoundTripOfEveryType) {
  const TextMap metadata = {{"format", "pt"}, {"quote\"", "line\n"}};
  save_safetensors(path("m"), example(), metadata);
  EXPECT_TRUE(same(load_safetensors(path("m")), example()));
  EXPECT_EQ(load_safetensors_metadata(path("m")), metadata);
  save_safetensors(path("again"), load_safetensors(path("m")), metadata);
  EXPECT_EQ(text_of("m"), text_of("again"));
  save_safetensors(path("nothing"), {});
  EXPECT_TRUE(load_safetensors(path("nothing")).empty());
}

TEST_F(Safetensors, LayoutIsThatOfTheReferenceWriter) {
  save_safetensors(path("m"), {{"b", Tensor({1}, {std::uint8_t{9}})},
                               {"c", Tensor({1}, {1.f})},
                               {"a", Tensor({1}, {2.f})}});
  EXPECT_EQ(text_of("m").substr(8),
            "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
            "\"c\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]},"
            "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[8,9]}} " +
                std::string("\0\0\0\x40\0\0\x80\x3f\x09", 9));
  EXPECT_EQ(text_of("m").substr(0, 8), std::string("\xa0\0\0\0\0\0\0\0", 8));
}

TEST_F(Safetensors, FilesThatMustPass) {
  for (const auto& [header, data] : std::vector<std::pair<std::string, std::string>>{
           {"{}", ""},
           {"{}      ", ""},
           {"{\"__metadata__\":{}}", ""},
           {R"({"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})", "1234"},
           {R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})", ""},
           {R"({"a":{"dtype":"F32","shape":[9,0,4294967296],"data_offsets":[0,0]}})", ""},
           {R"({ "../../x" : { "data_offsets" : [ 0, 1 ], "shape" : [ 1 ], "dtype" : "U8" } })",
            "x"},
           {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},)"
            R"("b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
            "xy"}})
    EXPECT_EQ(verdict(framed(header, data)), "accepted") << header;
}

TEST_F(Safetensors, LengthsThatLie) {
  expect_refused("", "corrupt");
  expect_refused("1234567", "7 bytes; a safetensors file begins with 8 bytes");
  expect_refused(std::string(8, '\xff'), "18446744073709551615 exceeds the limit of 100000000");
  std::string large = framed("{}");
  const std::uint64_t above = 100'000'001;
  std::memcpy(large.data(), &above, 8);
  expect_refused(large, "exceeds the limit");
  large[0] = 3, std::memset(large.data() + 1, 0, 7);
  expect_refused(large, "header length 3; the file has 2 bytes after it");
  expect_refused(std::string(8, '\0'), "the header is");
}

TEST_F(Safetensors, HeadersThatAreNotTheFormat) {
  for (const std::string header :
       {"[]", "", " {}", "\xef\xbb\xbf{}", "{}\n", "{}x", "{} {}", "null", "{\"a\":1}",
        "{\"a\":[]}", "{\"a\":{}}", "{\"a\":{\"dtype\":\"F32\"}}", "{\"__metadata__\":{\"a\":1}}",
        "{\"__metadata__\":[]}", "{\"__metadata__\":{\"a\":\"1\",\"a\":\"1\"}}",
        "{\"__metadata__\":{},\"__metadata__\":{}}", "{\"\xff\":{}}",
        "{\"a\":{\"x\":{\"y\":{\"z\":{}}}}}"})
    expect_refused(framed(header), "corrupt");
  expect_refused(framed(std::string(1'000'000, '[')), "corrupt");
  expect_refused(framed("{\"a\":" + std::string(1'000'000, '{') + "}"), "corrupt");
}

std::string tensor(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "{\"a\":{\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets +
         "}}";
}

TEST_F(Safetensors, FieldsThatDoNotFit) {
  const std::string f32 = "\"F32\"", data = "1234";
  const std::vector<std::array<std::string, 4>> cases = {
      {f32, "[1]", "[0,5]", "has 5 bytes; its shape and dtype need 4"},
      {f32, "[2]", "[0,4]", "has 4 bytes; its shape and dtype need 8"},
      {f32, "[1]", "[4,0]", "ends before it begins"},
      {f32, "[1]", "[-4,0]", "negative"},
      {f32, "[-1]", "[0,4]", "negative"},
      {f32, "[-1,-1]", "[0,4]", "negative"},
      {f32, "[1.0]", "[0,4]", "not an integer of 64 bits"},
      {f32, "[1]", "[0,4.0]", "not an integer of 64 bits"},
      {f32, "[1]", "[0,4e0]", "not an integer of 64 bits"},
      {f32, "[1]", "[0,18446744073709551620]", "not an integer of 64 bits"},
      {f32, "[1]", "[0,4,8]", "more than 2 numbers"},
      {f32, "[1]", "[0]", "two data_offsets"},
      {f32, "[true]", "[0,4]", "corrupt"},
      {f32, "1", "[0,4]", "expected an array"},
      {f32, "[4294967296,4294967296]", "[0,4]", "overflows"},
      {f32, "[4611686018427387905]", "[0,4]", "overflows"},
      {f32, "[288230376151711744]", "[0,4]", "overflows"},
      {f32, "[0,4294967296,4294967296]", "[0,0]", "corrupt"},
      {f32, "[1,1,1,1,1,1,1,1,1]", "[0,4]", "more than 8 numbers"},
      {"\"f32\"", "[1]", "[0,4]", "dtype \"f32\" is unknown"},
      {"\"\"", "[1]", "[0,4]", "is unknown"},
      {"7", "[1]", "[0,4]", "expected a string"},
      {"\"F4\"", "[3]", "[0,1]", "no whole number of bytes"},
      {"\"I16\"", "[2]", "[0,4]", "unsupported"},
      {"\"C64\"", "[0]", "[0,0]", "unsupported"},
      {f32, "[0]", "[0,0]", "the tensors end at byte 0 of the data, the file at 4; bytes follow"},
      {f32, "[2]", "[0,8]", "the tensors end at byte 8 of the data, the file at 4; it is cut off"},
      {"\"U8\"", "[3]", "[1,4]", "a hole"},
      {"\"BOOL\"", "[4]", "[0,4]", "has the BOOL 49; it is 0 or 1"},
  };
  for (const auto& [dtype, shape, offsets, part] : cases)
    expect_refused(framed(tensor(dtype, shape, offsets), data), part);
}

TEST_F(Safetensors, OverlapsHolesAndDuplicates) {
  const auto two = [](const std::string& name, int begin, int end) {
    const auto entry = [](const std::string& n, int b, int e) {
      return "\"" + n + "\":{\"dtype\":\"U8\",\"shape\":[" + std::to_string(e - b) +
             "],\"data_offsets\":[" + std::to_string(b) + "," + std::to_string(e) + "]}";
    };
    return framed("{" + entry("a", 0, 2) + "," + entry(name, begin, end) + "}", "1234");
  };
  EXPECT_EQ(verdict(two("b", 2, 4)), "accepted");
  expect_refused(two("b", 0, 2), "an overlap, expected 2");
  expect_refused(two("b", 1, 4), "an overlap, expected 2");
  expect_refused(two("b", 3, 4), "a hole, expected 2");
  expect_refused(two("b", 2, 3), "bytes follow");
  expect_refused(two("b", 2, 5), "it is cut off");
  expect_refused(two("a", 2, 4), "key \"a\" stands twice");
  expect_refused(two("a", 0, 2), "key \"a\" stands twice");
  expect_refused(two("b", 2, 4) + "!", "bytes follow");
}

TEST_F(Safetensors, EveryTruncationAndExtensionIsRefused) {
  save_safetensors(path("m"), example());
  const std::string bytes = text_of("m");
  ASSERT_EQ(verdict(bytes), "accepted");
  for (std::size_t length = 0; length < bytes.size(); ++length)
    EXPECT_NE(verdict(bytes.substr(0, length)), "accepted") << length;
  EXPECT_NE(verdict(bytes + '\0'), "accepted");
}

TEST_F(Safetensors, AnyChangeOfAHeaderByteIsAnErrorOrAnotherFile) {
  save_safetensors(path("m"), {{"w", Tensor({2}, {1.f, 2.f})}, {"v", Tensor({1}, {true})}});
  const std::string bytes = text_of("m");
  const TensorMap before = load_safetensors(path("m"));
  const std::size_t header_end = bytes.size() - 9;
  int refused = 0, renamed = 0;
  for (std::size_t at = 0; at < header_end; ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ 1 << bit);
      if (verdict(changed) != "accepted") {
        ++refused;
        continue;
      }
      // What no reader can tell without a checksum: another name, another type of the same size.
      ++renamed;
      EXPECT_FALSE(same(load_safetensors(path("x")), before)) << at << ' ' << bit;
    }
  }
  EXPECT_GT(refused, 20 * renamed);
}

TEST_F(Safetensors, WriterRefuses) {
  const auto refused = [&](const TensorMap& tensors, const TextMap& metadata = {}) {
    EXPECT_THROW(save_safetensors(path("m"), tensors, metadata), Error);
    EXPECT_EQ(files(), 0u);
  };
  refused({{"a", Tensor()}});
  refused({{"__metadata__", Tensor({1}, {1.f})}});
  refused({{"\xff", Tensor({1}, {1.f})}});
  refused({}, {{"a", "\xc0"}});
  refused({}, {{"a", std::string(100'000'000, 'x')}});
}

TEST_F(Safetensors, MemoryFollowsTheFileNotItsHeader) {
  const auto peak_kib = [] {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  };
  const auto before = peak_kib();
  // A header that asks for 2^40 bytes, and one whose 300 000 tensors lie over the same bytes.
  expect_refused(framed(tensor("\"F32\"", "[274877906944]", "[0,1099511627776]"), "1234"),
                 "cut off");
  std::string many = "{";
  for (int i = 0; i < 300'000; ++i)
    many += (i ? ",\"" : "\"") + std::to_string(i) +
            "\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}";
  expect_refused(framed(many + "}", "1234"), "an overlap");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // which keep freed memory
  EXPECT_LT(peak_kib() - before, 256 * 1024);
#else
  static_cast<void>(before);
#endif
}

}  // namespace
}  // namespace fornax
