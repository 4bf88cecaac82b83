// Reading regular files.
#include "runtime/support/input_file.h"

#include <fcntl.h>
#include <fornax/error.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "runtime/support/system_error.h"

namespace fornax {

InputFile::InputFile(std::string path) : path_(std::move(path)) {
  // O_NONBLOCK: opening a pipe must not wait for a writer.
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (descriptor_ < 0) throw_io("cannot open", path_);
  struct stat status {};
  const bool known = ::fstat(descriptor_, &status) == 0;
  if (known && S_ISREG(status.st_mode)) {
    bytes_ = status.st_size;
    return;
  }
  const int error = errno;
  ::close(descriptor_);
  if (!known) throw_io("cannot examine", path_, error);
  throw Error(ErrorCode::io,
              path_ + ": is no regular file" + (S_ISDIR(status.st_mode) ? " but a folder" : ""));
}

InputFile::~InputFile() { ::close(descriptor_); }

void InputFile::read(std::int64_t offset, void* data, std::int64_t bytes) const {
  constexpr std::int64_t kPiece = std::int64_t{1} << 30;
  auto* next = static_cast<char*>(data);
  while (bytes > 0) {
    const auto piece = static_cast<std::size_t>(std::min(bytes, kPiece));
    const ssize_t count = ::pread(descriptor_, next, piece, offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_io("cannot read at byte " + std::to_string(offset), path_);
    if (count == 0)
      throw Error(ErrorCode::io, path_ + ": ends at byte " + std::to_string(offset) + ", " +
                                     std::to_string(bytes) +
                                     " bytes early; it shrank while it was read");
    next += count, offset += count, bytes -= count;
  }
}

std::string read_file(const std::string& path, std::int64_t limit_bytes) {
  const InputFile file(path);
  if (file.bytes() > limit_bytes)
    throw Error(ErrorCode::invalid_argument, path + ": " + std::to_string(file.bytes()) +
                                                 " bytes exceed the limit of " +
                                                 std::to_string(limit_bytes));
  std::string text(static_cast<std::size_t>(file.bytes()), '\0');
  file.read(0, text.data(), file.bytes());
  return text;
}

}  // namespace fornax
