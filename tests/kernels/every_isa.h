// For tests that run a kernel on every instruction set of this machine and compare bits.
#pragma once
#include <fornax/error.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/host/isa.h"

namespace fornax {

/// Restores the active instruction set at the end of a test.
class IsaRestorer {
 public:
  IsaRestorer() : before_(host::active_isa()) {}
  ~IsaRestorer() { host::use_isa(before_); }
  IsaRestorer(const IsaRestorer&) = delete;
  IsaRestorer& operator=(const IsaRestorer&) = delete;

 private:
  host::Isa before_;
};

/// Those that this build and machine have. Leaves the active one unchanged.
inline std::vector<host::Isa> available_isas() {
  const IsaRestorer restore;
  std::vector<host::Isa> found;
  for (const host::Isa isa :
       {host::Isa::portable, host::Isa::avx2, host::Isa::avx512, host::Isa::neon}) {
    try {
      host::use_isa(isa);
      found.push_back(isa);
    } catch (const Error&) {
      continue;
    }
  }
  return found;
}

/// The bits, with every NaN the same: its payload is no part of the promise.
inline std::uint32_t canonical_bits(float x) {
  return std::isnan(x) ? 0x7fc00000u : std::bit_cast<std::uint32_t>(x);
}
inline bool same_bits(float a, float b) { return canonical_bits(a) == canonical_bits(b); }

}  // namespace fornax
