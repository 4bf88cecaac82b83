// Writing a file so that, whatever happens, either the old one or the whole new one is there.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace fornax {

/// A new file under a temporary name beside `path`: NAME.tmp.PID.NONCE in the same folder, opened
/// O_CREAT|O_EXCL|O_NOFOLLOW and locked (flock), which says that its writer lives. Temporary files
/// of dead writers of the same NAME are removed. commit() syncs it, lets `verify` read it, renames
/// it to `path` and syncs the folder. Without commit() the destructor removes it.
/// The new file has the mode of the one it replaces, else 0666 less the umask. A symbolic link at
/// `path` is itself replaced. All methods throw Error{io} with path and the system's text; the file
/// at `path` is then as it was (only a failing sync of the folder comes after the rename).
class AtomicFile {
 public:
  /// Throws Error{io} too when something else than a regular file or a link stands at `path`.
  explicit AtomicFile(std::string path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void write(const void* data, std::size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Writes over bytes that were written before.
  void rewrite(std::int64_t offset, std::string_view text);
  /// `verify` is given the temporary file's path after the sync; what it throws comes out of here.
  void commit(const std::function<void(const std::string&)>& verify = {});

 private:
  void open_temporary();
  void sweep() const;

  std::string path_, folder_, name_, temporary_;
  int descriptor_ = -1;
};

/// AtomicFile of `text`.
void write_file(const std::string& path, std::string_view text);

}  // namespace fornax
