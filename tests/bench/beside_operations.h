// Floors of work whose operations take about as long as its bytes: both at once.
#pragma once
#include <cstdint>

namespace fornax::bench {

constexpr int kFmaOfStep = 4, kMostSteps = 16;
constexpr int kMostFma = kFmaOfStep * (kMostSteps + 1) - 1;

/// Words that are read or copied beside operations.
struct BesideWork {
  const std::uint32_t* from;
  std::uint32_t* to;
  std::int64_t count;
  int fma;  ///< of a word, at most kMostFma
  bool quotient;
};
struct BesideResult {
  std::uint32_t sum = 0;  ///< modulo 2^32, of what is read alone
  double fma = 0;         ///< how many were done, of lanes
};
/// Up to so many of a call are counted: 2^24 by each lane of the shortest vectors.
constexpr std::int64_t kMostCounted = std::int64_t{48} << 24;

/// Words read in so many streams, or copied in kStreams, through the caches or past them; `to`
/// begins a line then. What is left of whole lines of every stream goes without operations, and so
/// do all words where a stream would have less than 64 lines.
BesideResult read_of_4(const BesideWork& work);
BesideResult read_of_8(const BesideWork& work);
BesideResult copy_beside(const BesideWork& work);
BesideResult stream_beside(const BesideWork& work);

}  // namespace fornax::bench
