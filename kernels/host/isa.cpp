// Which instruction set the CPU kernels use: found once, or named by FORNAX_ISA.
#include "kernels/host/isa.h"

#include <fornax/error.h>

#include <atomic>
#include <string>

#include "hwy/detect_targets.h"
#include "runtime/support/environment.h"

namespace fornax::host {
namespace {

constexpr int kUnknown = -1;
std::atomic<int> active{kUnknown};

/// Whether this build has the form and this machine runs it.
bool available(Isa isa) {
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  if (isa == Isa::avx2) return avx2;
  if (isa == Isa::avx512)
    return (HWY_TARGETS & HWY_AVX3) != 0 && avx2 && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd");
  return false;
#elif defined(__aarch64__)
  return isa == Isa::neon;
#else
  return isa == Isa::portable;
#endif
}

std::string available_names() {
  std::string names;
  for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512, Isa::neon})
    if (available(isa)) names += (names.empty() ? "" : ", ") + std::string(name(isa));
  return names.empty() ? "none" : names;
}

Isa best_isa() {
  for (const Isa isa : {Isa::avx512, Isa::avx2, Isa::neon, Isa::portable})
    if (available(isa)) return isa;
  throw Error(ErrorCode::unsupported,
              "host kernels: this processor has none of the instruction sets they are compiled for "
              "(x86-64: AVX2 with FMA and BMI2, or AVX-512 F, BW, DQ, VL, CD)");
}

Isa chosen_isa() {
  const auto wanted = environment("FORNAX_ISA");
  if (!wanted) return best_isa();
  for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512, Isa::neon})
    if (*wanted == name(isa) && available(isa)) return isa;
  throw Error(ErrorCode::unsupported, "FORNAX_ISA: '" + *wanted +
                                          "' is not available; this build and machine have: " +
                                          available_names() + " (unset it for the best)");
}

}  // namespace

Isa active_isa() {
  const int known = active.load(std::memory_order_relaxed);
  if (known != kUnknown) [[likely]]
    return static_cast<Isa>(known);
  const Isa isa = chosen_isa();
  int expected = kUnknown;
  const bool first = active.compare_exchange_strong(expected, static_cast<int>(isa));
  return first ? isa : static_cast<Isa>(expected);
}

void use_isa(Isa isa) {
  if (!available(isa))
    throw Error(ErrorCode::unsupported,
                "use_isa: '" + std::string(name(isa)) +
                    "' is not available; this build and machine have: " + available_names());
  active.store(static_cast<int>(isa), std::memory_order_relaxed);
}

const char* name(Isa isa) {
  switch (isa) {
    case Isa::portable: return "portable";
    case Isa::avx2: return "avx2";
    case Isa::avx512: return "avx512";
    case Isa::neon: return "neon";
  }
  return "unknown";
}

ReadAhead read_ahead_of_processor() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_is("amd") ? ReadAhead::along : ReadAhead::streams;
#else
  return ReadAhead::streams;
#endif
}

}  // namespace fornax::host
