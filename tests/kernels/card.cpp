// See card.h.
#include "tests/kernels/card.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <vector>

#include "runtime/device/module.h"

namespace fornax {

namespace {

/// Copies of memories on a device.
class Mirror {
 public:
  explicit Mirror(std::shared_ptr<Backend> device) : device_(std::move(device)) {}

  /// The device's address of a byte of that memory.
  void* address_of(GuardedMemory& memory, const void* byte) {
    const auto at = copies_.find(&memory);
    DeviceMemory& copy = at == copies_.end() ? add(memory) : at->second;
    const auto offset = static_cast<const std::byte*>(byte) - memory.with_zones();
    return static_cast<std::byte*>(copy.get()) + offset;
  }
  void bring_back() const {
    for (const auto& [memory, copy] : copies_)
      device_->download(memory->with_zones(), copy.get(), bytes(*memory));
  }

 private:
  static std::int64_t bytes(const GuardedMemory& memory) {
    return static_cast<std::int64_t>(memory.bytes_with_zones());
  }
  DeviceMemory& add(GuardedMemory& memory) {
    DeviceMemory& copy =
        copies_.emplace(&memory, DeviceMemory(device_, bytes(memory))).first->second;
    device_->upload(copy.get(), memory.with_zones(), bytes(memory));
    return copy;
  }
  std::shared_ptr<Backend> device_;
  std::map<GuardedMemory*, DeviceMemory> copies_;
};

/// A view of an operand in place shows the memory of the output that it shares.
template <class View>
void move_view(Mirror& mirror, const NodeOperands& operands, View& view) {
  if (!view.data) return;
  const auto* byte = static_cast<const std::byte*>(view.data);
  for (const auto* values : {&operands.in, &operands.out}) {
    for (const StoredValue& value : *values) {
      if (!value.memory || byte < value.memory->with_zones() ||
          byte > value.memory->with_zones() + value.memory->bytes_with_zones())
        continue;
      view.data = mirror.address_of(*value.memory, byte);
      return;
    }
  }
}

}  // namespace

const std::shared_ptr<Backend>& card() {
  static const std::shared_ptr<Backend> backend = [] {
    const char* folder = std::getenv("FORNAX_MODULE_DIR");
    const bool built =
        folder && std::filesystem::exists(std::filesystem::path(folder) / "libfornax_cuda.so");
    return built ? try_module_backend("cuda", 0) : nullptr;
  }();
  return backend;
}

void launch_on_device(const std::shared_ptr<Backend>& device, const HostLaunch& launch,
                      bool capture) {
  Mirror mirror(device);
  Command command;
  command.name = launch.kernel.name, command.launch = launch.kernel.launch;
  command.args = launch.args, command.uses_step = launch.args.step != nullptr;
  std::vector<kernels::ConstTensorView> in(launch.args.in.begin(), launch.args.in.end());
  std::vector<kernels::TensorView> out(launch.args.out.begin(), launch.args.out.end());
  for (auto& view : in) move_view(mirror, launch.operands, view);
  for (auto& view : out) move_view(mirror, launch.operands, view);
  command.args.in = in, command.args.out = out;
  GuardedMemory& workspace = launch.workspace;
  if (workspace.bytes() > 0)
    command.args.workspace = {
        static_cast<std::byte*>(mirror.address_of(workspace, workspace.data())), workspace.bytes()};
  const auto sequence = device->record({command}, {1, 0, capture});
  kernels::StepState unused{};
  sequence->run(launch.args.step ? *launch.args.step : unused, {}, {});
  mirror.bring_back();
}

}  // namespace fornax
