// The processor's rounding state: MXCSR on x86-64, FPCR on 64-bit Arm.
#include "kernels/host/float_environment.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fornax::host {
namespace {

#if defined(__aarch64__)
constexpr unsigned long kFlush = 1ul << 24, kInputsAreZero = 0, kRounding = 3ul << 22;
unsigned long state() noexcept {
  unsigned long value;
  __asm__ volatile("mrs %0, fpcr" : "=r"(value));
  return value;
}
void set_state(unsigned long value) noexcept { __asm__ volatile("msr fpcr, %0" : : "r"(value)); }
#elif defined(__x86_64__)
constexpr unsigned long kFlush = 1ul << 15, kInputsAreZero = 1ul << 6, kRounding = 3ul << 13;
unsigned long state() noexcept { return _mm_getcsr(); }
void set_state(unsigned long value) noexcept { _mm_setcsr(static_cast<unsigned>(value)); }
#else
constexpr unsigned long kFlush = 0, kInputsAreZero = 0, kRounding = 0;
unsigned long state() noexcept { return 0; }
void set_state(unsigned long) noexcept {}
#endif

}  // namespace

const char* float_environment_fault() noexcept {
  const unsigned long now = state();
  if ((now & kFlush) != 0) return "subnormal results are flushed to zero (FTZ)";
  if ((now & kInputsAreZero) != 0) return "subnormal operands are read as zero (DAZ)";
  if ((now & kRounding) != 0) return "the rounding mode is not to nearest";
  return nullptr;
}

ExactFloatScope::ExactFloatScope() noexcept : saved_(state()) {
  set_state(saved_ & ~(kFlush | kInputsAreZero | kRounding));
}

ExactFloatScope::~ExactFloatScope() { set_state(saved_); }

}  // namespace fornax::host
