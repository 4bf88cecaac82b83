// The doors between host twins and the simt machine that runs them (runtime/cuda/simt/).
// Twins report their accesses here, so that a sanitizer names the kernel's line.
#pragma once
#include "target.cuh"

#if FORNAX_TWIN
#ifdef SIMT_ADDRESS
#include <sanitizer/asan_interface.h>
#endif
#ifdef SIMT_THREAD
extern "C" void __tsan_read_range(void*, unsigned long);
extern "C" void __tsan_write_range(void*, unsigned long);
#endif

namespace fornax::device {
struct Mbarrier;
}

namespace fornax::simt {

using device::Mbarrier;
using device::Site;

enum class Fragment { bf16, f16, tf32 };
enum class Access : std::uint8_t { read, write, load_matrices };

// Block.
void sync_block(Site site);
void sync_named(int barrier, int threads, bool wait, Site site);
void* shared_memory(std::size_t bytes, bool* first, Site site);
void guard(void* bytes, std::size_t size);

// Warp. `value` is at most 16 bytes; lanes bring their own source lane.
void shuffle(std::uint32_t mask, void* value, std::size_t bytes, int from_lane, Site site);
std::uint32_t ballot(std::uint32_t mask, bool predicate, Site site);
void sync_warp(std::uint32_t mask, Site site);
int lane();

// Tensor cores. `rows`: how many of the 8x8 matrices are loaded, 1, 2 or 4.
void load_matrices(const void* row, std::uint32_t* fragment, int matrices, bool transposed,
                   Site site);
void multiply(Fragment kind, float* c, const std::uint32_t* a, const std::uint32_t* b, Site site);

// Copies that end later.
void copy_async(void* to, const void* from, int bytes, int valid_bytes, Site site);
void copy_commit();
void copy_wait(int pending_groups);
void mbarrier_init(Mbarrier& barrier, int count, Site site);
void mbarrier_arrive(Mbarrier& barrier, int expected_bytes, Site site);
void mbarrier_wait(Mbarrier& barrier, int parity, Site site);
void bulk_load(void* to, const void* from, std::size_t bytes, Mbarrier& barrier, Site site);
void bulk_store(void* to, const void* from, std::size_t bytes, Site site);
void bulk_store_commit();
void bulk_store_wait(int pending_groups);
void fence_async_proxy();

// Memory. An atomic gives others a turn now and then, so that a thread that polls ends.
void fence_device();
void atomic_made(bool wrote, Site site);
[[noreturn]] void fail_misaligned(const void* address, std::size_t alignment, Site site);

/// Accesses are counted only while a test asks for it.
inline bool counting = false;
void count_access(Access access, const void* address, std::size_t bytes, Site site);

/// Ends the launch with an error when a vector access is not aligned, as a GPU does.
inline void check_aligned(const void* address, std::size_t alignment, Site site) {
  if (reinterpret_cast<std::uintptr_t>(address) % alignment) {
    fail_misaligned(address, alignment, site);
  }
}

/// Lets the sanitizer see an access that a primitive makes, at the kernel's line.
inline void check_read(const void* from, std::size_t bytes) {
#if defined(SIMT_ADDRESS)
  if (const void* bad = __asan_region_is_poisoned(const_cast<void*>(from), bytes)) {
    (void)*static_cast<const volatile char*>(bad);
  }
#elif defined(SIMT_THREAD)
  __tsan_read_range(const_cast<void*>(from), bytes);
#else
  (void)from, (void)bytes;
#endif
}
inline void check_write(void* to, std::size_t bytes) {
#if defined(SIMT_ADDRESS)
  if (void* bad = __asan_region_is_poisoned(to, bytes)) *static_cast<volatile char*>(bad) = 0;
#elif defined(SIMT_THREAD)
  __tsan_write_range(to, bytes);
#else
  (void)to, (void)bytes;
#endif
}

/// The same for the async proxy, which is a TSan thread of its own: bounds only.
inline void check_bounds([[maybe_unused]] void* to, [[maybe_unused]] std::size_t bytes) {
#ifdef SIMT_ADDRESS
  check_write(to, bytes);
#endif
}

}  // namespace fornax::simt
#endif
