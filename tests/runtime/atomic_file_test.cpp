// Replacing files: the old one stays until the whole new one is there; nothing is left behind.
#include "runtime/support/atomic_file.h"

#include <fcntl.h>
#include <fornax/error.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <stdexcept>

#include "tests/runtime/temporary_folder.h"

namespace fornax {
namespace {

class AtomicFileTest : public TemporaryFolder {
 protected:
  void SetUp() override {
    TemporaryFolder::SetUp();
    path_ = path("file");
  }
  std::string content() const { return text_of("file"); }

  std::string path_;
};

TEST_F(AtomicFileTest, ReplacesAndKeepsTheMode) {
  write_file(path_, "old");
  ::chmod(path_.c_str(), 0640);
  write_file(path_, "new");
  EXPECT_EQ(content(), "new");
  struct stat status {};
  ::stat(path_.c_str(), &status);
  EXPECT_EQ(status.st_mode & 0777, 0640u);
  EXPECT_EQ(files(), 1u);
}

TEST_F(AtomicFileTest, WithoutCommitTheOldFileStays) {
  write_file(path_, "old");
  { AtomicFile(path_).write("half"); }
  EXPECT_EQ(content(), "old");
  EXPECT_EQ(files(), 1u);
}

TEST_F(AtomicFileTest, AVerifierThatThrowsKeepsTheOldFile) {
  write_file(path_, "old");
  AtomicFile file(path_);
  file.write("new");
  std::string seen;
  EXPECT_THROW(file.commit([&](const std::string& temporary) {
    seen = read_file(temporary, 100);
    throw std::runtime_error("bad");
  }),
               std::runtime_error);
  EXPECT_EQ(seen, "new");
  EXPECT_EQ(content(), "old");
}

TEST_F(AtomicFileTest, RemovesTemporaryFilesOfDeadWritersOnly) {
  const pid_t child = ::fork();
  if (child == 0) {
    AtomicFile file(path_);
    file.write("half");
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  ASSERT_EQ(files(), 1u);
  write_file(folder_ / "file.tmp.12.x", "not of our form");
  AtomicFile alive(path_);
  alive.write("first");
  write_file(path_, "second");
  EXPECT_EQ(files(), 3u);  // file, the live temporary, and the file that is not ours
  alive.commit();
  EXPECT_EQ(content(), "first");
}

TEST_F(AtomicFileTest, ErrorsNamePathAndReason) {
  const auto message = [](const std::string& path) -> std::string {
    try {
      write_file(path, "x");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::io);
      return error.what();
    }
    return "written";
  };
  EXPECT_NE(message(folder_ / "absent/file").find("No such file or directory (errno 2)"),
            std::string::npos);
  EXPECT_NE(message(folder_ / std::string(300, 'x')).find("File name too long"), std::string::npos);
  for (const std::string& path : {folder_.string(), std::string("/dev/full"), std::string("")})
    EXPECT_NE(message(path).find("regular file"), std::string::npos) << path;
  EXPECT_NE(message("/proc/fornax").find("/proc/fornax: cannot create"), std::string::npos);
}

TEST_F(AtomicFileTest, AFullDiskKeepsTheOldFile) {
  write_file(path_, "old");
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1 << 16, 1 << 16};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      write_file(path_, std::string(1 << 20, 'x'));
    } catch (const Error& error) {
      ::_exit(std::string(error.what()).find("File too large") != std::string::npos ? 0 : 2);
    }
    ::_exit(1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(content(), "old");
  EXPECT_EQ(files(), 1u);
}

TEST_F(AtomicFileTest, InputIsARegularFile) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THROW(InputFile{path_}, Error);
  EXPECT_THROW(InputFile{"/dev/zero"}, Error);
  EXPECT_THROW(InputFile{folder_.string()}, Error);
  EXPECT_THROW(InputFile{folder_ / "absent"}, Error);
  std::filesystem::remove(path_);
  write_file(path_, "12345");
  const InputFile file(path_);
  EXPECT_EQ(file.bytes(), 5);
  ASSERT_EQ(::truncate(path_.c_str(), 2), 0);
  char data[5];
  EXPECT_THROW(file.read(0, data, 5), Error);
  EXPECT_THROW(read_file(path_, 1), Error);
}

}  // namespace
}  // namespace fornax
