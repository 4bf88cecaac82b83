// Training steps that prefer the kernels of cublasLt, on its twin: the fused layers, captured and
// not, agree with f64; the plan says who serves; the fake filling finds every access in order.
#include <fornax/fornax.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "runtime/cuda/cuda_backend.h"
#include "runtime/cuda/fake_table.h"
#include "runtime/execution/program_data.h"
#include "tests/kernels/library_kernels.h"

namespace fornax {
namespace {

/// Two layers with gelu_tanh between them; every product of the step is one that cublasLt takes:
/// bias and saved value, bias, gelu gradient and column sums, two weight gradients.
struct Network {
  Graph graph{Mode::train};
  std::vector<Value> results;  ///< prediction and gradients, f32

  explicit Network(DType dtype) {
    const Value x = graph.input("x", {24, 16}), target = graph.input("target", {24, 8});
    const Value w1 = graph.parameter("w1", {40, 16}, he_normal());
    const Value b1 = graph.parameter("b1", {40}, normal(0, 0.5));
    const Value w2 = graph.parameter("w2", {8, 40}, he_normal());
    const Value b2 = graph.parameter("b2", {8}, normal(0, 0.5));
    const auto narrow = [&](Value value) { return cast(value, dtype); };
    const Value h = gelu_tanh(linear(narrow(x), narrow(w1), narrow(b1)));  // [24, 40]
    const Value y = linear(h, narrow(w2), narrow(b2));                     // [24, 8]
    const Value loss = sum(multiply(cast(y, DType::f32), target));
    results.push_back(cast(y, DType::f32));
    for (const ParameterGradient& item : gradients(loss, graph.parameters()).items)
      results.push_back(item.gradient);
  }
};

struct Ran {
  std::string plan;
  std::vector<Tensor> results;
};
Ran run(DType dtype, const Device& device, const CompileOptions& wanted) {
  Network network(dtype);
  State state = initialize(network.graph, device, {.seed = 6});
  if (device.kind == Device::Kind::simt) {
    static const bool once = (kernels::register_cuda_kernels("simt", library_kernels()), true);
    EXPECT_TRUE(once);
  }
  CompileOptions options = wanted;
  options.outputs = network.results;
  Program program = compile(network.graph, state, options);
  Tensor x(DType::f32, {24, 16}), target(DType::f32, {24, 8});
  for (std::size_t i = 0; i < 384; ++i)
    x.as<float>()[i] = static_cast<float>(i * 37 % 101) / 50 - 1;
  for (std::size_t i = 0; i < 192; ++i)
    target.as<float>()[i] = static_cast<float>(i * 53 % 89) / 44 - 1;
  Ran ran{program.print_plan(), {}};
  for (int step = 0; step < 2; ++step) {  // the second is a replay
    const Outputs& outputs = program.run({{"x", x}, {"target", target}});
    ran.results.clear();
    for (const Value& value : network.results) ran.results.push_back(outputs.tensor(value));
  }
  return ran;
}

double at(const Tensor& tensor, std::size_t i) {
  return tensor.dtype() == DType::f64 ? tensor.as<double>()[i] : tensor.as<float>()[i];
}

/// The largest |a - exact| over a result, relative to its largest |exact|.
double error_of(const Tensor& a, const Tensor& exact) {
  double error = 0, scale = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(exact.shape().elements()); ++i) {
    error = std::max(error, std::abs(at(a, i) - at(exact, i)));
    scale = std::max(scale, std::abs(at(exact, i)));
  }
  return error / scale;
}

int count(const std::string& text, const std::string& piece) {
  int found = 0;
  for (std::size_t i = 0; (i = text.find(piece, i)) != text.npos; ++i) ++found;
  return found;
}

class CudaLibrary : public testing::Test {
 protected:
  void SetUp() override {
    if (library_kernels().empty()) GTEST_SKIP() << "the headers of cublasLt were not found";
  }
  CompileOptions library(bool capture) const {
    CompileOptions options;
    options.capture = capture;
    options.kernel_choice = KernelChoice::library;
    return options;
  }
};

TEST_F(CudaLibrary, AStepOfItsKernelsAgreesWithF64) {
  for (const DType dtype : {DType::bf16, DType::f16}) {
    const double bound = dtype == DType::bf16 ? 2e-2 : 3e-3;
    const Ran exact = run(DType::f32, Device::reference(DType::f64), {});
    for (const bool capture : {false, true}) {
      SCOPED_TRACE(std::string(name(dtype)) + (capture ? ", captured" : ", eager"));
      const int before = library_twin().products;
      const Ran ours = run(dtype, Device::simt(), library(capture));
      EXPECT_GE(library_twin().products - before, 5) << "put on the queue";
      EXPECT_EQ(count(ours.plan, "by linear_cublaslt variant 164"), 1) << ours.plan;
      EXPECT_EQ(count(ours.plan, "by linear_cublaslt variant 4 "), 1) << ours.plan;
      EXPECT_EQ(count(ours.plan, "by linear_dgrad_cublaslt variant 208"), 1) << ours.plan;
      EXPECT_EQ(count(ours.plan, "by linear_wgrad_cublaslt"), 2) << ours.plan;
      for (std::size_t i = 0; i < exact.results.size(); ++i)
        EXPECT_LE(error_of(ours.results[i], exact.results[i]), bound) << "result " << i;
    }
  }
  EXPECT_EQ(library_twin().objects, 0);
}

TEST_F(CudaLibrary, OwnKernelsAreTheDefaultAndF32StaysExact) {
  const Ran own = run(DType::bf16, Device::simt(), {});
  EXPECT_EQ(count(own.plan, "_cublaslt"), 0) << own.plan;
  EXPECT_EQ(count(own.plan, "_mma"), 5) << own.plan;
  const Ran exact = run(DType::f32, Device::simt(), library(true));
  EXPECT_EQ(count(exact.plan, "_cublaslt"), 0) << exact.plan;
  const Ran reference = run(DType::f32, Device::reference(), {});
  for (std::size_t i = 0; i < exact.results.size(); ++i)
    EXPECT_TRUE(std::ranges::equal(exact.results[i].bytes(), reference.results[i].bytes()));
}

TEST_F(CudaLibrary, APinGivesOneNodeToTheLibrary) {
  CompileOptions options;
  options.pinned_kernels = {{"linear_wgrad", "linear_wgrad_cublaslt"}};
  const Ran pinned = run(DType::f16, Device::simt(), options);
  EXPECT_EQ(count(pinned.plan, "by linear_wgrad_cublaslt variant 1 pinned"), 2) << pinned.plan;
  EXPECT_EQ(count(pinned.plan, "_cublaslt variant"), 2) << pinned.plan;
}

TEST_F(CudaLibrary, AFailureOfTheLibraryIsTheProgramsError) {
  run(DType::bf16, Device::simt(), {});  // registers
  for (const char* call : {"cublasLtMatmul", "cublasLtMatmulAlgoGetHeuristic"}) {
    library_twin().failing_call = call;
    EXPECT_THROW(run(DType::bf16, Device::simt(), library(true)), Error);
  }
  library_twin().failing_call = "";
  EXPECT_EQ(library_twin().objects, 0);
}

/// The step bound to addresses of a fake device.
TEST_F(CudaLibrary, TheFakeFillingFindsItsAccessesInOrder) {
  run(DType::bf16, Device::simt(), {});  // registers
  const cuda::DriverCalls calls = cuda::make_fake_driver();
  const auto backend = std::make_shared<cuda::CudaBackend>(
      calls, cuda::BackendOptions{.module = "simt", .device = 0, .memory_limit_bytes = 0});
  Network network(DType::bf16);
  ProgramData program{network.graph};
  PlanOptions options{.kernel_choice = KernelChoice::library};
  for (const Value& value : network.results) options.outputs.push_back(value.id());
  program.plan = make_plan(network.graph.data(), backend->model(), options);
  program.state = std::make_shared<StateData>();
  program.state->backend = backend;
  for (const ValueData& value : program.plan.graph.values)
    if (value.role == Role::parameter)
      program.state->values.emplace(
          value.name, StateValue{StateEntry::Role::parameter, value.type.dtype, value.type.shape,
                                 DeviceMemory(backend, value.type.bytes())});
  program.arena->reserve(backend, program.plan.arena_bytes);
  const std::vector<float> input(24 * 16);
  std::vector<float> output(24 * 40);
  const std::vector<const void*> inputs(program.plan.inputs.size(), input.data());
  const std::vector<void*> outputs(program.plan.outputs.size(), output.data());
  for (const bool dropped_waits : {false, true}) {
    std::vector<Command> commands = make_commands(program);
    if (dropped_waits)
      std::erase_if(commands, [](const auto& c) { return c.kind == Command::Kind::wait; });
    const auto sequence = backend->record(
        std::move(commands), {program.plan.streams, program.plan.events, !dropped_waits});
    kernels::StepState step{};
    sequence->run(step, inputs, outputs);
    EXPECT_EQ(cuda::fake_report(*calls.state).faults.empty(), !dropped_waits)
        << cuda::to_string(cuda::fake_report(*calls.state));
  }
}

}  // namespace
}  // namespace fornax
