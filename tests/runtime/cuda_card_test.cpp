// How tests of kernels run on a card (tests/kernels/card.h), on the simt driver: results come back,
// and so does what a kernel wrote outside its operands.
#include <gtest/gtest.h>

#include "runtime/cuda/cuda_backend.h"
#include "runtime/cuda/simt_table.h"
#include "tests/kernels/card.h"
#include "tests/runtime/cuda_problem.h"

namespace {

using namespace fornax;
using namespace fornax::cuda_test;

/// Writes 1 behind the output: the planted fault.
__global__ void overstep_kernel(float* out) {
  if (device::thread_index() == 0) device::write(out + kElements, 1.0f);
}
void launch_overstep(const kernels::KernelArgs& args) {
  device::launch(args.queue, overstep_kernel, {{1}, {32}, 0, {}, "overstep"},
                 args.out[0].as<float>());
}

StoredValue values_from(float first) {
  StoredValue value;
  value.type = kernels::TensorType(DType::f32, Shape{kElements});
  value.memory = std::make_shared<GuardedMemory>(value.type.bytes());
  for (int i = 0; i < kElements; ++i)
    reinterpret_cast<float*>(value.data())[i] = first + static_cast<float>(i);
  return value;
}

/// x, y and the output of an axpy, launched by `launch`.
NodeOperands launched(void (*launch)(const kernels::KernelArgs&), bool capture) {
  cuda::BackendOptions options;
  options.module = "simt";
  const auto backend = std::make_shared<cuda::CudaBackend>(cuda::make_simt_driver(), options);
  NodeOperands operands;
  operands.in = {values_from(1), values_from(1000)};
  operands.out = {values_from(0)};
  operands.make_views();
  kernels::StepState step{};
  step.scalars[0] = 3;
  kernels::KernelArgs args;
  args.in = operands.in_views, args.out = operands.out_views, args.step = &step;
  const kernels::Kernel kernel{"axpy", "axpy", nullptr, nullptr, launch};
  GuardedMemory workspace(0);
  launch_on_device(backend, {kernel, args, operands, workspace}, capture);
  return operands;
}

TEST(CudaCard, ResultsComeBack) {
  for (const bool capture : {false, true}) {
    const NodeOperands operands = launched(launch_axpy, capture);
    EXPECT_TRUE(operands.out[0].memory->intact());
    for (int i = 0; i < kElements; ++i)
      ASSERT_EQ(reinterpret_cast<const float*>(operands.out[0].data())[i],
                2.0f * static_cast<float>(1 + i) + static_cast<float>(1000 + i) + 3.0f);
  }
}

TEST(CudaCard, WhatIsWrittenOutsideComesBackToo) {
  EXPECT_FALSE(launched(launch_overstep, true).out[0].memory->intact());
}

}  // namespace
