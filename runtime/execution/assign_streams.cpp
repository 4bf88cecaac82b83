// Streams and events of a plan: weight gradients, and updates by them, run beside the backward
// pass.
#include <algorithm>
#include <array>

#include "runtime/execution/happens_before.h"

namespace fornax {

namespace {

std::size_t at(int id) { return static_cast<std::size_t>(id); }

constexpr int kSecond = 1;  // the main stream is 0

class Assigner {
 public:
  explicit Assigner(Plan& plan) : plan_(plan), dependencies_(dependencies_of(plan.graph)) {}

  /// Sets streams; false when nothing leaves the main stream, which always has the first step and
  /// the last.
  bool choose_streams() {
    std::vector<char> on_second(plan_.graph.nodes.size(), 0);
    bool any = false;
    for (PlanStep& step : plan_.steps) {
      if (step.kind != PlanStep::Kind::launch) continue;
      if (&step == &plan_.steps.front() || &step == &plan_.steps.back()) continue;
      if (!plan_.graph.nodes[at(step.node)].op->weight_gradient &&
          !ends_there(step.node, on_second))
        continue;
      step.stream = kSecond;
      on_second[at(step.node)] = 1;
      any = true;
    }
    return any;
  }

  void add_events(int join_distance) {
    find_needs();
    join(std::max(join_distance, 1));
    known_.assign(plan_.steps.size(), {kAbsent, kAbsent});
    last_ = {kAbsent, kAbsent};
    for (int s = 0; s < static_cast<int>(plan_.steps.size()); ++s) visit(s);
  }

 private:
  /// An update that takes nothing but states, inputs and what the second stream makes.
  bool ends_there(int node, const std::vector<char>& on_second) const {
    if (!dependencies_.update[at(node)]) return false;
    bool any = false;
    for (const int id : plan_.graph.nodes[at(node)].in) {
      if (id == kAbsent) continue;
      const int producer = plan_.graph.values[at(dependencies_.base[at(id)])].producer;
      if (producer == kAbsent) continue;
      if (!on_second[at(producer)]) return false;
      any = true;
    }
    return any;
  }

  /// For every step, the last step of the other stream that it needs. Waiting for one of a stream
  /// waits for all before it.
  void find_needs() {
    needs_.assign(plan_.steps.size(), kAbsent);
    // By node and stream: the last step that it is or, through views, needs.
    std::vector<std::array<int, 2>> last(plan_.graph.nodes.size(), {kAbsent, kAbsent});
    std::vector<int> step_of(plan_.graph.nodes.size(), kAbsent);
    for (std::size_t s = 0; s < plan_.steps.size(); ++s)
      if (plan_.steps[s].node != kAbsent) step_of[at(plan_.steps[s].node)] = static_cast<int>(s);
    for (const int n : schedule(plan_.graph, dependencies_)) {
      std::array<int, 2> needed{kAbsent, kAbsent};
      for (const int earlier : dependencies_.before[at(n)])
        for (std::size_t k = 0; k < 2; ++k) needed[k] = std::max(needed[k], last[at(earlier)][k]);
      const int s = step_of[at(n)];
      if (s == kAbsent) {
        last[at(n)] = needed;
        continue;
      }
      const int stream = plan_.steps[at(s)].stream;
      needs_[at(s)] = needed[at(1 - stream)];
      last[at(n)][at(stream)] = s;
    }
    for (std::size_t s = 0; s < plan_.steps.size(); ++s) copy_needs(s, last);
  }

  /// Uploads need nothing and stand before all; the second stream waits for them, or for the first
  /// step, so that capture reaches it. Downloads need the producer.
  void copy_needs(std::size_t s, const std::vector<std::array<int, 2>>& last) {
    const PlanStep& step = plan_.steps[s];
    if (step.kind == PlanStep::Kind::download) {
      const int producer = plan_.graph.values[at(step.in[0])].producer;
      if (producer != kAbsent) needs_[s] = last[at(producer)][kSecond];
    }
    if (step.kind != PlanStep::Kind::launch || step.stream != kSecond) return;
    const int last_upload = std::max(static_cast<int>(plan_.inputs.size()) - 1, 0);
    needs_[s] = std::max(needs_[s], last_upload);
  }

  /// The main stream may lead by `distance` steps of the second one, so that what these read is
  /// soon free again.
  void join(int distance) {
    std::vector<int> second;
    bool due = false;
    for (int s = 0; s < static_cast<int>(plan_.steps.size()); ++s) {
      if (plan_.steps[at(s)].stream == kSecond) {
        second.push_back(s);
        due = static_cast<int>(second.size()) > distance;
      } else if (due) {
        needs_[at(s)] = std::max(needs_[at(s)], second[second.size() - 1 - at(distance)]);
        due = false;
      }
    }
    // The last step, on the main stream, ends after both.
    if (!second.empty()) needs_.back() = std::max(needs_.back(), second.back());
  }

  /// Waits only for what the stream does not know already.
  void visit(int s) {
    PlanStep& step = plan_.steps[at(s)];
    const int own = step.stream, other = 1 - own;
    std::array<int, 2> known =
        last_[at(own)] == kAbsent ? std::array{kAbsent, kAbsent} : known_[at(last_[at(own)])];
    const int need = needs_[at(s)];
    if (need != kAbsent && need > known[at(other)]) {
      PlanStep& source = plan_.steps[at(need)];
      if (source.signal == kAbsent) source.signal = plan_.events++;
      step.waits.push_back(source.signal);
      known[at(other)] = need;
    }
    known[at(own)] = s;
    known_[at(s)] = known;
    last_[at(own)] = s;
  }

  Plan& plan_;
  Dependencies dependencies_;
  std::vector<int> needs_;
  std::vector<std::array<int, 2>> known_;  ///< by step and stream: the last step that has ended
  std::array<int, 2> last_{kAbsent, kAbsent};
};

}  // namespace

void assign_streams(Plan& plan, const PlanOptions& options) {
  if (plan.model.streams < 2 || !options.second_stream) return;
  Assigner assigner(plan);
  if (!assigner.choose_streams()) return;
  plan.streams = 2;
  assigner.add_events(options.join_distance);
}

HappensBefore::HappensBefore(const Plan& plan) : streams_(plan.streams) {
  const std::size_t count = plan.steps.size(), width = at(streams_);
  clocks_.assign(count * width, 0);
  steps_of_.resize(width);
  std::vector<int> source(at(plan.events), kAbsent);
  for (std::size_t s = 0; s < count; ++s) {
    const PlanStep& step = plan.steps[s];
    auto& earlier = steps_of_[at(step.stream)];
    int* clock = &clocks_[s * width];
    const auto join = [&](int from) {
      const int* other = &clocks_[at(from) * width];
      for (std::size_t k = 0; k < width; ++k) clock[k] = std::max(clock[k], other[k]);
      int& own = clock[at(stream_[at(from)])];
      own = std::max(own, position_[at(from)] + 1);
    };
    if (!earlier.empty()) join(earlier.back());
    for (const int event : step.waits)
      if (source[at(event)] != kAbsent) join(source[at(event)]);
    stream_.push_back(step.stream);
    position_.push_back(static_cast<int>(earlier.size()));
    earlier.push_back(static_cast<int>(s));
    if (step.signal != kAbsent) source[at(step.signal)] = static_cast<int>(s);
  }
}

}  // namespace fornax
