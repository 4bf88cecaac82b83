// Judged by addresses alone, as runs of launches by rows are.
#include "runtime/device/inputs_in_place.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "runtime/device/memory_range.h"

namespace fornax {

namespace {

constexpr std::uintptr_t kElementAlignment = 8;  // the widest element's

template <class View>
MemoryRange range(const View& view) {
  return view.present() ? MemoryRange(view.data, view.type->bytes()) : MemoryRange();
}

/// Where a launch reads the input: by its number among the operands.
struct Read {
  std::size_t stage, operand;
};

/// Follows one upload through the stages behind it.
class Follower {
 public:
  explicit Follower(const Command& upload) : input_(upload.device, upload.bytes) {}

  /// The reads, or nothing where the upload must stay.
  std::optional<std::vector<Read>> follow(const std::vector<Stage>& stages, std::size_t upload) {
    for (std::size_t i = upload + 1; i < stages.size(); ++i) {
      const auto* command = std::get_if<Command>(&stages[i]);
      if (!(command ? pass(*command, i) : pass(std::get<RowRunPlan>(stages[i])))) return {};
    }
    return std::move(reads_);
  }

 private:
  bool pass(const Command& command, std::size_t stage) {
    const MemoryRange transfer(command.device, command.bytes);
    if (command.kind == Command::Kind::upload) return pass_write(transfer);
    if (command.kind == Command::Kind::download) return is_new(transfer);
    const kernels::KernelArgs& args = command.args;
    for (std::size_t i = 0; i < args.in.size(); ++i) {
      const MemoryRange in = range(args.in[i]);
      if (is_new(in)) continue;
      // What is bound may hold the operand's address.
      if (!written_.empty() || !input_.covers(in) || args.bound != nullptr) return false;
      reads_.push_back({stage, i});
    }
    return pass_writes(args);
  }

  bool pass(const RowRunPlan& run) {
    for (const RowMember& member : run.members) {
      const kernels::KernelArgs& args = member.command.args;
      for (const auto& in : args.in)
        if (!is_new(range(in))) return false;
      pass_writes(args);
    }
    return true;
  }

  bool pass_writes(const kernels::KernelArgs& args) {
    for (const auto& out : args.out) pass_write(range(out));
    return pass_write({args.workspace.data(), static_cast<std::int64_t>(args.workspace.size())});
  }
  bool pass_write(const MemoryRange& to) {
    if (input_.overlaps(to)) written_.push_back(to);
    return true;
  }

  /// Nothing of it was uploaded: it lies elsewhere, or was written since.
  bool is_new(const MemoryRange& read) const {
    return !input_.overlaps(read) ||
           std::any_of(written_.begin(), written_.end(),
                       [&](const MemoryRange& w) { return w.covers(read); });
  }

  MemoryRange input_;
  std::vector<MemoryRange> written_;  ///< over a part of it
  std::vector<Read> reads_;
};

using Operands = std::vector<kernels::ConstTensorView>;

/// Those of a launch, for itself.
Operands& own_operands(kernels::KernelArgs& args, std::vector<Operands>& all) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const Operands& operands) {
    return operands.data() == args.in.data();
  });
  if (found != all.end()) return *found;
  args.in = all.emplace_back(args.in.begin(), args.in.end());
  return all.back();
}

}  // namespace

bool InputInPlace::read_from(const void* data) const {
  if (reinterpret_cast<std::uintptr_t>(data) % kElementAlignment != 0) return false;
  for (const Reader& reader : readers)
    reader.operand->data = static_cast<const std::byte*>(data) + reader.offset_bytes;
  return true;
}

void InputInPlace::read_uploaded() const { read_from(upload.device); }

std::vector<InputInPlace> take_inputs_in_place(
    std::vector<Stage>& stages, std::vector<std::vector<kernels::ConstTensorView>>& operands) {
  const std::int64_t least = in_place_bytes.load();
  std::vector<InputInPlace> inputs;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const auto* upload = std::get_if<Command>(&stages[i]);
    if (!upload || upload->kind != Command::Kind::upload || upload->bytes < least) continue;
    const auto reads = Follower(*upload).follow(stages, i);
    if (!reads) continue;
    InputInPlace& input = inputs.emplace_back();
    input.upload = *upload;
    for (const Read& read : *reads) {
      auto& own = own_operands(std::get<Command>(stages[read.stage]).args, operands);
      const auto* data = static_cast<const std::byte*>(own[read.operand].data);
      input.readers.push_back(
          {&own[read.operand], data - static_cast<const std::byte*>(upload->device)});
    }
    std::get<Command>(stages[i]).slot = kLeftOut;
  }
  return inputs;
}

}  // namespace fornax
