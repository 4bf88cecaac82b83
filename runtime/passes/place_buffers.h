// Offsets in one arena for buffers whose lifetimes are partly ordered.
#pragma once
#include <cstdint>
#include <vector>

namespace fornax {

/// When a buffer is used. Buffer a lies wholly before b when, for every stream k,
/// a.ended[k] <= b.known[k]; buffers of which neither lies before the other need distinct bytes.
/// With one stream these are intervals [known, ended).
struct Lifetimes {
  int streams = 1;
  std::vector<std::int64_t> bytes;  ///< multiples of the alignment
  std::vector<int> begin, end;      ///< list interval, sound for every order; end exclusive
  std::vector<int> known;           ///< buffers x streams: steps that ended before the first use
  std::vector<int> ended;           ///< buffers x streams: steps that end with the last use

  int count() const noexcept { return static_cast<int>(bytes.size()); }
};

struct Placement {
  std::vector<std::int64_t> offset_bytes;
  std::int64_t height_bytes = 0;
};

/// Places buffers in a portfolio of orders (size, size x sqrt(life), life, program, breadth) by two
/// rules (tightest gap, lowest gap), keeps the lowest result and, when that is more than 1 % above
/// `lower_bound_bytes`, improves its order by hill climbing with a fixed number of trials. Above
/// kExactBuffers buffers it allocates in program order by list intervals instead (tightest fit).
/// Deterministic. Source: greedy-by-size of Pisarchyk and Lee 2020 (arXiv 2001.03288).
Placement place_buffers(const Lifetimes& buffers, std::int64_t lower_bound_bytes);

inline constexpr int kExactBuffers = 20000;

}  // namespace fornax
