// Which steps of a plan are sure to have ended when another begins: by streams and events.
#pragma once
#include "runtime/execution/plan.h"

namespace fornax {

/// Vector clocks of the steps: for every step and stream, how many steps of that stream precede it.
/// Source: Fidge 1988; exact here because the steps of one stream are ordered.
class HappensBefore {
 public:
  explicit HappensBefore(const Plan& plan);

  int streams() const noexcept { return streams_; }
  int stream(int step) const { return stream_[static_cast<std::size_t>(step)]; }
  /// Index of a step among those of its stream.
  int position(int step) const { return position_[static_cast<std::size_t>(step)]; }
  /// How many steps of `stream` have ended when `step` begins.
  int ended(int step, int stream) const {
    return clocks_[static_cast<std::size_t>(step) * static_cast<std::size_t>(streams_) +
                   static_cast<std::size_t>(stream)];
  }
  bool operator()(int earlier, int later) const {
    return ended(later, stream(earlier)) > position(earlier);
  }
  /// The steps of one stream, in order.
  const std::vector<int>& steps_of(int stream) const {
    return steps_of_[static_cast<std::size_t>(stream)];
  }

 private:
  int streams_;
  std::vector<int> stream_, position_, clocks_;
  std::vector<std::vector<int>> steps_of_;
};

}  // namespace fornax
