// The only doors from the machine to the sanitizers' runtimes. The machine itself is never
// instrumented; SIMT_ADDRESS or SIMT_THREAD says what the kernels are built with.
#pragma once
#include <cstddef>
#ifdef SIMT_ADDRESS
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef SIMT_THREAD
extern "C" {
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned);
void __tsan_destroy_fiber(void*);
void __tsan_switch_to_fiber(void*, unsigned);
void __tsan_acquire(void*);
void __tsan_release(void*);
}
#endif

namespace fornax::simt {

// TSan sees an order only through these two: they stand where CUDA has happens-before.
inline void acquire([[maybe_unused]] void* tag) {
#ifdef SIMT_THREAD
  __tsan_acquire(tag);
#endif
}
inline void release([[maybe_unused]] void* tag) {
#ifdef SIMT_THREAD
  __tsan_release(tag);
#endif
}

// ASan: bytes that no instrumented code may touch.
inline void poison([[maybe_unused]] void* bytes, [[maybe_unused]] std::size_t size) {
#ifdef SIMT_ADDRESS
  __asan_poison_memory_region(bytes, size);
#endif
}
inline void unpoison([[maybe_unused]] void* bytes, [[maybe_unused]] std::size_t size) {
#ifdef SIMT_ADDRESS
  __asan_unpoison_memory_region(bytes, size);
#endif
}

}  // namespace fornax::simt
