// A small two-stream step for tests of the CUDA backend: its kernels, commands and right answer.
#pragma once
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "kernels/device/atomics.cuh"
#include "kernels/device/launch.cuh"
#include "kernels/device/memory.cuh"
#include "runtime/device/backend.h"

namespace fornax::cuda_test {

inline constexpr int kElements = 300, kThreads = 64;

/// out = a * x + y + step scalar 0, element by element. out may be y.
__global__ inline void axpy_kernel(float a, const float* x, const float* y, float* out,
                                   const kernels::StepState* step) {
  const int i = device::block_index() * kThreads + device::thread_index();
  if (i >= kElements) return;
  const auto scalar = static_cast<float>(step->scalars[0]);
  device::write(out + i, std::fma(a, device::read(x + i), device::read(y + i)) + scalar);
}

/// Names element 7 of the batch as a bad one when scalar 1 is set.
__global__ inline void complain_kernel(kernels::StepState* step) {
  if (device::thread_index() != 0 || step->scalars[1] == 0) return;
  step->bad_index = 8;
  step->bad_value = -3;
}

inline void launch_axpy(const kernels::KernelArgs& args) {
  const auto factor = static_cast<float>(args.in.size());
  device::launch(
      args.queue, axpy_kernel, {{(kElements + kThreads - 1) / kThreads}, {kThreads}, 0, {}, "axpy"},
      factor, args.in[0].as<float>(), args.in[1].as<float>(), args.out[0].as<float>(), args.step);
}

inline void launch_complain(const kernels::KernelArgs& args) {
  device::launch(args.queue, complain_kernel, {{1}, {32}, 0, {}, "complain"}, args.step);
}

/// Stream 0: a = 2 x + s; signal. Stream 1: waits; b = 2 a + x + s; signal. Stream 0: c = 2 a + a +
/// s; waits; c = 2 b + c + s. State: sum = 2 c + sum + s. Returned: c and sum.
class TwoStreamStep {
 public:
  explicit TwoStreamStep(const std::shared_ptr<Backend>& backend) {
    for (int i = 0; i < kValues; ++i) memory_.emplace_back(backend, kElements * 4);
    const kernels::TensorType type(DType::f32, Shape{kElements});
    types_.assign(kValues, type);
  }

  std::vector<Command> commands() {
    std::vector<Command> list;
    list.push_back(copy(Command::Kind::upload, x, 0));
    list.push_back(axpy(0, x, zero, a));
    list.push_back(event(Command::Kind::signal, 0, 0));
    list.push_back(event(Command::Kind::wait, 1, 0));
    list.push_back(axpy(1, a, x, b));
    list.push_back(event(Command::Kind::signal, 1, 1));
    list.push_back(axpy(0, a, a, c));
    list.push_back(event(Command::Kind::wait, 0, 1));
    list.push_back(axpy(0, b, c, c));
    list.push_back(axpy(0, c, sum, sum));
    Command complain;
    complain.name = "complain", complain.launch = launch_complain;
    list.push_back(complain);
    list.push_back(copy(Command::Kind::download, c, 0));
    list.push_back(copy(Command::Kind::download, sum, 1));
    return list;
  }
  static RecordOptions options(bool capture) { return {2, 2, capture}; }

  void* address_of_sum() const { return memory_[sum].get(); }

  /// What c and sum are after one more step.
  static void reference(float s, const std::vector<float>& x, std::vector<float>& c,
                        std::vector<float>& sum) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      const float a_i = std::fma(2.0f, x[i], 0.0f) + s, b_i = std::fma(2.0f, a_i, x[i]) + s;
      const float first = std::fma(2.0f, a_i, a_i) + s;
      c[i] = std::fma(2.0f, b_i, first) + s;
      sum[i] = std::fma(2.0f, c[i], sum[i]) + s;
    }
  }

 private:
  enum Name { x, zero, a, b, c, sum, kValues };

  struct Operands {
    kernels::ConstTensorView in[2];
    kernels::TensorView out[1];
  };

  Command axpy(int stream, Name first, Name second, Name to) {
    operands_.push_back(std::make_unique<Operands>());
    Operands& views = *operands_.back();
    views.in[0] = {memory_[first].get(), &types_[first]};
    views.in[1] = {memory_[second].get(), &types_[second]};
    views.out[0] = {memory_[to].get(), &types_[to]};
    Command command;
    command.stream = stream, command.launch = launch_axpy;
    command.name = "axpy to " + std::string(1, "x0abcs"[to]);
    command.args.in = views.in, command.args.out = views.out;
    return command;
  }
  Command copy(Command::Kind kind, Name value, int slot) const {
    Command command;
    command.kind = kind, command.slot = slot;
    command.device = memory_[value].get(), command.bytes = kElements * 4;
    return command;
  }
  static Command event(Command::Kind kind, int stream, int event) {
    Command command;
    command.kind = kind, command.stream = stream, command.event = event;
    return command;
  }

  std::vector<DeviceMemory> memory_;
  std::vector<kernels::TensorType> types_;
  std::vector<std::unique_ptr<Operands>> operands_;
};

}  // namespace fornax::cuda_test
