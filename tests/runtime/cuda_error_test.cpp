// Errors of a driver, put in on purpose: what is said, and that a broken device is left alone.
#include <fornax/error.h>
#include <gtest/gtest.h>

#include "runtime/cuda/cuda_backend.h"
#include "runtime/cuda/simt_table.h"
#include "tests/runtime/cuda_problem.h"

// A broken device is left alone: what it held is never freed, which is no leak here.
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

namespace {

using namespace fornax;
using namespace fornax::cuda;
using namespace fornax::cuda_test;

Status planted = Status::success;  // what the next planted call returns
int calls_seen = 0;                // calls of entries that a broken device must not get
DriverTable simt_table;            // the table beneath

/// The simt driver, with entries that fail with `planted` or count.
DriverCalls faulty_driver() {
  DriverCalls calls = make_simt_driver();
  simt_table = calls.table;
  planted = Status::success, calls_seen = 0;
  calls.table.copy_to_device = [](DriverState& s, void* to, const void* from, std::int64_t bytes,
                                  Stream stream) {
    if (planted != Status::success) return std::exchange(planted, Status::success);
    ++calls_seen;
    return simt_table.copy_to_device(s, to, from, bytes, stream);
  };
  calls.table.load_kernel = [](DriverState& s, const device::KernelLaunch& launch) {
    if (planted != Status::success) return std::exchange(planted, Status::success);
    return simt_table.load_kernel(s, launch);
  };
  calls.table.stream_destroy = [](DriverState& s, Stream stream) {
    ++calls_seen;
    return simt_table.stream_destroy(s, stream);
  };
  calls.table.deallocate = [](DriverState& s, void* memory) {
    ++calls_seen;
    return simt_table.deallocate(s, memory);
  };
  return calls;
}

template <class Work>
std::string message(ErrorCode code, const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(code)) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

TEST(CudaError, TheFirstStickyErrorIsKeptAndTheDeviceLeftAlone) {
  const DriverCalls calls = faulty_driver();  // keeps the simt machine, which frees what is left
  {
    const auto backend = std::make_shared<CudaBackend>(calls, BackendOptions{});
    DeviceMemory memory(backend, 64);
    int value = 0;
    planted = Status::illegal_address;
    const auto upload = [&] { backend->upload(memory.get(), &value, 4); };
    const std::string first = message(ErrorCode::device, upload);
    EXPECT_NE(first.find("illegal_address (700)"), std::string::npos) << first;
    EXPECT_NE(first.find("an upload"), std::string::npos) << first;
    calls_seen = 0;
    EXPECT_EQ(message(ErrorCode::device, upload), first);
    EXPECT_EQ(message(ErrorCode::device, [&] { backend->download(&value, memory.get(), 4); }),
              first);
    EXPECT_EQ(message(ErrorCode::device, [&] { backend->allocate(std::int64_t{64} << 20); }),
              first);
  }
  EXPECT_EQ(calls_seen, 0) << "a call reached the broken device";
}

TEST(CudaError, AnHarmlessErrorLeavesTheDeviceUsable) {
  const DriverCalls calls = faulty_driver();
  const auto backend = std::make_shared<CudaBackend>(calls, BackendOptions{});
  DeviceMemory memory(backend, 64);
  int value = 3, back = 0;
  planted = Status::invalid_value;
  message(ErrorCode::device, [&] { backend->upload(memory.get(), &value, 4); });
  backend->upload(memory.get(), &value, 4);
  backend->download(&back, memory.get(), 4);
  EXPECT_EQ(back, 3);
}

TEST(CudaError, CodeForTheArchitectureIsAskedForAtRecord) {
  const auto backend = std::make_shared<CudaBackend>(faulty_driver(), BackendOptions{});
  TwoStreamStep step(backend);
  planted = Status::no_kernel_image;
  const std::string text = message(ErrorCode::unsupported, [&] {
    backend->record(step.commands(), TwoStreamStep::options(true));
  });
  EXPECT_NE(text.find("FORNAX_CUDA_ARCHITECTURES"), std::string::npos) << text;
  EXPECT_NE(text.find("axpy"), std::string::npos) << text;
}

TEST(CudaError, ACaptureThatFailsEndsAndTheStreamGoesOn) {
  const auto backend = std::make_shared<CudaBackend>(faulty_driver(), BackendOptions{});
  TwoStreamStep step(backend);
  planted = Status::success;
  std::vector<Command> unjoined = step.commands();
  unjoined[0].event = 0;
  for (Command& command : unjoined)
    if (command.kind == Command::Kind::wait) command.event = 5;  // there are two events
  EXPECT_ANY_THROW(backend->record(unjoined, TwoStreamStep::options(true)));
  const auto sequence = backend->record(step.commands(), TwoStreamStep::options(true));
  EXPECT_NE(sequence, nullptr);
}

TEST(CudaError, MissingDevicesAreNamed) {
  DriverCalls calls = make_simt_driver();
  BackendOptions options;
  options.device = 3;
  EXPECT_NE(message(ErrorCode::unsupported, [&] { CudaBackend(calls, options); })
                .find("there is no device 3"),
            std::string::npos);
  calls.table.device_count = [](DriverState&, int* count) {
    *count = 0;
    return Status::success;
  };
  EXPECT_NE(message(ErrorCode::unsupported, [&] { CudaBackend(calls, {}); }).find("no device"),
            std::string::npos);
  calls.table.device_count = [](DriverState&, int*) { return Status::insufficient_driver; };
  message(ErrorCode::unsupported, [&] { CudaBackend(calls, {}); });
}

TEST(CudaError, AFailingKernelIsNamed) {
  const auto backend = std::make_shared<CudaBackend>(make_simt_driver(), BackendOptions{});
  TwoStreamStep step(backend);
  Command command;
  command.name = "too many threads";
  command.launch = [](const kernels::KernelArgs& args) {
    device::launch(args.queue, complain_kernel, {{1}, {2048}, 0, {}, "wide"}, args.step);
  };
  const auto sequence = backend->record({command}, {1, 0, true});
  kernels::StepState state{};
  const std::string text = message(ErrorCode::device, [&] { sequence->run(state, {}, {}); });
  EXPECT_NE(text.find("wide"), std::string::npos) << text;
  EXPECT_NE(text.find("2048 threads"), std::string::npos) << text;
}

}  // namespace
