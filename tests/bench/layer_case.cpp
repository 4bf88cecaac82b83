// The three products of a fully connected layer, each with what stands beside it in a step.
#include <fornax/ops/activation.h>
#include <fornax/ops/linear.h>
#include <fornax/ops/reduction.h>

#include <cmath>
#include <stdexcept>
#include <utility>

#include "tests/bench/operand_case.h"
#include "tests/bench/step_cases.h"

namespace fornax::bench {

Case load_layer(const Settings& settings) {
  const std::int64_t M = settings.integer("rows", 1), K = settings.integer("inputs", 1);
  const std::int64_t N = settings.integer("outputs", 1);
  const std::string part = settings.text("part", ""), kind = settings.text("activation", "gelu");
  OperandCase layer;
  Graph graph = layer.graph;
  const auto operand = [&](const std::string& name, const Shape& shape) {
    Tensor values = normal_values(shape, static_cast<std::uint32_t>(name.back() + 1));
    if (name ==
        "w")  // as layers are initialized: f(h) of a wider h would compute subnormal numbers
      for (float& w : values.as<float>()) w /= std::sqrt(static_cast<float>(shape[1]));
    layer.operands.emplace(name, std::move(values));
    return graph.parameter(name, shape, {});
  };
  if (part == "forward") {
    const Value x = operand("x", {M, K}), w = operand("w", {N, K}), b = operand("b", {N});
    layer.results = {activation(linear(x, w, b), kind)};
  } else if (part == "dgrad") {
    const Value dy = operand("dy", {M, N}), w = operand("w", {N, K}), h = operand("h", {M, K});
    const Value below = graph.add("linear_dgrad", {dy, w})[0];  // [M, K]
    const Value dx = graph.add("activation_grad", {below, h}, {{"kind", kind}})[0];
    layer.results = {dx, sum(dx, {0})};
  } else if (part == "wgrad") {
    const Value dy = operand("dy", {M, N}), x = operand("x", {M, K});
    layer.results = {graph.add("linear_wgrad", {dy, x})[0]};  // [N, K]
  } else {
    throw std::runtime_error("part: forward, dgrad or wgrad");
  }
  return load_operand_case(std::move(layer), settings);
}

}  // namespace fornax::bench
