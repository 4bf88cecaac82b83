// The CPU and reference backends: host memory, commands run one after another on the caller.
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "kernels/host/float_environment.h"
#include "kernels/host/isa.h"
#include "kernels/host/parallel.h"
#include "runtime/device/inputs_in_place.h"
#include "runtime/device/memory_range.h"
#include "runtime/device/row_run.h"
#include "runtime/support/log.h"

namespace fornax {

namespace {

class HostSequence final : public Sequence {
 public:
  HostSequence(std::vector<Command> commands, const RecordOptions& options, int threads)
      : threads_(threads) {
    std::erase_if(commands, [](const Command& command) {
      return command.kind == Command::Kind::wait || command.kind == Command::Kind::signal;
    });
    std::vector<Stage> stages = find_row_runs(std::move(commands), options.arena, threads);
    inputs_ = take_inputs_in_place(stages, operands_);
    for (Stage& stage : stages) {
      const auto* transfer = std::get_if<Command>(&stage);
      if (transfer && transfer->kind == Command::Kind::upload && transfer->slot == kLeftOut)
        continue;
      if (transfer && transfer->kind == Command::Kind::download)
        results_.push_back({transfer->slot, transfer->bytes});
      Entry& entry = entries_.emplace_back();
      if (auto* command = std::get_if<Command>(&stage)) entry.command = std::move(*command);
      if (auto* run = std::get_if<RowRunPlan>(&stage))
        entry.run = make_run(std::move(*run), threads);
    }
  }

  /// The whole step, on the caller.
  void submit(int, kernels::StepState& step, std::span<const void* const> inputs,
              std::span<void* const> outputs) override {
    const host::ExactFloatScope exact;  // the host program may flush subnormals
    for (const InputInPlace& input : inputs_) {
      const void* data = inputs[static_cast<std::size_t>(input.upload.slot)];
      if (!gets_results(data, input.upload.bytes, outputs) && input.read_from(data)) continue;
      copy(input.upload.device, data, input.upload.bytes);
      input.read_uploaded();
    }
    for (Entry& entry : entries_) {
      if (entry.run) {
        entry.run->run(step, inputs);
        continue;
      }
      Command& command = entry.command;
      const auto slot = static_cast<std::size_t>(command.slot);
      switch (command.kind) {
        case Command::Kind::launch:
          command.args.step = command.uses_step ? &step : nullptr;
          command.launch(command.args);
          break;
        case Command::Kind::upload: copy(command.device, inputs[slot], command.bytes); break;
        case Command::Kind::download: copy(outputs[slot], command.device, command.bytes); break;
        case Command::Kind::wait:
        case Command::Kind::signal: break;
      }
    }
  }
  void wait(int) override {}

 private:
  /// What a step leaves at the address of an output.
  struct Result {
    int slot;
    std::int64_t bytes;
  };
  struct Entry {
    Command command;  ///< unless it is a run
    std::unique_ptr<RowRun> run;
  };

  static std::unique_ptr<RowRun> make_run(RowRunPlan plan, int threads) {
    if (log_enabled("plan", LogLevel::debug)) {
      std::string line = "by bands of " + std::to_string(plan.band_rows) + " of " +
                         std::to_string(plan.rows) + " rows:";
      for (const RowMember& member : plan.members) line += " " + member.command.name;
      log("plan", LogLevel::debug, line);
    }
    return std::make_unique<RowRun>(std::move(plan), threads);
  }

  /// Whether results of the step are written over an input, which launches may read after that.
  bool gets_results(const void* input, std::int64_t bytes, std::span<void* const> outputs) const {
    return std::any_of(results_.begin(), results_.end(), [&](const Result& result) {
      return MemoryRange(outputs[static_cast<std::size_t>(result.slot)], result.bytes)
          .overlaps({input, bytes});
    });
  }

  /// One thread does not fill the machine's memory bandwidth.
  void copy(void* to, const void* from, std::int64_t bytes) const {
    constexpr std::int64_t part = 64 * 1024;
    host::parallel_for(bytes, part, threads_, [=](std::int64_t begin, std::int64_t end) {
      std::memcpy(static_cast<std::byte*>(to) + begin, static_cast<const std::byte*>(from) + begin,
                  static_cast<std::size_t>(end - begin));
    });
  }

  std::vector<Entry> entries_;
  std::vector<std::vector<kernels::ConstTensorView>> operands_;  ///< of readers of inputs_
  std::vector<InputInPlace> inputs_;
  std::vector<Result> results_;
  int threads_;
};

/// Blocks from this size on begin at a huge page and ask for huge pages: a step that strides
/// through megabytes of 4 KiB pages waits for page tables. Pages that no step touches stay with the
/// system.
constexpr std::size_t kHugePage = 2 << 20;
constexpr std::int64_t kHugeBlock = 8 << 20;
constexpr std::align_val_t kAlignment{256};

std::size_t whole_pages(std::int64_t bytes) {
  return (static_cast<std::size_t>(bytes) + kHugePage - 1) / kHugePage * kHugePage;
}

/// Zeroed pages; null where there are none.
void* map_pages(std::int64_t bytes) {
  const std::size_t size = whole_pages(bytes);
  void* mapped =
      ::mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  auto* begin = static_cast<std::byte*>(mapped);
  const std::size_t before =
      (kHugePage - reinterpret_cast<std::uintptr_t>(begin) % kHugePage) % kHugePage;
  if (before > 0) ::munmap(begin, before);
  ::munmap(begin + before + size, kHugePage - before);
#ifdef MADV_HUGEPAGE
  ::madvise(begin + before, size, MADV_HUGEPAGE);  // a wish: refusal is fine
#endif
  return begin + before;
}

class HostBackend final : public Backend {
 public:
  explicit HostBackend(const Device& device)
      : double_(device.kind == Device::Kind::reference && device.reference_dtype == DType::f64) {
    const bool cpu = device.kind == Device::Kind::cpu;
    model_.backend = cpu ? kernels::Backend::cpu : kernels::Backend::reference;
    model_.threads = !cpu ? 1 : device.threads > 0 ? device.threads : host::default_threads();
    model_.name = cpu ? std::string("cpu ") + host::name(host::active_isa())
                      : std::string("reference ") + fornax::name(device.reference_dtype);
  }

  const kernels::DeviceModel& model() const noexcept override { return model_; }
  DType storage(DType dtype) const noexcept override {
    return double_ && dtype == DType::f32 ? DType::f64 : dtype;
  }

  void* allocate(std::int64_t bytes) override {
    const auto size = static_cast<std::size_t>(bytes) + 1;
    void* memory =
        bytes >= kHugeBlock ? map_pages(bytes) : ::operator new(size, kAlignment, std::nothrow);
    kernels::require(memory, ErrorCode::out_of_memory,
                     model_.name + ": the system has no " + std::to_string(bytes) + " bytes");
    if (bytes < kHugeBlock) std::memset(memory, 0, size);
    return memory;
  }
  void deallocate(void* memory, std::int64_t bytes) noexcept override {
    if (bytes >= kHugeBlock)
      ::munmap(memory, whole_pages(bytes));
    else
      ::operator delete(memory, kAlignment);
  }
  void upload(void* to, const void* from, std::int64_t bytes) override {
    if (bytes) std::memcpy(to, from, static_cast<std::size_t>(bytes));
  }
  void download(void* to, const void* from, std::int64_t bytes) override {
    upload(to, from, bytes);
  }

  std::unique_ptr<Sequence> record(std::vector<Command> commands,
                                   const RecordOptions& options) override {
    return std::make_unique<HostSequence>(std::move(commands), options, model_.threads);
  }

 private:
  kernels::DeviceModel model_;
  bool double_;
};

}  // namespace

std::shared_ptr<Backend> open_host_backend(const Device& device) {
  return std::make_shared<HostBackend>(device);
}

}  // namespace fornax
