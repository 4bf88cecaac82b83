// Atomic and durable replacement of files.
#include "runtime/support/atomic_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>

#include "runtime/support/system_error.h"

namespace fornax {

namespace {

constexpr int kCreate = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;

/// Whether `entry` is PREFIX followed by PID.NONCE.
bool is_temporary(std::string_view entry, std::string_view prefix) noexcept {
  if (!entry.starts_with(prefix)) return false;
  entry.remove_prefix(prefix.size());
  const std::size_t dot = entry.find('.');
  return dot != std::string_view::npos && dot > 0 && dot + 1 < entry.size() &&
         entry.find_first_not_of("0123456789.") == std::string_view::npos &&
         entry.find('.', dot + 1) == std::string_view::npos;
}

void sync_folder(const std::string& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw_io("cannot open the folder to sync it", folder);
  const int result = ::fsync(descriptor);
  const int error = errno;
  ::close(descriptor);
  // EINVAL: a file system that cannot sync folders.
  if (result != 0 && error != EINVAL) throw_io("cannot sync the folder", folder, error);
}

}  // namespace

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  const std::size_t slash = path_.rfind('/');
  folder_ = slash == std::string::npos ? "." : path_.substr(0, std::max<std::size_t>(slash, 1));
  name_ = slash == std::string::npos ? path_ : path_.substr(slash + 1);
  struct stat old {};
  const bool replaces = ::lstat(path_.c_str(), &old) == 0;
  if (name_.empty() || (replaces && !S_ISREG(old.st_mode) && !S_ISLNK(old.st_mode)))
    throw Error(ErrorCode::io, path_ + ": cannot write here: it is no regular file");
  sweep();
  open_temporary();
  if (replaces && S_ISREG(old.st_mode)) ::fchmod(descriptor_, old.st_mode & 07777);
}

void AtomicFile::open_temporary() {
  static std::atomic<unsigned> next{0};
  for (int attempt = 0; attempt < 1000; ++attempt) {
    temporary_ =
        path_ + ".tmp." + std::to_string(::getpid()) + '.' + std::to_string(next.fetch_add(1));
    descriptor_ = ::open(temporary_.c_str(), kCreate, 0666);
    if (descriptor_ < 0 && errno == EEXIST) continue;
    if (descriptor_ < 0) throw_io("cannot create " + temporary_, path_);
    // A sweeper may have taken the lock first, or removed the file: then it is not ours.
    struct stat status {};
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0 && ::fstat(descriptor_, &status) == 0 &&
        status.st_nlink > 0)
      return;
    ::close(descriptor_);
    ::unlink(temporary_.c_str());
    descriptor_ = -1;
  }
  throw Error(ErrorCode::io, path_ + ": found no free temporary name in 1000 attempts");
}

void AtomicFile::sweep() const {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(folder_.c_str()), ::closedir);
  if (!folder) return;  // creating the temporary file will tell why
  const std::string prefix = name_ + ".tmp.";
  while (const dirent* entry = ::readdir(folder.get())) {
    if (!is_temporary(entry->d_name, prefix)) continue;
    const std::string stale = folder_ + '/' + entry->d_name;
    const int descriptor = ::open(stale.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (descriptor < 0) continue;
    if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) ::unlink(stale.c_str());
    ::close(descriptor);
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  ::close(descriptor_);
}

void AtomicFile::write(const void* data, std::size_t bytes) {
  constexpr std::size_t kPiece = std::size_t{1} << 30;
  const auto* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t count = ::write(descriptor_, next, std::min(bytes, kPiece));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_io("cannot write " + temporary_, path_);
    next += count, bytes -= static_cast<std::size_t>(count);
  }
}

void AtomicFile::rewrite(std::int64_t offset, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::pwrite(descriptor_, text.data(), text.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_io("cannot write " + temporary_, path_);
    offset += count;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
}

void AtomicFile::commit(const std::function<void(const std::string&)>& verify) {
  // A failed sync is final: the pages may be marked clean, so a second one could succeed falsely
  // (Rebello et al. 2020).
  if (::fsync(descriptor_) != 0) throw_io("cannot sync " + temporary_, path_);
  if (verify) verify(temporary_);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0)
    throw_io("cannot rename " + temporary_, path_);
  temporary_.clear();
  sync_folder(folder_);
}

void write_file(const std::string& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace fornax
