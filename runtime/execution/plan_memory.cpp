// Memory of a plan: which values share bytes, how long each allocation lives, where it lies.
#include <algorithm>

#include "runtime/execution/happens_before.h"
#include "runtime/passes/place_buffers.h"

namespace fornax {

namespace {

using Kind = kernels::Alias::Kind;
using Space = Location::Space;

std::size_t at(int id) { return static_cast<std::size_t>(id); }
std::int64_t padded(std::int64_t bytes) { return (bytes + 255) / 256 * 256; }

/// Which value owns the bytes of each. A view or an updated state lies in its base; a base that was
/// written in place lies in the value that first owned those bytes.
class Roots {
 public:
  Roots(const Plan& plan, const HappensBefore& before) : plan_(plan), before_(before) {
    const std::size_t count = plan.graph.values.size();
    for (std::size_t id = 0; id < count; ++id) base_.push_back(static_cast<int>(id));
    owner_ = holder_ = base_;
    offset_.assign(count, 0);
    accesses_.resize(count);
    follow_views();
    for (std::size_t s = 0; s < plan.steps.size(); ++s)
      for (const auto* list : {&plan.steps[s].in, &plan.steps[s].out})
        for (const int id : *list)
          if (id != kAbsent) accesses_[at(base_[at(id)])].push_back(static_cast<int>(s));
    for (std::size_t s = 0; s < plan.steps.size(); ++s) overwrite_in_place(static_cast<int>(s));
  }

  int root(int id) const { return owner_[at(base_[at(id)])]; }
  std::int64_t offset_bytes(int id) const { return offset_[at(id)]; }
  /// Steps that touch a base, in order.
  const std::vector<int>& accesses(int base) const { return accesses_[at(base)]; }

 private:
  void follow_views() {
    for (const NodeData& node : plan_.graph.nodes) {
      if (!node.op->aliases) continue;
      for (const kernels::Alias& alias : aliases_of(plan_.graph, node)) {
        const int out = node.out[at(alias.out)], in = node.in[at(alias.in)];
        if (alias.kind == Kind::may_overwrite || out == kAbsent || in == kAbsent) continue;
        base_[at(out)] = base_[at(in)];
        offset_[at(out)] =
            offset_[at(in)] + alias.offset_elements * size_bytes(plan_.graph.type_of(in).dtype);
      }
    }
  }

  void overwrite_in_place(int s) {
    const PlanStep& step = plan_.steps[at(s)];
    if (step.kind != PlanStep::Kind::launch) return;
    const NodeData& node = plan_.graph.nodes[at(step.node)];
    if (!node.op->aliases) return;
    for (const kernels::Alias& alias : aliases_of(plan_.graph, node)) {
      const int in = node.in[at(alias.in)], out = node.out[at(alias.out)];
      if (alias.kind != Kind::may_overwrite || in == kAbsent || out == kAbsent) continue;
      if (!may_overwrite(s, in, out)) continue;
      owner_[at(out)] = owner_[at(in)];
      holder_[at(owner_[at(in)])] = out;
    }
  }

  bool may_overwrite(int s, int in, int out) const {
    const auto& values = plan_.graph.values;
    if (values[at(in)].role != Role::intermediate) return false;
    if (base_[at(in)] != in || base_[at(out)] != out || owner_[at(out)] != out) return false;
    if (holder_[at(owner_[at(in)])] != in) return false;
    const std::int64_t bytes = values[at(in)].type.bytes();
    if (bytes == 0 || bytes != values[at(out)].type.bytes()) return false;
    for (const int other : plan_.steps[at(s)].in)
      if (other != kAbsent && other != in && base_[at(other)] == in) return false;
    const auto& list = accesses_[at(in)];
    return std::all_of(list.rbegin(), list.rend(),
                       [&](int access) { return access == s || before_(access, s); });
  }

  const Plan& plan_;
  const HappensBefore& before_;
  std::vector<int> base_, owner_;
  std::vector<int> holder_;  ///< by owner: the value last written there
  std::vector<std::int64_t> offset_;
  std::vector<std::vector<int>> accesses_;
};

/// Lifetimes of the arena's allocations, and of workspaces, which are live for one step.
class Liveness {
 public:
  Liveness(const Plan& plan, const HappensBefore& before) : plan_(plan), before_(before) {
    lifetimes_.streams = before.streams();
  }

  /// Returns the buffer's index. `steps` lie in order of the list and the first one comes before
  /// all others.
  int add(std::int64_t bytes, const std::vector<int>& steps) {
    const int count = static_cast<int>(plan_.steps.size());
    lifetimes_.bytes.push_back(bytes);
    lifetimes_.begin.push_back(steps.front());
    int end = steps.back() + 1;
    for (int k = 0; k < before_.streams(); ++k) {
      int ended = 0;
      for (const int s : steps)
        if (before_.stream(s) == k) ended = std::max(ended, before_.position(s) + 1);
      const bool single = before_.streams() == 1;
      lifetimes_.known.push_back(single ? steps.front() : before_.ended(steps.front(), k));
      lifetimes_.ended.push_back(single ? end : ended);
    }
    if (before_.streams() > 1) end = std::min(count, list_end(lifetimes_.count() - 1));
    lifetimes_.end.push_back(std::max(end, steps.back() + 1));
    return lifetimes_.count() - 1;
  }

  /// The largest sum of bytes that are live at one step, whatever the order.
  std::int64_t lower_bound() const {
    const std::size_t width = at(before_.streams());
    std::int64_t largest = 0;
    for (int k = 0; k < before_.streams(); ++k) {
      const auto& steps = before_.steps_of(k);
      std::vector<std::int64_t> change(steps.size() + 1, 0);
      for (std::size_t b = 0; b < lifetimes_.bytes.size(); ++b) {
        const int first = live_from(static_cast<int>(b), k);
        const int last = dead_from(&lifetimes_.ended[b * width], k);
        if (first >= last) continue;
        change[at(first)] += lifetimes_.bytes[b];
        change[at(last)] -= lifetimes_.bytes[b];
      }
      std::int64_t live = 0;
      for (const std::int64_t bytes : change) largest = std::max(largest, live += bytes);
    }
    return largest;
  }

  const Lifetimes& lifetimes() const noexcept { return lifetimes_; }

 private:
  /// Position in stream k of the first step that begins after the buffer's first use, or is it.
  int live_from(int buffer, int k) const {
    const int first = lifetimes_.begin[at(buffer)];
    if (before_.stream(first) == k) return before_.position(first);
    const auto& steps = before_.steps_of(k);
    return static_cast<int>(std::partition_point(steps.begin(), steps.end(),
                                                 [&](int s) { return !before_(first, s); }) -
                            steps.begin());
  }
  /// Position in stream k of the first step that begins after every use has ended.
  int dead_from(const int* ended, int k) const {
    const auto& steps = before_.steps_of(k);
    const auto alive = [&](int s) {
      if (before_.streams() == 1) return before_.position(s) < ended[0];
      for (int j = 0; j < before_.streams(); ++j)
        if (before_.ended(s, j) < ended[j]) return true;
      return false;
    };
    return static_cast<int>(std::partition_point(steps.begin(), steps.end(), alive) -
                            steps.begin());
  }
  /// From which list index on every step begins after all uses of the buffer.
  int list_end(int buffer) const {
    int end = 0;
    for (int k = 0; k < before_.streams(); ++k) {
      const auto& steps = before_.steps_of(k);
      const int from = dead_from(&lifetimes_.ended[at(buffer) * at(before_.streams())], k);
      if (from > 0) end = std::max(end, steps[at(from - 1)] + 1);
    }
    return end;
  }

  const Plan& plan_;
  const HappensBefore& before_;
  Lifetimes lifetimes_;
};

class Planner {
 public:
  explicit Planner(Plan& plan)
      : plan_(plan), before_(plan), roots_(plan, before_), liveness_(plan, before_) {}

  void run() {
    plan_.values.assign(plan_.graph.values.size(), {});
    collect_uses();
    std::vector<int> owners, workspaces;
    for (int id = 0; id < static_cast<int>(plan_.values.size()); ++id) {
      PlanValue& value = plan_.values[at(id)];
      if (value.root != id) continue;
      value.bytes = padded(value.type.bytes());
      value.first = uses_[at(id)].front(), value.last = uses_[at(id)].back();
      if (is_state(id) || value.bytes == 0) continue;
      owners.push_back(id);
      liveness_.add(value.bytes, uses_[at(id)]);
    }
    for (int s = 0; s < static_cast<int>(plan_.steps.size()); ++s) {
      if (plan_.steps[at(s)].workspace_bytes == 0) continue;
      workspaces.push_back(s);
      liveness_.add(padded(plan_.steps[at(s)].workspace_bytes), {s});
    }
    place(owners, workspaces);
  }

 private:
  bool is_state(int id) const {
    const Role role = plan_.graph.values[at(id)].role;
    return role == Role::parameter || role == Role::state;
  }

  /// Sets type and root of every value that a step touches, directly or through a view.
  void collect_uses() {
    uses_.resize(plan_.values.size());
    for (int id = 0; id < static_cast<int>(plan_.values.size()); ++id) {
      PlanValue& value = plan_.values[at(id)];
      value.type = plan_.graph.type_of(id);
      const auto& steps = roots_.accesses(id);
      auto& uses = uses_[at(roots_.root(id))];
      uses.insert(uses.end(), steps.begin(), steps.end());
    }
    for (auto& uses : uses_) {
      std::sort(uses.begin(), uses.end());
      uses.erase(std::unique(uses.begin(), uses.end()), uses.end());
    }
    for (int id = 0; id < static_cast<int>(plan_.values.size()); ++id) {
      const int root = roots_.root(id);
      if (!uses_[at(root)].empty()) plan_.values[at(id)].root = root;
    }
  }

  /// Behind all else: no value ever lies where a thread has its own.
  void add_thread_space(std::int64_t height_bytes) {
    plan_.thread_bytes = 0;
    for (const PlanStep& step : plan_.steps)
      plan_.thread_bytes = std::max(plan_.thread_bytes, padded(step.offer.thread_bytes));
    plan_.arena_bytes = height_bytes + plan_.thread_space_bytes();
    plan_.lower_bound_bytes += plan_.thread_space_bytes();
  }

  void place(const std::vector<int>& owners, const std::vector<int>& workspaces) {
    plan_.lower_bound_bytes = liveness_.lower_bound();
    const Placement placed = place_buffers(liveness_.lifetimes(), plan_.lower_bound_bytes);
    add_thread_space(placed.height_bytes);
    std::size_t next = 0;
    for (const int id : owners)
      plan_.values[at(id)].location.offset_bytes = placed.offset_bytes[next++];
    for (const int s : workspaces)
      plan_.steps[at(s)].workspace = {Space::arena, kAbsent, placed.offset_bytes[next++]};
    for (int id = 0; id < static_cast<int>(plan_.values.size()); ++id) {
      PlanValue& value = plan_.values[at(id)];
      if (value.root == kAbsent) continue;
      Location& location = value.location;
      location.space = is_state(value.root) ? Space::state : Space::arena;
      if (is_state(value.root)) location.value = value.root;
      const std::int64_t start =
          is_state(value.root) ? 0 : plan_.values[at(value.root)].location.offset_bytes;
      if (id != value.root) location.offset_bytes = start + roots_.offset_bytes(id);
    }
  }

  Plan& plan_;
  HappensBefore before_;
  Roots roots_;
  Liveness liveness_;
  std::vector<std::vector<int>> uses_;  ///< by root: steps that touch it, in order
};

}  // namespace

void plan_memory(Plan& plan) { Planner(plan).run(); }

}  // namespace fornax
