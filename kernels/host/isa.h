// Which instruction set the CPU kernels use, and how a kernel file picks among its compiled forms.
#pragma once

namespace fornax::host {

/// Instruction sets with a compiled form of every CPU kernel. All give the same bits.
enum class Isa { portable, avx2, avx512, neon };

/// The best one that this machine has, or what FORNAX_ISA names ("avx2", "avx512", "neon").
/// Throws Error{unsupported} when FORNAX_ISA names one that is absent, or the machine has none.
Isa active_isa();

/// For tests: the next kernels use `isa`. Throws Error{unsupported} when the machine lacks it.
void use_isa(Isa isa);

const char* name(Isa isa);

}  // namespace fornax::host
