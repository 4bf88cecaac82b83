// An independent check of plans: value numbers stand for memory contents, the steps run in the
// order of the list, and every access is also held to the order that streams and events give.
#include <algorithm>
#include <map>

#include "runtime/execution/plan.h"

namespace fornax {

namespace {

using Kind = kernels::Alias::Kind;
using Space = Location::Space;
using Step = PlanStep::Kind;

constexpr std::int64_t kAlignment = 256;
constexpr int kNothing = -1;

std::size_t at(int id) { return static_cast<std::size_t>(id); }
std::string number(std::int64_t value) { return std::to_string(value); }

[[noreturn]] void fail(const std::string& what) {
  throw Error(ErrorCode::internal, "check_plan: " + what + "; this is a defect of fornax");
}

/// A run of bytes of the arena or of one state.
struct Range {
  int space;  ///< kNothing: the arena; else the value that owns the state
  std::int64_t begin, end;
};

/// What a byte may hold: the value that wrote it, or the workspace of a step.
struct Content {
  int writer = kNothing;  ///< step; kNothing: it was there before the first
  bool written = false;
};

/// Contents by byte: piece i begins at its key and ends where the next begins.
class Memory {
 public:
  Memory(std::int64_t bytes, int content) : pieces_{{0, content}, {bytes, kNothing}} {}

  template <class Visit>
  void visit(const Range& range, const Visit& see) const {
    auto piece = std::prev(pieces_.upper_bound(range.begin));
    for (; piece != pieces_.end() && piece->first < range.end; ++piece) see(piece->second);
  }

  void write(const Range& range, int content) {
    const auto split = [&](std::int64_t byte) {
      const auto after = pieces_.upper_bound(byte);
      return pieces_.emplace_hint(after, byte, std::prev(after)->second);
    };
    const auto last = split(range.end);
    const auto first = split(range.begin);
    pieces_.erase(std::next(first), last);
    first->second = content;
  }

 private:
  std::map<std::int64_t, int> pieces_;
};

// One order proves all: bytes are overwritten only when every access of what they held is sure
// to have ended, and read only when their writer has. So happens-before totally orders the contents
// of a byte, and every legal order of the steps shows each read what the order of the list does.
class Checker {
 public:
  explicit Checker(const Plan& plan) : plan_(plan), graph_(plan.graph) {}

  void run() {
    check_steps();
    order_steps();
    number_values();
    check_locations();
    for (int s = 0; s < count(); ++s) run_step(s);
    check_joined();
  }

 private:
  int count() const { return static_cast<int>(plan_.steps.size()); }
  const PlanStep& step(int s) const { return plan_.steps[at(s)]; }
  bool is_state(int id) const {
    const Role role = graph_.values[at(id)].role;
    return role == Role::parameter || role == Role::state;
  }

  /// A content: a value, a workspace, or nothing.
  std::string label(int id) const {
    if (id == kNothing) return "nothing";
    if (!exists(id)) return "the workspace of " + title(contents_[at(id)].writer);
    const std::string& name = graph_.values[at(id)].name;
    return name.empty() ? '%' + number(id) : '\'' + name + '\'';
  }
  std::string title(int s) const {
    const PlanStep& it = step(s);
    std::string text = "step " + number(s) + ", ";
    if (it.kind == Step::launch) return text + describe(graph_, it.node);
    if (it.kind == Step::upload) return text + "upload of " + label(it.out[0]);
    return text + "download of " + label(it.in[0]);
  }

  // Steps: each node once, each input and output in order.
  void check_steps() const {
    std::vector<char> launched(graph_.nodes.size(), 0);
    std::vector<int> uploads, downloads;
    for (int s = 0; s < count(); ++s) {
      const PlanStep& it = step(s);
      if (it.stream < 0 || it.stream >= plan_.streams)
        fail("step " + number(s) + " runs on stream " + number(it.stream) + " of " +
             number(plan_.streams));
      if (it.kind == Step::launch) {
        check_launch(s);
        if (launched[at(it.node)]++) fail(title(s) + " is launched twice");
        continue;
      }
      const auto& moved = it.kind == Step::upload ? it.out : it.in;
      if (moved.size() != 1 || it.in.size() + it.out.size() != 1 || !exists(moved[0]))
        fail("step " + number(s) + " must move one value");
      (it.kind == Step::upload ? uploads : downloads).push_back(moved[0]);
    }
    for (int n = 0; n < static_cast<int>(graph_.nodes.size()); ++n)
      if (!launched[at(n)] && !only_views(n)) fail(describe(graph_, n) + " is never launched");
    if (uploads != plan_.inputs) fail("the uploads are not the plan's inputs in order");
    if (downloads != plan_.outputs) fail("the downloads are not the plan's outputs in order");
    for (const int id : downloads)
      if (!graph_.type_of(id).contiguous()) fail(label(id) + " is returned but not row-major");
    for (const int id : uploads)
      if (graph_.values[at(id)].role != Role::input) fail(label(id) + " is uploaded but no input");
  }

  bool exists(int id) const { return id >= 0 && at(id) < graph_.values.size(); }
  void check_launch(int s) const {
    const PlanStep& it = step(s);
    if (it.node < 0 || at(it.node) >= graph_.nodes.size())
      fail("step " + number(s) + " launches node " + number(it.node) + ", which does not exist");
    const NodeData& node = graph_.nodes[at(it.node)];
    if (it.in != node.in || it.out != node.out)
      fail(title(s) + " has other operands than its node");
    if (it.kernel && it.kernel->op != node.op->name)
      fail(title(s) + " is given a kernel of " + std::string(it.kernel->op));
    if (!it.kernel && plan_.model.backend == kernels::Backend::cuda)
      fail(title(s) + " has no kernel");
    if (it.workspace_bytes < it.offer.workspace_bytes)
      fail(title(s) + " has a workspace smaller than its kernel needs");
    if (plan_.thread_bytes < it.offer.thread_bytes)
      fail(title(s) + " has less space for each thread than its kernel needs");
    if (it.offer.thread_bytes > 0 && it.stream != 0)
      fail(title(s) + " uses the space of the threads on another stream than the first");
  }

  bool only_views(int n) const {
    std::vector<int> made = graph_.nodes[at(n)].out;
    for (const kernels::Alias& alias : aliases_of(graph_, graph_.nodes[at(n)]))
      if (alias.kind == Kind::view) made[at(alias.out)] = kAbsent;
    return std::count(made.begin(), made.end(), kAbsent) ==
           static_cast<std::ptrdiff_t>(made.size());
  }

  // Order: by step and stream, how many steps of that stream have ended when the step begins.
  void order_steps() {
    const std::size_t width = at(plan_.streams);
    std::vector<int> signaller(at(plan_.events), kNothing), last(width, kNothing);
    position_.resize(plan_.steps.size());
    ended_.assign(plan_.steps.size() * width, 0);
    for (int s = 0; s < count(); ++s) {
      const PlanStep& it = step(s);
      int& previous = last[at(it.stream)];
      position_[at(s)] = previous == kNothing ? 0 : position_[at(previous)] + 1;
      if (previous != kNothing) take_order(s, previous);
      previous = s;
      for (const int event : it.waits) {
        if (event < 0 || event >= plan_.events || signaller[at(event)] == kNothing)
          fail(title(s) + " waits for event " + number(event) + ", which no earlier step signals");
        take_order(s, signaller[at(event)]);
      }
      if (it.signal == kAbsent) continue;
      if (it.signal < 0 || it.signal >= plan_.events || signaller[at(it.signal)] != kNothing)
        fail(title(s) + " signals event " + number(it.signal) +
             ", which does not exist or is signalled already");
      signaller[at(it.signal)] = s;
    }
    for (int event = 0; event < plan_.events; ++event)
      if (signaller[at(event)] == kNothing) fail("event " + number(event) + " is never signalled");
  }

  void take_order(int s, int earlier) {
    for (int k = 0; k < plan_.streams; ++k) {
      const int own = step(earlier).stream == k ? position_[at(earlier)] + 1 : 0;
      int& known = ended_[at(s) * at(plan_.streams) + at(k)];
      known = std::max({known, ended(earlier, k), own});
    }
  }
  int ended(int s, int stream) const { return ended_[at(s) * at(plan_.streams) + at(stream)]; }

  // A captured step must leave no stream behind.
  void check_joined() const {
    std::vector<int> last(at(plan_.streams), kNothing);
    for (int s = 0; s < count(); ++s) {
      if (last[at(step(s).stream)] == kNothing && step(s).stream != 0 && ended(s, 0) == 0)
        fail(title(s) + " begins stream " + number(step(s).stream) +
             " without an event of stream 0");
      last[at(step(s).stream)] = s;
    }
    const int end = last[0];
    for (int k = 1; k < plan_.streams; ++k)
      if (const int s = last[at(k)]; s != kNothing && ended(end, k) <= position_[at(s)])
        fail("stream " + number(k) + " is not joined after " + title(s));
  }

  // Values: which content each shows, and how far into the value that wrote it.
  void number_values() {
    const std::size_t values = graph_.values.size();
    shows_.resize(values), offset_.assign(values, 0), updated_.assign(values, kNothing);
    contents_.resize(values);
    uses_.assign(values * at(plan_.streams), 0);
    for (std::size_t id = 0; id < values; ++id) {
      shows_[id] = static_cast<int>(id);
      contents_[id].written = is_state(static_cast<int>(id));
    }
    for (const NodeData& node : graph_.nodes)
      for (const kernels::Alias& alias : aliases_of(graph_, node)) {
        const int out = node.out[at(alias.out)], in = node.in[at(alias.in)];
        if (out == kAbsent || in == kAbsent) continue;
        if (alias.kind == Kind::updates_state) updated_[at(out)] = in;
        if (alias.kind != Kind::view) continue;
        shows_[at(out)] = shows_[at(in)];
        offset_[at(out)] =
            offset_[at(in)] + alias.offset_elements * size_bytes(graph_.type_of(in).dtype);
      }
  }

  // Locations: of the right type, in the right place, inside what is allocated.
  Range range_of(int id) const {
    const PlanValue& value = plan_.values[at(id)];
    const Location& location = value.location;
    const bool arena = location.space == Space::arena;
    if (location.space == Space::none) fail("value " + label(id) + " is used but lies nowhere");
    return {arena ? kNothing : location.value, location.offset_bytes,
            location.offset_bytes + value.type.span_bytes()};
  }

  void check_locations() {
    if (plan_.values.size() != graph_.values.size())
      fail("the plan and its graph differ in their number of values");
    memories_.emplace(kNothing, Memory(plan_.arena_bytes, kNothing));
    for (int id = 0; id < static_cast<int>(plan_.values.size()); ++id) {
      if (plan_.values[at(id)].root == kAbsent) continue;
      if (is_state(id)) memories_.emplace(id, Memory(graph_.type_of(id).bytes(), id));
      check_location(id);
    }
  }

  void check_location(int id) const {
    const PlanValue& value = plan_.values[at(id)];
    if (value.type != graph_.type_of(id)) fail(label(id) + " has another type than in the graph");
    if (!exists(value.root) || plan_.values[at(value.root)].root != value.root)
      fail(label(id) + " has the root " + number(value.root) + ", which owns no bytes");
    const Range range = range_of(id);
    const PlanValue& root = plan_.values[at(value.root)];
    check_space(id, value.location, range);
    const std::int64_t start = root.location.offset_bytes;
    if (root.location.space != value.location.space ||
        root.location.value != value.location.value || range.begin < start ||
        range.end > start + root.bytes)
      fail(label(id) + " lies outside the bytes of its root " + label(value.root));
    if (value.root == id && range.begin % kAlignment != 0)
      fail(label(id) + " begins at byte " + number(range.begin) + ", which is misaligned");
    const int source = updated_[at(id)] != kNothing ? updated_[at(id)] : shows_[at(id)];
    if (source == id) {
      if ((value.location.space == Space::state) != is_state(id) ||
          (is_state(id) && value.root != id))
        fail(label(id) + " lies in a state that it does not update");
      return;
    }
    const Range from = range_of(source);
    const std::int64_t offset = updated_[at(id)] != kNothing ? 0 : offset_[at(id)];
    if (from.space != range.space || from.begin + offset != range.begin)
      fail(label(id) + " must lie " + number(offset) + " bytes into " + label(source));
  }

  void check_space(int id, const Location& location, const Range& range) const {
    std::int64_t limit = plan_.arena_bytes - plan_.thread_space_bytes();
    if (location.space == Space::state) {
      if (!exists(location.value) || !is_state(location.value))
        fail(label(id) + " lies in a state that does not exist");
      limit = graph_.type_of(location.value).bytes();
    }
    if (range.begin < 0 || range.end > limit)
      fail(label(id) + " reaches from byte " + number(range.begin) + " to " + number(range.end) +
           " of " + number(limit));
  }

  // Contents: reads, then the workspace, then writes.
  void run_step(int s) {
    const PlanStep& it = step(s);
    for (const int id : it.in)
      if (id != kAbsent) read(s, id);
    if (it.workspace_bytes > 0) use_workspace(s);
    kernels::AliasList aliases;
    if (it.kind == Step::launch) aliases = aliases_of(graph_, graph_.nodes[at(it.node)]);
    for (std::size_t i = 0; i < it.out.size(); ++i)
      if (it.out[i] != kAbsent && shows_[at(it.out[i])] == it.out[i])
        occupy(s, range_of(it.out[i]), it.out[i], overwritable(it, static_cast<int>(i), aliases));
  }

  /// The content that output i of a step may overwrite although the step reads it.
  int overwritable(const PlanStep& it, int i, const kernels::AliasList& aliases) const {
    const Range range = range_of(it.out[at(i)]);
    for (const kernels::Alias& alias : aliases) {
      const int in = alias.out == i ? it.in[at(alias.in)] : kAbsent;
      if (in == kAbsent || alias.kind == Kind::view) continue;
      const Range from = range_of(in);
      if (from.space != range.space || from.begin != range.begin || from.end != range.end) continue;
      const bool seen_twice = std::any_of(it.in.begin(), it.in.end(), [&](int other) {
        return other != kAbsent && other != in && shows_[at(other)] == shows_[at(in)];
      });
      if (alias.kind == Kind::updates_state || !seen_twice) return shows_[at(in)];
    }
    return kNothing;
  }

  /// By content and stream: how many steps must have ended before its bytes are written again.
  int& uses(int content, int stream) { return uses_[at(content) * at(plan_.streams) + at(stream)]; }
  void touch(int s, int content) {
    int& own = uses(content, step(s).stream);
    own = std::max(own, position_[at(s)] + 1);
  }

  void read(int s, int id) {
    const Range range = range_of(id);
    const Content& wanted = contents_[at(shows_[at(id)])];
    if (range.begin == range.end) return;
    if (!wanted.written) fail(title(s) + " reads " + label(id) + " before it is written");
    const int writer = wanted.writer;
    if (writer != kNothing && ended(s, step(writer).stream) <= position_[at(writer)])
      fail(title(s) + " reads " + label(id) + " without waiting for " + title(writer));
    memories_.at(range.space).visit(range, [&](int content) {
      if (content != shows_[at(id)])
        fail(title(s) + " reads " + label(id) + " where " + label(content) + " lies");
    });
    touch(s, shows_[at(id)]);
  }

  void use_workspace(int s) {
    const Location& location = step(s).workspace;
    const std::int64_t begin = location.offset_bytes, end = begin + step(s).workspace_bytes;
    const int content = static_cast<int>(contents_.size());
    contents_.push_back({s, false});
    uses_.resize(uses_.size() + at(plan_.streams), 0);
    if (location.space != Space::arena) fail(label(content) + " lies outside the arena");
    check_space(content, location, {kNothing, begin, end});
    if (begin % kAlignment != 0)
      fail(label(content) + " begins at byte " + number(begin) + ", which is misaligned");
    occupy(s, {kNothing, begin, end}, content, kNothing);
  }

  void occupy(int s, const Range& range, int content, int may_overwrite) {
    if (contents_[at(content)].written) fail(title(s) + " writes " + label(content) + " again");
    contents_[at(content)] = {s, true};
    touch(s, content);
    if (range.begin == range.end) return;
    Memory& memory = memories_.at(range.space);
    memory.visit(range, [&](int held) { require_over(s, held, content, may_overwrite); });
    memory.write(range, content);
  }

  /// Every use of `held` must be sure to have ended; its use by s itself only unless s may
  /// overwrite it.
  void require_over(int s, int held, int content, int may_overwrite) {
    if (held == kNothing) return;
    for (int k = 0; k < plan_.streams; ++k) {
      const bool own = held == may_overwrite && k == step(s).stream;
      const int allowed = own ? position_[at(s)] + 1 : ended(s, k);
      if (uses(held, k) > allowed)
        fail(title(s) + " overwrites " + label(held) + " with " + label(content) +
             " while it is still in use");
    }
  }

  const Plan& plan_;
  const GraphData& graph_;
  std::vector<int> position_, ended_;
  std::vector<int> shows_;    ///< by value: the value that wrote what it shows
  std::vector<int> updated_;  ///< by value: the state that it is the new content of
  std::vector<std::int64_t> offset_;
  std::vector<Content> contents_;  ///< by value, then workspaces
  std::vector<int> uses_;
  std::map<int, Memory> memories_;
};

}  // namespace

void check_plan(const Plan& plan) { Checker(plan).run(); }

}  // namespace fornax
