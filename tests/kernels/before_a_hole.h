// Floats whose last stands before a page that nobody may read: to read past it ends the test.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <span>

namespace fornax {

class BeforeAHole {
 public:
  explicit BeforeAHole(std::span<const float> values) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t pages = (values.size_bytes() + page - 1) / page;
    bytes_ = (pages + 1) * page;
    void* mapped =
        ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    begin_ = static_cast<std::byte*>(mapped);
    ::mprotect(begin_ + pages * page, page, PROT_NONE);
    data_ = reinterpret_cast<float*>(begin_ + pages * page - values.size_bytes());
    std::copy(values.begin(), values.end(), data_);
  }
  ~BeforeAHole() { ::munmap(begin_, bytes_); }
  BeforeAHole(const BeforeAHole&) = delete;
  BeforeAHole& operator=(const BeforeAHole&) = delete;

  const float* data() const { return data_; }

 private:
  std::byte* begin_;
  std::size_t bytes_;
  float* data_;
};

}  // namespace fornax
