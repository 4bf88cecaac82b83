// Which launches may go depth-first together, and which of their values need no memory of their
// own. Judged by addresses alone: what a command touches, and at which rows.
#include <algorithm>

#include "runtime/device/memory_range.h"
#include "runtime/device/row_run.h"

namespace fornax {

namespace {

using host::RowAccess;

constexpr std::int64_t kBandBytes = 192 << 10;  // of a band's values: a part of L2
constexpr std::int64_t kTasksOfThread = 2;      // fewer would leave threads idle
constexpr std::int64_t kShareOfOwnMemory = 4;   // of a run, in what its values would take
constexpr std::size_t kMostMembers = 64;        // more would make the search slow
constexpr std::size_t kMostBetween = 16;        // commands of one run that are none of its members

/// Memory that a command reads or writes.
struct Touch : MemoryRange {
  bool writes = false;
  std::int64_t row_bytes = 0;  ///< 0: not row by row
  bool at_begin = false;       ///< written before all bands
  bool at_end = false;         ///< written after them

  bool clashes(const Touch& other) const { return (writes || other.writes) && overlaps(other); }
  bool same_rows(const Touch& other) const {
    return row_bytes > 0 && begin == other.begin && row_bytes == other.row_bytes;
  }
};

Touch touch(const void* data, std::int64_t bytes, bool writes) { return {{data, bytes}, writes}; }

/// Of a whole command. Uploads are writes, downloads reads.
std::vector<Touch> touches_of(const Command& command) {
  using Kind = Command::Kind;
  if (command.kind == Kind::upload || command.kind == Kind::download)
    return {touch(command.device, command.bytes, command.kind == Kind::upload)};
  if (command.kind != Kind::launch) return {};
  std::vector<Touch> all;
  for (const auto& view : command.args.in)
    if (view.present()) all.push_back(touch(view.data, view.type->bytes(), false));
  for (const auto& view : command.args.out)
    if (view.present()) all.push_back(touch(view.data, view.type->bytes(), true));
  const auto workspace = command.args.workspace;
  if (!workspace.empty())
    all.push_back(touch(workspace.data(), static_cast<std::int64_t>(workspace.size()), true));
  return all;
}

/// Of a launch by rows; its workspace is not needed.
std::vector<Touch> touches_of(const RowMember& member) {
  std::vector<Touch> all;
  const kernels::KernelArgs& args = member.command.args;
  for (std::size_t i = 0; i < args.in.size(); ++i) {
    if (!args.in[i].present()) continue;
    Touch t = touch(args.in[i].data, args.in[i].type->bytes(), false);
    if (member.plan.in[i] != RowAccess::rows) all.push_back(t);
    t.row_bytes = args.in[i].type->bytes() / member.plan.rows;
    if (member.plan.in[i] != RowAccess::whole) all.push_back(t);
  }
  for (std::size_t i = 0; i < args.out.size(); ++i) {
    if (!args.out[i].present()) continue;
    Touch t = touch(args.out[i].data, args.out[i].type->bytes(), true);
    if (member.plan.out[i] == RowAccess::rows)
      t.row_bytes = args.out[i].type->bytes() / member.plan.rows;
    t.at_begin = member.plan.out[i] == RowAccess::begin;
    t.at_end = member.plan.out[i] == RowAccess::whole;
    all.push_back(t);
  }
  return all;
}

/// The launch's plan by rows, if it can go by rows at all.
bool plan_by_rows(const Command& command, RowMember& member) {
  if (command.kind != Command::Kind::launch || command.by_rows == nullptr) return false;
  std::vector<kernels::TensorType> in, out;
  for (const auto& view : command.args.in)
    in.push_back(view.present() ? *view.type : kernels::TensorType());
  for (const auto& view : command.args.out)
    out.push_back(view.present() ? *view.type : kernels::TensorType());
  const auto is_strided = [](const kernels::TensorType& type) {
    return type.present() && !type.contiguous();
  };
  member = {command, {}};
  return std::none_of(in.begin(), in.end(), is_strided) &&
         command.by_rows->plan({in, out, *command.args.attributes}, member.plan) &&
         member.plan.rows > 0;
}

/// Whether so many rows keep all threads busy.
bool is_long(std::int64_t rows, int threads) {
  return rows >= (threads > 1 ? kTasksOfThread * threads : 1) * host::kTaskRows;
}

/// Without asking its kernel.
bool may_be_long(const Command& command, int threads) {
  const auto is_long_view = [=](const auto& view) {
    return view.present() && is_long(view.elements(), threads);
  };
  return std::any_of(command.args.in.begin(), command.args.in.end(), is_long_view) ||
         std::any_of(command.args.out.begin(), command.args.out.end(), is_long_view);
}

/// A run as it grows.
class Growing {
 public:
  Growing(const std::vector<Command>& commands, std::span<const std::byte> arena)
      : commands_(commands), arena_(arena) {}

  /// Takes members and what may come before them from command `at` on.
  void grow(std::size_t at) {
    RowMember member;
    for (std::size_t between = 0; at < commands_.size() && between <= kMostBetween; ++at) {
      if (members_.size() < kMostMembers && plan_by_rows(commands_[at], member) && fits(member)) {
        places_.push_back(at);
        members_.push_back(std::move(member));
      } else if (may_come_before(commands_[at])) {
        ++between;
      } else {
        return;
      }
    }
  }

  /// Drops members from the end until no two are in each other's way. Gives how many are left.
  std::size_t settle() {
    for (bool settled = false; !settled && !members_.empty();) {
      find_values();
      settled = true;
      for (const Pair& pair : pairs_) {
        if (pair.member >= members_.size() || is_value(pair.later) || is_value(pair.earlier))
          continue;
        members_.resize(pair.member), places_.resize(pair.member);
        settled = false;
      }
    }
    return members_.size();
  }

  const std::vector<std::size_t>& places() const { return places_; }

  bool is_worth_it(int threads) const {
    const std::int64_t rows = members_[0].plan.rows, least = banded_bytes.load();
    std::int64_t row_bytes = 0, own_bytes = 0;
    for (const Touch& value : distinct())
      if (is_shared(value)) row_bytes += value.row_bytes;
    for (const RowMember& member : members_)
      own_bytes += threads * member.plan.lane_bytes + member.plan.kept_bytes +
                   row_run_slots(rows, threads) * member.plan.partial_bytes;
    return rows * row_bytes >= least &&
           (least == 0 || own_bytes <= rows * row_bytes / kShareOfOwnMemory);
  }

  RowRunPlan plan() && {
    RowRunPlan run;
    run.rows = members_[0].plan.rows;
    run.values = values_;
    for (std::size_t i = 0; i < run.values.size(); ++i) {
      BandValue& value = run.values[i];
      value.offset_bytes = lowest_offset(run.values, i);
      run.room_bytes = std::max(run.room_bytes, value.offset_bytes + value.row_bytes);
    }
    std::int64_t row_bytes = run.room_bytes;
    for (const Touch& touch : distinct()) {
      if (!is_value(touch)) row_bytes += touch.row_bytes;
      if (const Command* upload = upload_of(touch))
        run.inputs.push_back({touch.begin, upload->slot});
    }
    run.band_rows = host::kTaskRows;
    while (run.band_rows > host::kBandRows && run.band_rows * row_bytes > kBandBytes)
      run.band_rows /= 2;
    run.members = std::move(members_);
    return run;
  }

 private:
  /// Two touches that must not both be of memory that the plan gave them.
  struct Pair {
    Touch earlier, later;
    std::size_t member;  ///< the later one's
  };

  bool fits(const RowMember& member) {
    if (!members_.empty() && member.plan.rows != members_[0].plan.rows) return false;
    std::vector<Pair> pairs;
    const std::vector<Touch> own = touches_of(member);
    for (const Touch& t : own) {
      if (t.at_end) continue;
      for (auto u = touches_.rbegin(); u != touches_.rend(); ++u) {
        if (u->writes && t.same_rows(*u)) break;  // what was there before is gone
        if (!t.clashes(*u) || t.same_rows(*u)) continue;
        if (u->at_begin && !t.writes && u->covers(t)) break;
        if (!t.writes) return false;  // it needs other rows than those that are there
        pairs.push_back({*u, t, members_.size()});
      }
    }
    pairs_.insert(pairs_.end(), pairs.begin(), pairs.end());
    touches_.insert(touches_.end(), own.begin(), own.end());
    owners_.resize(touches_.size(), static_cast<int>(members_.size()));
    return true;
  }

  bool may_come_before(const Command& command) const {
    if (command.kind == Command::Kind::download) return false;
    for (const Touch& t : touches_of(command))
      for (const Touch& u : touches_)
        if (t.clashes(u)) return false;
    return true;
  }

  /// Values by rows, each once.
  std::vector<Touch> distinct() const {
    std::vector<Touch> all;
    for (const Touch& t : touches_)
      if (t.row_bytes > 0 &&
          std::none_of(all.begin(), all.end(), [&](const Touch& u) { return t.same_rows(u); }))
        all.push_back(t);
    return all;
  }

  /// Written here first, in memory that holds nothing between steps, and read by nobody later.
  void find_values() {
    std::size_t used = 0;
    while (used < touches_.size() && static_cast<std::size_t>(owners_[used]) < members_.size())
      ++used;
    touches_.resize(used), owners_.resize(used);
    values_.clear();
    for (const Touch& t : distinct()) {
      const bool in_arena = t.begin >= arena_.data() && t.end <= arena_.data() + arena_.size();
      if (!t.writes || !in_arena || is_read_later(t)) continue;
      BandValue value{t.begin, t.row_bytes, -1, -1};
      for (std::size_t i = 0; i < touches_.size(); ++i) {
        if (!touches_[i].same_rows(t)) continue;
        if (value.first < 0) value.first = owners_[i];
        value.last = owners_[i];
      }
      values_.push_back(value);
    }
  }

  /// Whether what the run leaves in that memory is what another of its touches wrote.
  bool is_left_by_another(const Touch& memory, const Touch& value) const {
    for (auto t = touches_.rbegin(); t != touches_.rend(); ++t) {
      if (!t->writes) continue;
      if (t->same_rows(value)) return false;
      if (t->covers(memory)) return true;
    }
    return false;
  }

  bool is_read_later(const Touch& value) const {
    for (std::size_t i = places_.back() + 1; i < commands_.size(); ++i) {
      const std::vector<Touch> all = touches_of(commands_[i]);
      for (const Touch& t : all)
        if (!t.writes && t.overlaps(value) && !is_left_by_another(t, value)) return true;
      for (const Touch& t : all)
        if (t.writes && t.covers(value)) return false;
    }
    return false;
  }

  /// The upload of a value by rows that the run alone needs, and only reads: from its beginning.
  const Command* upload_of(const Touch& value) const {
    for (const Touch& t : touches_) {
      const bool same_range = t.begin == value.begin && t.end == value.end;
      if (t.overlaps(value) && !is_value(t) && (t.writes || !same_range)) return nullptr;
    }
    const Command* upload = nullptr;
    for (std::size_t i = 0; i < places_.back(); ++i) {
      if (std::binary_search(places_.begin(), places_.end(), i)) continue;
      for (const Touch& t : touches_of(commands_[i])) {
        if (!t.overlaps(value)) continue;
        const bool whole = t.begin == value.begin && t.end == value.end;
        if (upload || !whole || commands_[i].kind != Command::Kind::upload) return nullptr;
        upload = &commands_[i];
      }
    }
    return upload && !is_read_later(value) ? upload : nullptr;
  }

  /// Whether several members touch it.
  bool is_shared(const Touch& value) const {
    int owner = -1;
    for (std::size_t i = 0; i < touches_.size(); ++i) {
      if (!touches_[i].same_rows(value)) continue;
      if (owner >= 0 && owner != owners_[i]) return true;
      owner = owners_[i];
    }
    return false;
  }

  bool is_value(const Touch& t) const {
    return std::any_of(values_.begin(), values_.end(), [&](const BandValue& value) {
      return value.begin == t.begin && value.row_bytes == t.row_bytes;
    });
  }

  /// Of value `at` beside those before it that live at the same time.
  static std::int64_t lowest_offset(const std::vector<BandValue>& values, std::size_t at) {
    const BandValue& value = values[at];
    std::int64_t offset = 0;
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t i = 0; i < at; ++i) {
        const BandValue& other = values[i];
        if (other.last < value.first || value.last < other.first) continue;
        if (other.offset_bytes >= offset + value.row_bytes ||
            offset >= other.offset_bytes + other.row_bytes)
          continue;
        offset = other.offset_bytes + other.row_bytes;
        moved = true;
      }
    }
    return offset;
  }

  const std::vector<Command>& commands_;
  std::span<const std::byte> arena_;
  std::vector<RowMember> members_;
  std::vector<std::size_t> places_;  ///< of the members among the commands
  std::vector<Touch> touches_;
  std::vector<int> owners_;  ///< of the touches
  std::vector<Pair> pairs_;
  std::vector<BandValue> values_;
};

}  // namespace

std::vector<Stage> find_row_runs(std::vector<Command> commands, std::span<const std::byte> arena,
                                 int threads) {
  std::vector<Stage> stages;
  RowMember first;
  for (std::size_t at = 0; at < commands.size();) {
    Growing run(commands, arena);
    const bool begins = may_be_long(commands[at], threads) && plan_by_rows(commands[at], first) &&
                        is_long(first.plan.rows, threads);
    if (begins) run.grow(at);
    if (!begins || run.settle() < 2 || !run.is_worth_it(threads)) {
      stages.emplace_back(std::move(commands[at++]));
      continue;
    }
    const std::vector<std::size_t> places = run.places();
    for (std::size_t i = at; i < places.back(); ++i)
      if (!std::binary_search(places.begin(), places.end(), i)) stages.emplace_back(commands[i]);
    RowRunPlan plan = std::move(run).plan();
    std::erase_if(stages, [&](const Stage& stage) {
      const auto* command = std::get_if<Command>(&stage);
      return command && command->kind == Command::Kind::upload &&
             std::any_of(plan.inputs.begin(), plan.inputs.end(),
                         [&](const RowInput& input) { return input.slot == command->slot; });
    });
    stages.emplace_back(std::move(plan));
    at = places.back() + 1;
  }
  return stages;
}

}  // namespace fornax
