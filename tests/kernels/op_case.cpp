// See op_case.h.
#include "tests/kernels/op_case.h"

#include <fornax/ops/pointwise.h>
#include <fornax/ops/reduction.h>

#include <cmath>
#include <limits>
#include <map>
#include <numbers>
#include <regex>
#include <set>

#include "tests/kernels/kernel_check.h"
#include "tests/kernels/library_kernels.h"
#include "tests/kernels/reference_run.h"

namespace fornax {

std::vector<OpCase>& benchmark_cases() {
  static std::vector<OpCase> cases;
  return cases;
}

bool register_benchmarks(const std::vector<OpCase>& cases) {
  for (const OpCase& op_case : cases)
    if (!op_case.benchmark.name.empty()) benchmark_cases().push_back(op_case);
  return true;
}

/// SplitMix64 (Steele, Lea, Flood 2014).
std::uint64_t Generator::next() {
  std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

double Generator::draw(const Draw& draw) {
  if (draw.kind == Draw::Kind::uniform) return draw.low + (draw.high - draw.low) * unit();
  if (draw.kind == Draw::Kind::integers)
    return draw.low + std::floor((draw.high - draw.low + 1) * unit());
  // Box and Muller 1958.
  return draw.low +
         draw.high * std::sqrt(-2 * std::log(1 - unit())) * std::cos(2 * std::numbers::pi * unit());
}

namespace {

constexpr double kSpecials[] = {0.0,
                                -0.0,
                                std::numeric_limits<double>::infinity(),
                                -std::numeric_limits<double>::infinity(),
                                std::numeric_limits<double>::quiet_NaN(),
                                1e-40,
                                -3e-42,
                                1e38,
                                -2e38,
                                1.0,
                                -1.0};

struct Fed {
  int value;
  std::vector<double> elements;
  bool differentiable;
};

/// A case's graph: outputs, loss = sum of weight * output, gradients of what is differentiable.
struct Built {
  Graph graph;
  std::vector<Value> outputs;
  Value loss;
  std::vector<ParameterGradient> gradients;
  std::vector<Fed> fed;
  std::size_t forward_nodes = 0;

  explicit Built(Mode mode) : graph(mode) {}
  std::vector<int> results() const {
    std::vector<int> ids;
    for (const Value& value : outputs) ids.push_back(value.id());
    for (const auto& item : gradients) ids.push_back(item.gradient.id());
    return ids;
  }
};

Value make_input(Graph& graph, const OpInput& input, DType dtype, const std::string& name) {
  const DType own = input.dtype == DType::none ? dtype : input.dtype;
  if (input.role == OpInput::Role::parameter) return graph.parameter(name, input.shape, {});
  if (input.role == OpInput::Role::state) return graph.state(name, input.shape, {}, own);
  return graph.input(name, input.shape, own);
}

void feed(Built& built, Value value, const Draw& draw, Generator& generator, bool specials,
          bool differentiable) {
  Fed fed{value.id(), {}, differentiable && is_floating(value.dtype())};
  for (std::int64_t i = 0; i < value.shape().elements(); ++i) {
    double x = generator.draw(draw);
    if (specials && is_floating(value.dtype()) && generator.next() % 8 == 0)
      x = kSpecials[generator.next() % std::size(kSpecials)];
    fed.elements.push_back(rounded_to(value.dtype(), x));
  }
  built.fed.push_back(std::move(fed));
}

Built build(const OpCase& op_case, DType dtype, bool specials) {
  Built built(op_case.mode);
  Generator generator(op_case.name.size() * 7919 + specials);
  std::vector<Value> inputs, wanted;
  for (const OpInput& input : op_case.inputs) {
    const std::string name = "input" + std::to_string(inputs.size());
    inputs.push_back(make_input(built.graph, input, dtype, name));
    feed(built, inputs.back(), input.draw, generator, specials, input.differentiable);
    if (built.fed.back().differentiable) wanted.push_back(inputs.back());
  }
  built.outputs = op_case.build(inputs);
  built.forward_nodes = static_cast<std::size_t>(built.graph.node_count());
  if (!op_case.has_gradient) return built;
  for (const Value& output : built.outputs) {
    if (!is_floating(output.dtype())) continue;
    const Value weight =
        built.graph.input("weight" + std::to_string(output.id()), output.shape(), output.dtype());
    feed(built, weight, draw_normal(), generator, specials, false);
    const Value term = cast(sum(multiply(output, weight)), DType::f32);
    built.loss = built.loss ? add(built.loss, term) : term;
  }
  built.forward_nodes = static_cast<std::size_t>(built.graph.node_count());
  built.gradients = gradients(built.loss, wanted).items;
  return built;
}

ReferenceRun reference_run(const Built& built, DType storage, int prefill = 0xff) {
  ReferenceRun run(built.graph.data(), storage, prefill);
  run.step = {
      .step = 3, .seed = 17, .first_sample = 41, .bad_index = 0, .bad_value = 0, .scalars = {}};
  const auto& scalars = built.graph.data().scalars;
  for (std::size_t i = 0; i < scalars.size(); ++i) run.step.scalars[i] = scalars[i].initial;
  for (const Fed& fed : built.fed) run.feed(fed.value, fed.elements);
  return run;
}

std::size_t all_nodes(const Built& built) {
  return static_cast<std::size_t>(built.graph.node_count());
}

bool same(double a, double b) {
  return (a != a && b != b) || (a == b && std::signbit(a) == std::signbit(b));
}

void check_all_written(const Built& built, const ReferenceRun& first) {
  ReferenceRun second = reference_run(built, DType::f32, 0x00);
  second.run(all_nodes(built));
  for (const int id : built.results()) {
    const auto a = first.elements(id), b = second.elements(id);
    for (std::size_t i = 0; i < a.size(); ++i)
      ASSERT_TRUE(same(a[i], b[i])) << "the reference leaves element " << i << " unwritten";
  }
}

double max_magnitude(const std::vector<double>& x) {
  double largest = 0;
  for (const double v : x) largest = std::max(largest, std::abs(v));
  return largest;
}

}  // namespace

void check_bits(const OpCase& op_case) {
  for (const bool specials : {false, true}) {
    if (specials && !op_case.specials) continue;
    const Built built = build(op_case, DType::f32, specials);
    ReferenceRun run = reference_run(built, DType::f32);
    std::map<std::string, KernelCheckResult> results;
    const auto count = [&](const std::string& key, const KernelCheckResult& one) {
      KernelCheckResult& total = results[key];
      total.offered = one.offered, total.ran += one.ran, total.refusals += one.refusals;
    };
    run.run(all_nodes(built), [&](const NodeData& node, NodeOperands& operands) {
      const std::string op(node.op->name);
      count(op + " on the CPU", check_cpu_kernels(node, operands, run.step));
      count(op + " on CUDA", check_cuda_kernels(node, operands, run.step, 0));
      count(op + " on a card", check_kernels_on_card(node, operands, run.step, 0));
    });
    if (testing::Test::HasFailure()) return;
    for (const auto& [op, result] : results)
      EXPECT_TRUE(result.offered == 0 || result.ran > 0 || op_case.kernels_may_refuse)
          << "no kernel of " << op << " ran: " << result.refusals;
    check_all_written(built, run);
  }
}

void check_accuracy(const OpCase& op_case) {
  for (const DType dtype : op_case.dtypes) {
    const Built built = build(op_case, dtype, false);
    ReferenceRun run = reference_run(built, DType::f32), exact = reference_run(built, DType::f64);
    const double bound = dtype == DType::f32    ? op_case.bounds.f32
                         : dtype == DType::bf16 ? op_case.bounds.bf16
                                                : op_case.bounds.f16;
    exact.run(all_nodes(built));
    std::set<std::string_view> ran;
    run.run(all_nodes(built), [&](const NodeData& node, NodeOperands& operands) {
      if (dtype == DType::f32) return;
      for (const auto name : check_cuda_kernels(node, operands, run.step, bound).names)
        ran.insert(name);
      check_kernels_on_card(node, operands, run.step, bound);
    });
    for (const std::string& kernel : op_case.library_kernels)
      EXPECT_TRUE(dtype == DType::f32 || library_kernels().empty() || ran.count(kernel))
          << kernel << " did not take " << name(dtype);
    for (const int id : built.results()) {
      const auto got = run.elements(id), wanted = exact.elements(id);
      const double scale = std::max(max_magnitude(wanted), 1e-30);
      std::size_t zeros = 0;
      for (std::size_t i = 0; i < got.size(); ++i) {
        zeros += wanted[i] == 0;
        ASSERT_LE(std::abs(got[i] - wanted[i]) / scale, bound)
            << name(dtype) << " value " << id << " element " << i << ": " << got[i]
            << " instead of " << wanted[i];
      }
      EXPECT_TRUE(op_case.mostly_zeros || 4 * zeros <= 3 * got.size())
          << "value " << id << " is mostly zeros: such a test proves little";
    }
  }
}

void visit_nodes(
    const OpCase& op_case, DType dtype,
    const std::function<void(const NodeData&, NodeOperands&, const kernels::StepState&)>& visit) {
  const Built built = build(op_case, dtype, false);
  ReferenceRun run = reference_run(built, DType::f32);
  run.run(all_nodes(built),
          [&](const NodeData& node, NodeOperands& operands) { visit(node, operands, run.step); });
}

void check_gradient(const OpCase& op_case) {
  if (!op_case.has_gradient) return;
  const Built built = build(op_case, DType::f32, false);
  ReferenceRun run = reference_run(built, DType::f64);
  run.run(all_nodes(built));
  Generator generator(5);
  std::size_t item = 0;
  for (const Fed& fed : built.fed) {
    if (!fed.differentiable) continue;
    const auto gradient = run.elements(built.gradients[item++].gradient.id());
    const double scale = std::max(max_magnitude(gradient), 1e-3);
    for (int sample = 0; sample < 16 && !fed.elements.empty(); ++sample) {
      const std::size_t at = generator.next() % fed.elements.size();
      const double h = 1e-5 * std::max(1.0, std::abs(fed.elements[at]));
      double loss[2];
      for (int side = 0; side < 2; ++side) {
        ReferenceRun moved = reference_run(built, DType::f64);
        auto elements = fed.elements;
        elements[at] += side ? h : -h;
        moved.feed(fed.value, elements);
        moved.run(built.forward_nodes);
        loss[side] = moved.elements(built.loss.id())[0];
      }
      const double difference = (loss[1] - loss[0]) / (2 * h);
      ASSERT_LE(std::abs(gradient[at] - difference), 1e-6 * scale)
          << "input " << item - 1 << " element " << at << ": gradient " << gradient[at]
          << ", difference " << difference;
    }
  }
}

void check_refusals(const OpCase& op_case) {
  for (const Refusal& refusal : op_case.refusals) {
    try {
      refusal.build(Graph(op_case.mode));
      ADD_FAILURE() << "accepted, but should say: " << refusal.message;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), refusal.code) << error.what();
      EXPECT_TRUE(std::regex_search(error.what(), std::regex(refusal.message)))
          << error.what() << "\nshould match " << refusal.message;
    }
  }
}

}  // namespace fornax
