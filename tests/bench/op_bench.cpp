// A server (server.h) of every OpCase that has a benchmark (tests/kernels/op_case.h).
//   op_bench                        waits for "load op name=NAME part=forward|backward"
//   op_bench op name=NAME part=...  loads that case; with rows=N so many of them, of every input
//                                   that has as many as the first
//   op_bench --list                 the names of the cases, each with yes where it has a gradient
//   op_bench --coverage [NAME]      names ops that no benchmark (but NAME) runs; status 1 when
//                                   there are any
// forward is the op; backward is the op and its gradient from a given gradient of its results.
#include <cstdio>
#include <set>
#include <stdexcept>

#include "kernels/numeric/numeric.h"
#include "kernels/op.h"
#include "runtime/passes/passes.h"
#include "tests/bench/operand_case.h"
#include "tests/kernels/op_case.h"

namespace {

using namespace fornax;

/// Elements that are drawn; a larger operand repeats them. No power of two, so that rows differ.
constexpr std::int64_t kDrawn = (1 << 20) + 7;

template <class T, class Convert>
void fill(Tensor& tensor, const Draw& draw, std::uint64_t seed, const Convert& convert) {
  Generator generator(seed);
  T* elements = reinterpret_cast<T*>(tensor.bytes().data());
  for (std::int64_t i = 0; i < tensor.shape().elements(); ++i)
    elements[i] = i < kDrawn ? convert(generator.draw(draw)) : elements[i - kDrawn];
}

Tensor drawn(const Shape& shape, DType dtype, const Draw& draw, std::uint64_t seed) {
  Tensor tensor(dtype, shape);
  if (dtype == DType::f32)
    fill<float>(tensor, draw, seed, [](double x) { return static_cast<float>(x); });
  else if (dtype == DType::bf16)
    fill<std::uint16_t>(tensor, draw, seed,
                        [](double x) { return numeric::to_bf16(static_cast<float>(x)); });
  else if (dtype == DType::i32)
    fill<std::int32_t>(tensor, draw, seed, [](double x) { return static_cast<std::int32_t>(x); });
  else
    throw std::runtime_error("benchmarks draw f32, bf16 and i32 only");
  return tensor;
}

struct Built {
  bench::OperandCase content;
  std::vector<int> wanted;
};

/// The case with fewer rows.
OpCase with_rows(OpCase c, std::int64_t rows) {
  const std::int64_t all = c.benchmark.shapes.at(0)[0];
  for (Shape& shape : c.benchmark.shapes) {
    std::vector<std::int64_t> extents(shape.begin(), shape.end());
    if (extents.at(0) == all) extents[0] = rows;
    shape = Shape(extents);
  }
  return c;
}

/// The graph of a case; operands are drawn only when `with_operands`.
class Builder {
 public:
  Builder(const OpCase& op_case, bool backward, bool with_operands)
      : case_(op_case), with_operands_(with_operands) {
    built_.content.graph = Graph(op_case.mode);
    for (std::size_t i = 0; i < op_case.inputs.size(); ++i) add_input(i);
    outputs_ = op_case.build(inputs_);
    built_.content.results = outputs_;
    if (backward) add_backward();
  }
  Built take() { return std::move(built_); }

 private:
  Value operand(const std::string& name, const Shape& shape, DType dtype, const Draw& draw,
                bool parameter) {
    if (with_operands_)
      built_.content.operands.emplace(
          name, drawn(shape, dtype, draw, built_.content.operands.size() + 1));
    Graph& graph = built_.content.graph;
    return parameter ? graph.parameter(name, shape, {}) : graph.state(name, shape, {}, dtype);
  }

  void add_input(std::size_t i) {
    const OpInput& input = case_.inputs[i];
    const DType dtype = input.dtype == DType::none ? DType::f32 : input.dtype;
    Draw draw = input.draw;
    if (draw.kind == Draw::Kind::integers) draw.high = static_cast<double>(case_.benchmark.highest);
    inputs_.push_back(operand("input" + std::to_string(i), case_.benchmark.shapes.at(i), dtype,
                              draw, input.role == OpInput::Role::parameter));
    if (input.differentiable && is_floating(dtype)) built_.wanted.push_back(static_cast<int>(i));
  }

  void add_backward() {
    std::vector<Value> out, d_out, wanted;
    for (const Value& output : outputs_) {
      if (!is_floating(output.dtype())) continue;
      out.push_back(output);
      d_out.push_back(operand("seed" + std::to_string(d_out.size()), output.shape(), output.dtype(),
                              draw_normal(), false));
    }
    for (const int i : built_.wanted) wanted.push_back(inputs_[static_cast<std::size_t>(i)]);
    for (const Value& value : vector_jacobian(built_.content.graph, out, d_out, wanted)) {
      if (!value) throw std::runtime_error(case_.benchmark.name + ": an input has no gradient");
      built_.content.results.push_back(value);
    }
  }

  const OpCase& case_;
  bool with_operands_;
  Built built_;
  std::vector<Value> inputs_, outputs_;
};

bench::Case load(const std::string& kind, const bench::Settings& settings) {
  if (kind != "op") throw std::runtime_error(kind + ": no such kind of case");
  const std::string name = settings.text("name", "");
  for (const OpCase& c : benchmark_cases()) {
    if (c.benchmark.name != name) continue;
    const std::int64_t rows = settings.integer("rows", c.benchmark.shapes.at(0)[0]);
    Built built =
        Builder(with_rows(c, rows), settings.text("part", "forward") == "backward", true).take();
    bench::Case loaded = load_operand_case(std::move(built.content), settings);
    loaded.wanted = built.wanted;
    return loaded;
  }
  throw std::runtime_error(name + ": no such benchmark");
}

int list() {
  for (const OpCase& c : benchmark_cases())
    std::printf("%s %s\n", c.benchmark.name.c_str(), c.has_gradient ? "yes" : "no");
  return 0;
}

int coverage(const std::string& left_out) {
  std::set<std::string_view> timed, names;
  int failed = 0;
  for (const OpCase& c : benchmark_cases()) {
    if (c.benchmark.name == left_out) continue;
    if (!names.insert(c.benchmark.name).second)
      std::printf("two benchmarks are named %s\n", c.benchmark.name.c_str()), failed = 1;
    const Built built = Builder(c, c.has_gradient, false).take();
    for (const NodeData& node : built.content.graph.data().nodes) timed.insert(node.op->name);
  }
  for (const kernels::OpDefinition* op : kernels::all_ops()) {
    if (timed.contains(op->name)) continue;
    std::printf("op %.*s has no benchmark: give an OpCase of tests/kernels one\n",
                static_cast<int>(op->name.size()), op->name.data());
    failed = 1;
  }
  std::printf("%zu benchmarks run %zu ops\n", names.size(), timed.size());
  return failed;
}

}  // namespace

int main(int count, char** words) {
  const std::string first = count > 1 ? words[1] : "";
  if (first == "--list") return list();
  if (first == "--coverage") return coverage(count > 2 ? words[2] : "");
  return bench::serve(count, words, load);
}
