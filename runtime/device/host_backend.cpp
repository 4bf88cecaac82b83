// The CPU and reference backends: host memory, commands run one after another on the caller.
#include <sys/mman.h>

#include <cstring>
#include <new>

#include "kernels/host/float_environment.h"
#include "kernels/host/isa.h"
#include "kernels/host/parallel.h"
#include "runtime/device/backend.h"

namespace fornax {

namespace {

class HostSequence final : public Sequence {
 public:
  HostSequence(std::vector<Command> commands, int threads)
      : commands_(std::move(commands)), threads_(threads) {
    std::erase_if(commands_, [](const Command& command) {
      return command.kind == Command::Kind::wait || command.kind == Command::Kind::signal;
    });
  }

  /// The whole step, on the caller.
  void submit(int, kernels::StepState& step, std::span<const void* const> inputs,
              std::span<void* const> outputs) override {
    const host::ExactFloatScope exact;  // the host program may flush subnormals
    for (Command& command : commands_) {
      const auto slot = static_cast<std::size_t>(command.slot);
      switch (command.kind) {
        case Command::Kind::launch:
          command.args.step = &step;
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
  /// One thread does not fill the machine's memory bandwidth.
  void copy(void* to, const void* from, std::int64_t bytes) const {
    constexpr std::int64_t part = 256 * 1024;
    host::parallel_for(bytes, part, threads_, [=](std::int64_t begin, std::int64_t end) {
      std::memcpy(static_cast<std::byte*>(to) + begin, static_cast<const std::byte*>(from) + begin,
                  static_cast<std::size_t>(end - begin));
    });
  }

  std::vector<Command> commands_;
  int threads_;
};

/// Blocks from this size on begin at a huge page and ask for huge pages: a step that strides
/// through megabytes of 4 KiB pages waits for page tables.
constexpr std::size_t kHugePage = 2 << 20;
constexpr std::int64_t kHugeBlock = 8 << 20;

std::align_val_t alignment(std::int64_t bytes) {
  return std::align_val_t{bytes >= kHugeBlock ? kHugePage : std::size_t{256}};
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
    void* memory = ::operator new(size, alignment(bytes), std::nothrow);
    kernels::require(memory, ErrorCode::out_of_memory,
                     model_.name + ": the system has no " + std::to_string(bytes) + " bytes");
#ifdef MADV_HUGEPAGE
    if (bytes >= kHugeBlock) ::madvise(memory, size, MADV_HUGEPAGE);  // a wish: refusal is fine
#endif
    std::memset(memory, 0, size);
    return memory;
  }
  void deallocate(void* memory, std::int64_t bytes) noexcept override {
    ::operator delete(memory, alignment(bytes));
  }
  void upload(void* to, const void* from, std::int64_t bytes) override {
    if (bytes) std::memcpy(to, from, static_cast<std::size_t>(bytes));
  }
  void download(void* to, const void* from, std::int64_t bytes) override {
    upload(to, from, bytes);
  }

  std::unique_ptr<Sequence> record(std::vector<Command> commands, const RecordOptions&) override {
    return std::make_unique<HostSequence>(std::move(commands), model_.threads);
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
