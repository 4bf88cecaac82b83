// What memory can do at most: work that is nothing but bytes read and bytes written.
#pragma once
#include <cstdint>
#include <functional>

namespace fornax::bench {

/// Bytes that a step reads and writes, in whole words of 4.
struct Traffic {
  std::int64_t read = 0, written = 0;
  bool in_place = false;  ///< what is both is the same memory
  /// Of vectors' lanes, all in all; not in place. Then words are read, and copied, beside as many
  /// independent operations, less than one a word fewer and at most 67 a word: fma in registers, a
  /// quotient a word where there is one, the sum of what is only read.
  double operations = 0, quotients = 0;
};

/// What is not done: planted faults, which must be found.
struct LeftOut {
  std::int64_t words = 0;  ///< of each part
  int fma = 0;             ///< of each word
};

struct TrafficWork {
  std::function<void()> step;
  Traffic touched;  ///< what a step was seen to read and to write
};

/// Reads and writes as many bytes, as STREAM counts them (McCalpin 1995): what is both read and
/// written by a copy, past the caches (long ones in kStreams streams) or not, or, where it is the
/// same memory, by that or by an update in place; the rest of the reads by a sum in registers of
/// one, 4 or 8 streams a thread, the rest of the writes by a fill, past the caches or not. On one
/// thread or on `threads`: of each part the way that is the fastest when this is called. A copy
/// through the caches may move half as much again as it is counted for, since they fetch a line
/// before it is written. Every way is run once and the words that it read and wrote, and its
/// fma, are counted: throws std::runtime_error when they are not those asked for.
TrafficWork traffic_work(int threads, Traffic traffic, const LeftOut& left_out = {});

}  // namespace fornax::bench
