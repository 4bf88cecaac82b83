// Commands put together by hand, whose launches show every change of order or value.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "runtime/device/row_run.h"

namespace fornax::testing {

using kernels::ConstTensorView;
using kernels::KernelArgs;
using kernels::TensorType;
using kernels::TensorView;

/// What a test's launch computes: integers mixed so that any change of order or value shows.
struct Mix {
  std::uint32_t salt = 0;
  bool reads_the_next_row = false;  ///< though its plan says otherwise: the planted fault
  bool is_bound = false;            ///< it has something bound, which may hold addresses
};

inline Mix mix_of(const KernelArgs& args) {
  return {static_cast<std::uint32_t>(args.attributes->integer("salt")),
          args.attributes->integer("reads_the_next_row") != 0};
}

/// Operands of rank 2 are by rows, of rank 3 by rows and read at the beginning too; of rank 1
/// whole, an output of one element is written at the beginning.
inline bool by_rows(const TensorType& type) { return type.shape.rank() > 1; }

inline std::uint32_t mixed(std::uint32_t x, const ConstTensorView& view, std::int64_t begin,
                           std::int64_t end) {
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(view.data) % alignof(std::uint32_t), 0u);
  for (std::int64_t i = begin; i < end; ++i) x = x * 31 + view.as<std::uint32_t>()[i];
  return x;
}

/// Writes `count` rows and gives their mixture on top of `hash`.
inline std::uint32_t mix_rows(const KernelArgs& args, std::int64_t count, std::uint32_t hash) {
  const Mix mix = mix_of(args);
  for (std::int64_t r = 0; r < count; ++r) {
    std::uint32_t x = mix.salt;
    for (const ConstTensorView& in : args.in) {
      const std::int64_t columns = by_rows(*in.type) ? in.elements() / count : 0;
      const std::int64_t row = r + mix.reads_the_next_row;
      x = columns > 0 ? mixed(x, in, row * columns, (row + 1) * columns)
                      : mixed(x, in, 0, in.elements());
    }
    for (const TensorView& out : args.out)
      for (std::int64_t c = 0; by_rows(*out.type) && c < out.elements() / count; ++c)
        out.as<std::uint32_t>()[r * (out.elements() / count) + c] =
            x * 17 + static_cast<std::uint32_t>(c);
    hash = hash * 31 + x;
  }
  return hash;
}

inline void mix_begin(const KernelArgs& args) {
  std::uint32_t x = 7;
  for (const ConstTensorView& in : args.in)
    if (in.shape().rank() == 3) x = mixed(x, in, 0, in.elements());
  for (const TensorView& out : args.out)
    if (!by_rows(*out.type) && out.elements() == 1) *out.as<std::uint32_t>() = x;
}

inline void mix_add(const KernelArgs&, const std::byte* partial, bool first, std::byte* kept) {
  std::uint32_t hash = 0, total = 0;
  std::memcpy(&hash, partial, sizeof hash);
  std::memcpy(&total, kept, sizeof total);
  total = first ? hash : total * 1000003 + hash;
  std::memcpy(kept, &total, sizeof total);
}

inline void mix_finish(const KernelArgs& args, std::byte* kept) {
  std::uint32_t total = 0;
  std::memcpy(&total, kept, sizeof total);
  for (const TensorView& out : args.out)
    for (std::int64_t i = 0; !by_rows(*out.type) && out.elements() > 1 && i < out.elements(); ++i)
      out.as<std::uint32_t>()[i] = total + static_cast<std::uint32_t>(i);
}

/// KernelArgs::bands of every band, by the salt of its launch, while they are recorded: of runs on
/// one thread.
inline bool records_bands = false;
inline std::map<std::uint32_t, std::set<std::int64_t>> bands_seen;

inline void mix_band(const KernelArgs& args, const host::RowBand& band) {
  if (records_bands) bands_seen[mix_of(args).salt].insert(args.bands);
  std::uint32_t hash = 0;
  if (!band.begins_task()) std::memcpy(&hash, band.partial, sizeof hash);
  std::uint32_t* bands = reinterpret_cast<std::uint32_t*>(band.lane);
  *bands = band.begins_lane ? 1 : *bands + 1;
  EXPECT_EQ(*bands == 1, band.begins_lane);
  hash = mix_rows(args, band.count, hash);
  std::memcpy(band.partial, &hash, sizeof hash);
}

inline std::int64_t rows_of(const KernelArgs& args) {
  for (const TensorView& out : args.out)
    if (by_rows(*out.type)) return out.shape()[0];
  for (const ConstTensorView& in : args.in)
    if (by_rows(*in.type)) return in.shape()[0];
  return 0;
}

inline void mix_launch(const KernelArgs& args) {
  mix_begin(args);
  std::uint32_t total = 0;
  const std::int64_t rows = rows_of(args);
  for (std::int64_t first = 0; first < rows; first += host::kTaskRows) {
    const std::int64_t count = std::min(host::kTaskRows, rows - first);
    KernelArgs task = args;
    std::vector<TensorType> types;
    std::vector<ConstTensorView> in(args.in.begin(), args.in.end());
    std::vector<TensorView> out(args.out.begin(), args.out.end());
    types.reserve(in.size() + out.size());
    const auto cut = [&](auto& view) {
      if (!by_rows(*view.type)) return;
      const std::int64_t columns = view.elements() / rows;
      view.data = const_cast<std::uint32_t*>(view.template as<std::uint32_t>() + first * columns);
      types.emplace_back(DType::i32, Shape{count, columns});
      view.type = &types.back();
    };
    for (ConstTensorView& view : in) cut(view);
    for (TensorView& view : out) cut(view);
    task.in = in, task.out = out;
    const std::uint32_t hash = mix_rows(task, count, 0);
    total = first == 0 ? hash : total * 1000003 + hash;
  }
  mix_finish(args, reinterpret_cast<std::byte*>(&total));
}

inline bool mix_plan(const kernels::Signature& s, host::RowPlan& plan) {
  using host::RowAccess;
  for (const TensorType& type : s.in) {
    const int rank = type.shape.rank();
    plan.in.push_back(rank == 1   ? RowAccess::whole
                      : rank == 2 ? RowAccess::rows
                                  : RowAccess::begin);
    if (by_rows(type)) plan.rows = type.shape[0];
  }
  for (const TensorType& type : s.out) {
    plan.out.push_back(by_rows(type)                ? RowAccess::rows
                       : type.shape.elements() == 1 ? RowAccess::begin
                                                    : RowAccess::whole);
    if (by_rows(type)) plan.rows = type.shape[0];
  }
  plan.lane_bytes = plan.partial_bytes = plan.kept_bytes = 4;
  return plan.rows > 0;
}

inline constexpr host::RowKernel kMixByRows{mix_plan, mix_begin, mix_band, mix_add, mix_finish};

/// Commands over an arena and over memory that lasts, put together by hand.
class CommandList {
 public:
  static constexpr std::int64_t kArena = 1 << 20, kState = 1 << 18;

  CommandList() : arena_(kArena / 4), state_(kState / 4) {}

  struct Place {
    std::int64_t offset;  ///< bytes into the arena, or behind its end into the state
    Shape shape;
    std::int64_t bytes() const { return 4 * shape.elements(); }
    bool overlaps(const Place& other) const {
      return offset < other.offset + other.bytes() && other.offset < offset + bytes();
    }
  };

  std::uint32_t* at(std::int64_t offset) {
    return offset < kArena ? arena_.data() + offset / 4 : state_.data() + (offset - kArena) / 4;
  }

  void launch(const std::vector<Place>& in, const std::vector<Place>& out, bool by_rows = true,
              Mix mix = {}) {
    Bound& bound = bound_.emplace_back();
    bound.attributes.set("salt", static_cast<std::int64_t>(bound_.size()));
    bound.attributes.set("reads_the_next_row", std::int64_t{mix.reads_the_next_row});
    for (const Place& place : in) bound.types.emplace_back(DType::i32, place.shape);
    for (const Place& place : out) bound.types.emplace_back(DType::i32, place.shape);
    for (std::size_t i = 0; i < in.size(); ++i)
      bound.in.push_back({at(in[i].offset), &bound.types[i]});
    for (std::size_t i = 0; i < out.size(); ++i)
      bound.out.push_back({at(out[i].offset), &bound.types[in.size() + i]});
    Command command;
    command.name = "mix";
    command.launch = mix_launch;
    if (by_rows) command.by_rows = &kMixByRows;
    command.args.in = bound.in, command.args.out = bound.out;
    command.args.attributes = &bound.attributes;
    if (mix.is_bound) command.args.bound = &bound;
    commands_.push_back(command);
  }
  void upload(const Place& to) {
    inputs_.emplace_back(static_cast<std::size_t>(to.shape.elements()));
    for (std::uint32_t& x : inputs_.back()) x = static_cast<std::uint32_t>(random_());
    transfer(Command::Kind::upload, to, static_cast<int>(inputs_.size()) - 1);
  }
  void download(const Place& from) {
    outputs_.emplace_back(static_cast<std::size_t>(from.shape.elements()));
    transfer(Command::Kind::download, from, static_cast<int>(outputs_.size()) - 1);
  }

  /// The second step gets its inputs so many bytes behind what is aligned.
  void misalign_inputs(std::size_t bytes) { misaligned_ = bytes; }
  /// The second step gets as its first input what the first left as its first result, where it is.
  void feed_back() { feeds_back_ = true; }

  std::vector<Stage> stages(int threads) {
    return find_row_runs(commands_, std::as_bytes(std::span(arena_)), threads);
  }

  /// The downloads and the state after two steps on the CPU backend.
  std::vector<std::vector<std::uint32_t>> run(int threads) {
    const auto backend = open_host_backend(Device::cpu(threads));
    RecordOptions options;
    options.arena = std::as_writable_bytes(std::span(arena_));
    const auto sequence = backend->record(commands_, options);
    return steps([&](std::span<const void* const> in, std::span<void* const> out) {
      kernels::StepState step{};
      sequence->run(step, in, out);
    });
  }
  /// The same of the commands one after another.
  std::vector<std::vector<std::uint32_t>> run_in_order() {
    return steps([&](std::span<const void* const> in, std::span<void* const> out) {
      for (const Command& command : commands_) {
        const auto slot = static_cast<std::size_t>(command.slot);
        const auto bytes = static_cast<std::size_t>(command.bytes);
        if (command.kind == Command::Kind::launch) command.launch(command.args);
        if (command.kind == Command::Kind::upload) std::memcpy(command.device, in[slot], bytes);
        if (command.kind == Command::Kind::download) std::memcpy(out[slot], command.device, bytes);
      }
    });
  }

 private:
  struct Bound {
    Attributes attributes;
    std::deque<TensorType> types;
    std::vector<ConstTensorView> in;
    std::vector<TensorView> out;
  };

  void transfer(Command::Kind kind, const Place& place, int slot) {
    Command command;
    command.kind = kind;
    command.slot = slot;
    command.device = at(place.offset);
    command.bytes = place.bytes();
    commands_.push_back(command);
  }

  template <class Step>
  std::vector<std::vector<std::uint32_t>> steps(const Step& step) {
    std::fill(arena_.begin(), arena_.end(), 0xdeadu);
    for (std::size_t i = 0; i < state_.size(); ++i) state_[i] = static_cast<std::uint32_t>(i * 7);
    std::vector<void*> out;
    for (auto& output : outputs_) out.push_back(output.data());
    std::uint32_t number = 0;
    for (const std::size_t misaligned : {std::size_t{0}, misaligned_}) {
      ++number;  // an input's first element: no step has what another had
      std::vector<const void*> in;
      std::deque<std::vector<std::uint64_t>> rooms;
      for (const auto& input : inputs_) {
        auto& room = rooms.emplace_back(input.size() / 2 + 2);
        auto* begin = reinterpret_cast<std::byte*>(room.data()) + misaligned;
        std::memcpy(begin, input.data(), input.size() * 4);
        std::memcpy(begin, &number, sizeof number);
        in.push_back(begin);
      }
      if (feeds_back_ && number == 2) in[0] = out[0];
      step(in, out);
    }
    std::vector<std::vector<std::uint32_t>> results = outputs_;
    results.push_back(state_);
    return results;
  }

  std::vector<std::uint32_t> arena_, state_;
  std::deque<Bound> bound_;
  std::vector<Command> commands_;
  std::vector<std::vector<std::uint32_t>> inputs_, outputs_;
  std::size_t misaligned_ = 0;
  bool feeds_back_ = false;
  std::mt19937 random_{5};
};

}  // namespace fornax::testing
