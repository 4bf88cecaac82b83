// Places of a step's transfers, and which of them a kernel may take.
#include "runtime/cuda/step_transfers.h"

#include <algorithm>

#include "kernels/device/transfer.h"

namespace fornax::cuda {

namespace {

using Way = StepTransfers::Way;

bool overlap(const Access& a, const Access& b) {
  const auto first = [](const Access& x) { return reinterpret_cast<std::uintptr_t>(x.address); };
  const auto end = [&](const Access& x) { return first(x) + static_cast<std::uintptr_t>(x.bytes); };
  return a.bytes > 0 && b.bytes > 0 && first(a) < end(b) && first(b) < end(a);
}

bool aligned(const Command& command) {
  return reinterpret_cast<std::uintptr_t>(command.device) % device::kTransferAlignment == 0;
}

/// Whether one of the commands touches the range, or writes it.
bool any_touches(std::span<const std::vector<Access>> commands, const Access& range,
                 bool only_writes) {
  for (const auto& accesses : commands)
    for (const Access& access : accesses)
      if (overlap(access, range) && !(only_writes && access.kind == Access::Kind::read))
        return true;
  return false;
}

/// Chooses ways for one kind of transfer.
class Chooser {
 public:
  Chooser(std::span<const Command> commands, std::vector<StepTransfers::Place>& places)
      : commands_(commands), places_(places) {
    for (const Command& command : commands) accesses_.push_back(accesses_of(command));
  }

  /// `left`: bytes that the kernel may take yet.
  void choose(Command::Kind kind, std::int64_t left) {
    for (std::size_t i = 0; i < commands_.size(); ++i) {
      const Command& command = commands_[i];
      if (command.kind != kind || command.bytes == 0) continue;
      const bool small = command.bytes <= left && aligned(command) && may_move(i);
      places_[i].way = small ? Way::kernel : Way::copy;
      if (small) left -= padded(command.bytes);
    }
  }

 private:
  bool may_move(std::size_t i) const {
    const std::span all(accesses_);
    const Access& range = accesses_[i].front();
    return commands_[i].kind == Command::Kind::upload
               ? !any_touches(all.first(i), range, false)
               : !any_touches(all.subspan(i + 1), range, true);
  }

  std::span<const Command> commands_;
  std::vector<StepTransfers::Place>& places_;
  std::vector<std::vector<Access>> accesses_;
};

}  // namespace

std::int64_t padded(std::int64_t bytes) { return (bytes + 255) / 256 * 256; }

std::vector<Access> accesses_of(const Command& command) {
  using Kind = Access::Kind;
  if (command.kind == Command::Kind::upload || command.kind == Command::Kind::download) {
    const bool upload = command.kind == Command::Kind::upload;
    return {{command.device, command.bytes, upload ? Kind::write : Kind::read}};
  }
  std::vector<Access> accesses;
  if (command.kind != Command::Kind::launch) return accesses;
  const kernels::KernelArgs& args = command.args;
  for (const auto& view : args.in)
    if (view.present()) accesses.push_back({view.data, view.type->span_bytes(), Kind::read});
  for (const auto& view : args.out)
    if (view.present()) accesses.push_back({view.data, view.type->span_bytes(), Kind::write});
  if (!args.workspace.empty())
    accesses.push_back(
        {args.workspace.data(), static_cast<std::int64_t>(args.workspace.size()), Kind::write});
  return accesses;
}

StepTransfers place_transfers(std::span<const Command> commands, std::int64_t most_by_kernel) {
  StepTransfers transfers;
  transfers.places.resize(commands.size());
  Chooser chooser(commands, transfers.places);
  chooser.choose(Command::Kind::upload, most_by_kernel);
  chooser.choose(Command::Kind::download, most_by_kernel);
  const auto place = [&](Command::Kind kind, Way way) {
    for (std::size_t i = 0; i < commands.size(); ++i) {
      if (commands[i].kind != kind || transfers.places[i].way != way) continue;
      transfers.places[i].at = transfers.bytes;
      transfers.bytes += padded(commands[i].bytes);
    }
  };
  transfers.bytes = padded(sizeof(kernels::StepState));
  place(Command::Kind::upload, Way::kernel);
  transfers.copied_at = transfers.bytes;
  place(Command::Kind::upload, Way::copy);
  transfers.copied_end = transfers.results_at = transfers.bytes;
  transfers.bytes += padded(kFlagsBytes);
  place(Command::Kind::download, Way::kernel);
  place(Command::Kind::download, Way::copy);
  return transfers;
}

}  // namespace fornax::cuda
