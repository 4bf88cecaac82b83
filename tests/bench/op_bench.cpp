// A server (server.h) of every OpCase that has a benchmark (tests/kernels/op_case.h).
//   op_bench                        waits for "load op name=NAME part=forward|backward"
//   op_bench op name=NAME part=...  loads that case; with rows=N so many of them, of every input
//                                   that has as many as the first; with cached=1 as many as stay
//                                   in the caches of one thread
//   op_bench --list                 the names of the cases, each with yes where it has a gradient
//   op_bench --cached               the parts of all cases, each with the fraction of it that
//                                   cached=1 does (0: none) and the bytes of its values
//   op_bench --coverage [NAME]      names ops that no benchmark (but NAME) runs; status 1 when
//                                   there are any
// forward is the op; backward is the op and its gradient from a given gradient of its results.
#include <algorithm>
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
constexpr std::int64_t kCachedBytes = 256 << 10;     // no more than half of a core's second cache
constexpr std::int64_t kReturnedCachedBytes = 4096;  // little beside them

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

/// The case with another extent of the first input's axis, and with one that is smaller by the same
/// factor in every input whose extent of that axis is a multiple.
OpCase with_extent(OpCase c, int axis, std::int64_t extent) {
  const std::int64_t all = c.benchmark.shapes.at(0)[axis];
  for (Shape& shape : c.benchmark.shapes) {
    std::vector<std::int64_t> extents(shape.begin(), shape.end());
    const auto at = static_cast<std::size_t>(axis);
    if (at < extents.size() && extents[at] % all == 0) extents[at] = extents[at] / all * extent;
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

/// Of all values of the case's graph that have memory of their own.
std::int64_t value_bytes(const OpCase& c, bool backward) {
  const Built built = Builder(c, backward, false).take();
  const GraphData& graph = built.content.graph.data();
  const Dependencies dependencies = dependencies_of(graph);
  std::int64_t bytes = 0;
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    const ValueData& value = graph.values[i];
    const bool updates =
        value.producer >= 0 && dependencies.update[static_cast<std::size_t>(value.producer)];
    if (dependencies.base[i] == static_cast<int>(i) && !updates) bytes += value.type.bytes();
  }
  return bytes;
}

struct Cached {
  OpCase op_case;
  double fraction = 0;  ///< of the elements; 0: it is no use of the op on fewer rows
  std::int64_t bytes = 0;
};

/// Whether the extent of the first axis is that of some value's rows: of a transpose.
bool widths_follow_rows(const OpCase& c, bool backward) {
  const Built two = Builder(with_extent(c, 0, 2), backward, false).take();
  const Built three = Builder(with_extent(c, 0, 3), backward, false).take();
  const auto& some = two.content.graph.data().values;
  const auto& others = three.content.graph.data().values;
  return !std::equal(some.begin(), some.end(), others.begin(), others.end(),
                     [](const ValueData& a, const ValueData& b) {
                       const Shape &x = a.type.shape, &y = b.type.shape;
                       return x.rank() < 2 || x[-1] == y[-1];
                     });
}

/// The case with all extents of its only input halved until it takes at most kCachedBytes.
Cached halved(const OpCase& c, bool backward) {
  if (c.benchmark.shapes.size() != 1) return {c};
  Cached made{c, 1, value_bytes(c, backward)};
  const int rank = c.benchmark.shapes.at(0).rank();
  for (int axis = 0; made.bytes > kCachedBytes; axis = (axis + 1) % rank) {
    const std::int64_t extent = made.op_case.benchmark.shapes[0][axis];
    if (extent % 2 != 0) return {c};
    made.op_case = with_extent(made.op_case, axis, extent / 2);
    made.fraction /= 2, made.bytes = value_bytes(made.op_case, backward);
  }
  return made;
}

/// As much of the case as takes at most kCachedBytes: the extents of its first axes shrink one
/// after the other, and rows keep their width; where they cannot, all axes shrink. Not of cases
/// whose bytes are not proportional to an extent.
Cached in_caches(const OpCase& c, bool backward) {
  if (widths_follow_rows(c, backward)) return halved(c, backward);
  Cached made{c, 1, value_bytes(c, backward)};
  const Shape& shape = c.benchmark.shapes.at(0);
  for (int axis = 0; axis + 1 < shape.rank() && made.bytes > kCachedBytes; ++axis) {
    if (shape[axis] == 1) continue;
    const auto bytes = [&](std::int64_t extent) {
      return value_bytes(with_extent(made.op_case, axis, extent), backward);
    };
    const std::int64_t two = bytes(2), more = bytes(3) - two;  // ops may need two rows
    if (more <= 0 || bytes(4) - bytes(3) != more) return {c};
    std::int64_t extent = two > kCachedBytes ? 1 : 2 + (kCachedBytes - two) / more;
    if (extent >= 8) extent -= extent % 8;
    made = {with_extent(made.op_case, axis, extent),
            made.fraction * static_cast<double>(extent) / static_cast<double>(shape[axis]),
            bytes(extent)};
  }
  return made.bytes > kCachedBytes ? Cached{c} : made;
}

bench::Case load(const std::string& kind, const bench::Settings& settings) {
  if (kind != "op") throw std::runtime_error(kind + ": no such kind of case");
  const std::string name = settings.text("name", "");
  const bool backward = settings.text("part", "forward") == "backward";
  const bool cached = settings.integer("cached", 0) != 0;
  for (const OpCase& c : benchmark_cases()) {
    if (c.benchmark.name != name) continue;
    const std::int64_t rows = settings.integer("rows", c.benchmark.shapes.at(0)[0]);
    const Cached made = cached ? in_caches(c, backward) : Cached{with_extent(c, 0, rows), 1};
    bench::Case loaded;
    if (made.fraction > 0) {
      Built built = Builder(made.op_case, backward, true).take();
      if (cached) built.content.returned_bytes = kReturnedCachedBytes;
      loaded = load_operand_case(std::move(built.content), settings);
      loaded.wanted = built.wanted;
    }
    loaded.fraction = made.fraction;
    return loaded;
  }
  throw std::runtime_error(name + ": no such benchmark");
}

int list() {
  for (const OpCase& c : benchmark_cases())
    std::printf("%s %s\n", c.benchmark.name.c_str(), c.has_gradient ? "yes" : "no");
  return 0;
}

int list_cached() {
  for (const OpCase& c : benchmark_cases()) {
    for (const bool backward : {false, true}) {
      if (backward && !c.has_gradient) continue;
      const Cached made = in_caches(c, backward);
      std::printf("%s %s %.17g %lld\n", c.benchmark.name.c_str(), backward ? "backward" : "forward",
                  made.fraction, static_cast<long long>(made.bytes));
    }
  }
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
  if (first == "--cached") return list_cached();
  if (first == "--coverage") return coverage(count > 2 ? words[2] : "");
  return bench::serve(count, words, load);
}
