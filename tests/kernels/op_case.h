// One OpCase of an op gives all its tests: the bits of every kernel, accuracy, gradient, refusals;
// and its benchmark.
#pragma once
#include <fornax/error.h>
#include <fornax/graph.h>
#include <gtest/gtest.h>

#include <functional>
#include <ostream>
#include <string>
#include <vector>

namespace fornax {

struct NodeData;
struct NodeOperands;
namespace kernels {
struct StepState;
}

/// Where the elements of an operand come from.
struct Draw {
  enum class Kind { normal, uniform, integers } kind = Kind::normal;
  double low = 0, high = 1;  ///< normal: mean and deviation; else the bounds; integers: high too
};
inline Draw draw_normal(double deviation = 1) { return {Draw::Kind::normal, 0, deviation}; }
inline Draw draw_uniform(double low, double high) { return {Draw::Kind::uniform, low, high}; }
inline Draw draw_integers(std::int64_t low, std::int64_t high) {
  return {Draw::Kind::integers, static_cast<double>(low), static_cast<double>(high)};
}

struct OpInput {
  enum class Role { input, parameter, state };
  Shape shape;
  Draw draw = draw_normal();
  DType dtype = DType::none;  ///< none: the dtype under test
  Role role = Role::input;    ///< parameters are always f32
  bool differentiable = true;
};

/// A use of ops that must be refused.
struct Refusal {
  ErrorCode code;
  std::string message;  ///< regular expression found in what()
  std::function<void(Graph)> build;
};

/// Largest |value - exact| over an output, relative to its largest |exact|.
struct Bounds {
  double f32 = 2e-6, bf16 = 2e-2, f16 = 3e-3;
};

/// What tests/bench/op_bench times: the case with inputs of these shapes. A name that
/// tests/bench/peers/torch_ops.py knows too; empty: no benchmark.
struct Benchmark {
  std::string name = {};
  std::vector<Shape> shapes = {};
  std::int64_t highest = 0;  ///< of inputs that are drawn as integers
};

struct OpCase {
  std::string name;  ///< letters, digits, _
  std::vector<OpInput> inputs;
  /// Adds the ops to the graph; gives the outputs.
  std::function<std::vector<Value>(std::span<const Value>)> build;
  Bounds bounds = {};
  std::vector<DType> dtypes = {DType::f32, DType::bf16, DType::f16};
  std::vector<Refusal> refusals = {};
  Mode mode = Mode::train;
  bool has_gradient = true;
  bool specials = true;  ///< bits also with NaN, infinities, subnormals and zeros in the inputs
  bool mostly_zeros = false;        ///< outputs may be
  bool kernels_may_refuse = false;  ///< all kernels of an op may refuse these shapes
  /// Kernels of libraries that must take bf16 and f16 of it, where their twins are built.
  std::vector<std::string> library_kernels = {};
  Benchmark benchmark = {};
};
inline void PrintTo(const OpCase& op_case, std::ostream* to) { *to << op_case.name; }

/// f32 of every kernel of every node, forward and backward, bit for bit against the reference: CPU
/// on every instruction set with 1, 2, 3 threads, the simt machine where its module is there, and
/// the first GPU where libfornax_cuda is built and finds one. Also: nothing is written outside, all
/// of the output is, no memory is allocated.
void check_bits(const OpCase& op_case);
/// Forward and backward of every dtype against f64.
void check_accuracy(const OpCase& op_case);
/// Gradients in f64 against central differences.
void check_gradient(const OpCase& op_case);
void check_refusals(const OpCase& op_case);

/// Runs the references of a case in `dtype`, forward and backward; `visit` sees every node with
/// bytes after it ran.
void visit_nodes(
    const OpCase& op_case, DType dtype,
    const std::function<void(const NodeData&, NodeOperands&, const kernels::StepState&)>& visit);

inline std::string op_case_name(const testing::TestParamInfo<OpCase>& info) {
  return info.param.name;
}

/// The cases with a benchmark of every family that is linked into this program.
std::vector<OpCase>& benchmark_cases();
/// Adds those of one family; gives true.
bool register_benchmarks(const std::vector<OpCase>& cases);

/// The numbers that a case's inputs are drawn from: the same with every standard library.
class Generator {
 public:
  explicit Generator(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next();
  double draw(const Draw& draw);

 private:
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  std::uint64_t state_;
};

/// The tests of a family; `cases` is a std::vector<OpCase>.
#define FORNAX_OP_CASES(Family, cases)                                                      \
  class Family : public testing::TestWithParam<::fornax::OpCase> {};                        \
  TEST_P(Family, EveryKernelHasTheBitsOfTheReference) { ::fornax::check_bits(GetParam()); } \
  TEST_P(Family, EveryDtypeIsWithinItsBound) { ::fornax::check_accuracy(GetParam()); }      \
  TEST_P(Family, GradientAgreesWithDifferences) { ::fornax::check_gradient(GetParam()); }   \
  TEST_P(Family, RefusesBadInputs) { ::fornax::check_refusals(GetParam()); }                \
  const bool k##Family##Benchmarks = ::fornax::register_benchmarks(cases);                  \
  INSTANTIATE_TEST_SUITE_P(Cases, Family, testing::ValuesIn(cases), ::fornax::op_case_name)

}  // namespace fornax
