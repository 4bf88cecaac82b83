// Which instruction set the CPU kernels use, and how a kernel file picks among its compiled forms;
// and in what order they go through memory.
#pragma once
#include <atomic>

namespace fornax::host {

/// Instruction sets with a compiled form of every CPU kernel. All give the same bits.
enum class Isa { portable, avx2, avx512, neon };

/// The best one that this machine has, or what FORNAX_ISA names ("avx2", "avx512", "neon").
/// Throws Error{unsupported} when FORNAX_ISA names one that is absent, or the machine has none.
Isa active_isa();

/// For tests: the next kernels use `isa`. Throws Error{unsupported} when the machine lacks it.
void use_isa(Isa isa);

const char* name(Isa isa);

/// What hardware is quick to read ahead of. streams: many places that take turns, some lines at
/// each (Intel, measured on Emerald Rapids). along: loads that each go along one of a few places,
/// line by line; where one load takes turns among rows it reads at 0.6 of the rate (AMD, measured
/// on Zen 5). All orders give the same bits.
enum class ReadAhead { streams, along };
ReadAhead read_ahead_of_processor();

/// What kernels go by. Tests set it.
inline std::atomic<ReadAhead> read_ahead{read_ahead_of_processor()};
inline bool reads_along() { return read_ahead.load(std::memory_order_relaxed) == ReadAhead::along; }

}  // namespace fornax::host
