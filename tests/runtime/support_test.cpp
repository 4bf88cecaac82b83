// SHA-256, CRC-32C, checked sizes, the environment table and the log.
#include <fornax/error.h>
#include <fornax/log.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <vector>

#include "runtime/support/checked.h"
#include "runtime/support/crc32c.h"
#include "runtime/support/environment.h"
#include "runtime/support/log.h"
#include "runtime/support/sha256.h"

namespace fornax {
namespace {

TEST(Sha256, PublishedDigests) {  // FIPS 180-4 examples
  EXPECT_EQ(Sha256().hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256().update("abc").hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256().update("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq").hex(),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(Sha256().update(std::string(1'000'000, 'a')).hex(),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesOfAnySizeJoin) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i * 7);
  for (std::size_t length = 0; length <= text.size(); ++length) {
    const std::string_view part = std::string_view(text).substr(0, length);
    Sha256 pieces;
    for (std::size_t at = 0, step = 1; at < length; at += step, step = step % 67 + 1)
      pieces.update(part.substr(at, step));
    ASSERT_EQ(pieces.hex(), Sha256().update(part).hex()) << length;
  }
}

TEST(Sha256, FeedsAtAUsefulRate) {
  const std::string block(8 << 20, 'x');
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    Sha256 hash;
    hash.update(block);
    ASSERT_EQ(hash.hex().size(), 64u);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, static_cast<double>(block.size()) / 1e6 / seconds.count());
  }
  RecordProperty("megabytes_per_second", std::to_string(best));
  std::printf("SHA-256: %.0f MB/s\n", best);
  EXPECT_GT(best, 5);  // loose: sanitizers and loaded machines
}

TEST(Crc32c, PublishedValues) {  // RFC 3720 appendix B.4
  EXPECT_EQ(crc32c("123456789", 9), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0').data(), 32), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff').data(), 32), 0x62a8ab43u);
  for (std::size_t cut = 0; cut <= 9; ++cut)
    EXPECT_EQ(crc32c("123456789" + cut, 9 - cut, crc32c("123456789", cut)), 0xe3069283u) << cut;
}

TEST(Checked, SizesThatDoNotFitAreRefused) {
  const std::int64_t large = std::int64_t{1} << 62;
  EXPECT_EQ(checked_multiply<std::int64_t>(large, 1, "x"), large);
  EXPECT_THROW(checked_multiply<std::int64_t>(large, 2, "x"), Error);
  EXPECT_THROW(checked_add<std::int64_t>(large, large, "x"), Error);
  EXPECT_THROW(checked_multiply<std::uint64_t>(std::uint64_t{1} << 32, std::uint64_t{1} << 32, "x"),
               Error);
  try {
    checked_multiply<std::int64_t>(large, 4, "extent", ErrorCode::shape);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::shape);
    EXPECT_STREQ(error.what(), "extent: 4611686018427387904 * 4 overflows");
  }
}

std::string text_of(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(Environment, ThePageIsTheTable) {
  const auto page = std::filesystem::path(FORNAX_SOURCE_DIR) / "docs/environment.md";
  EXPECT_EQ(text_of(page), environment_markdown()) << "write environment_markdown() to " << page;
}

TEST(Environment, EveryVariableThatTheSourcesReadIsInTheTable) {
  const std::regex read(
      "(?:getenv|setenv|environment|environment_integer|read_number)\\(\"(FORNAX_[A-Z_]+)\"");
  int found = 0;
  for (const char* folder : {"kernels", "runtime", "samples", "tests"}) {
    const auto root = std::filesystem::path(FORNAX_SOURCE_DIR) / folder;
    if (!std::filesystem::exists(root)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
      if (!entry.is_regular_file()) continue;
      const std::string text = text_of(entry.path());
      for (std::sregex_iterator at(text.begin(), text.end(), read), end; at != end; ++at, ++found)
        EXPECT_NO_THROW(environment((*at)[1].str())) << (*at)[1] << " in " << entry.path();
    }
  }
  EXPECT_GE(found, 3);
}

TEST(Environment, IntegersAreChecked) {
  const auto value = [](const char* text) {
    ::setenv("FORNAX_NUM_THREADS", text, 1);
    return environment_integer("FORNAX_NUM_THREADS", 1, 1024);
  };
  EXPECT_EQ(value("12"), 12);
  EXPECT_EQ(value(""), std::nullopt);
  for (const char* text : {"0", "1025", "x", "1x", " 1", "1.0", "-1", "99999999999999999999"})
    EXPECT_THROW(value(text), Error) << text;
  ::unsetenv("FORNAX_NUM_THREADS");
  EXPECT_EQ(environment_integer("FORNAX_NUM_THREADS", 1, 1024), std::nullopt);
  EXPECT_THROW(environment("HOME"), Error);
}

TEST(Log, LevelsAndCategories) {
  std::vector<std::string> lines;
  set_log_sink([&](const LogRecord& record) {
    lines.push_back(std::string(record.category) + '/' + name(record.level) + '/' +
                    std::string(record.message));
  });
  set_log_levels("plan,info,storage=error");
  log("plan", LogLevel::debug, "1");
  log("data", LogLevel::debug, "2");
  log("data", LogLevel::info, "3");
  log("storage", LogLevel::warning, "4");
  log("storage", LogLevel::error, "5");
  EXPECT_EQ(lines, (std::vector<std::string>{"plan/debug/1", "data/info/3", "storage/error/5"}));
  EXPECT_TRUE(log_enabled("plan", LogLevel::debug));
  set_log_levels("off");
  log("plan", LogLevel::error, "6");
  EXPECT_EQ(lines.size(), 3u);
  for (const char* text : {"", "plam", "plan=loud", "plan,", "info=plan", "x=info"})
    EXPECT_THROW(set_log_levels(text), Error) << text;
  set_log_levels("warning");
  set_log_sink({});
}

TEST(Log, ASinkThatThrowsDoesNotReachTheCaller) {
  set_log_sink([](const LogRecord&) { throw std::runtime_error("full"); });
  log("data", LogLevel::error, "x");
  set_log_sink({});
}

}  // namespace
}  // namespace fornax
