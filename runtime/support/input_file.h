// Reading regular files whose size is known and checked before anything is allocated.
#pragma once
#include <cstdint>
#include <string>

namespace fornax {

/// An open regular file. Reads are by offset (no mapping: a file that shrinks is an error, not a
/// signal). Every method throws Error{io} with path and the system's text.
class InputFile {
 public:
  /// Throws Error{io} when `path` cannot be opened or is no regular file (folder, pipe, device).
  explicit InputFile(std::string path);
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  ~InputFile();

  const std::string& path() const noexcept { return path_; }
  /// Size when it was opened.
  std::int64_t bytes() const noexcept { return bytes_; }
  /// Reads exactly `bytes` bytes at `offset`; fewer there: Error{io} with the offset.
  void read(std::int64_t offset, void* data, std::int64_t bytes) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  std::int64_t bytes_ = 0;
};

/// The whole file. Throws Error{io} as above, and Error{invalid_argument} when it is larger than
/// `limit_bytes`.
std::string read_file(const std::string& path, std::int64_t limit_bytes);

}  // namespace fornax
