// See operand_case.h.
#include "tests/bench/operand_case.h"

#include <fornax/ops/layout.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "kernels/numeric/numeric.h"

namespace fornax::bench {

namespace {

constexpr std::int64_t kDigestElements = 64;
constexpr std::int64_t kReturnedFromDevice = 4096;  // the peers of a GPU return nothing to the host

double element(const Tensor& tensor, std::int64_t i) {
  const auto at = static_cast<std::size_t>(i);
  if (tensor.dtype() == DType::f32) return tensor.as<float>()[at];
  if (tensor.dtype() == DType::i32) return tensor.as<std::int32_t>()[at];
  if (tensor.dtype() != DType::bf16) throw std::runtime_error("a result of this dtype: no digest");
  std::uint16_t half;
  std::memcpy(&half, tensor.bytes().data() + 2 * at, sizeof half);
  return numeric::from_bf16(half);
}

}  // namespace

std::vector<double> digest(const Tensor& tensor) {
  const std::int64_t count = tensor.shape().elements();
  double sum = 0;
  if (tensor.dtype() == DType::f32)
    for (const float value : tensor.as<float>()) sum += std::abs(double{value});
  else
    for (std::int64_t i = 0; i < count; ++i) sum += std::abs(element(tensor, i));
  std::vector<double> numbers{sum / static_cast<double>(std::max<std::int64_t>(count, 1))};
  const std::int64_t shown = std::min(count, kDigestElements);
  for (std::int64_t i = 0; i < shown; ++i)
    numbers.push_back(element(tensor, shown > 1 ? i * (count - 1) / (shown - 1) : 0));
  return numbers;
}

namespace {

bool small(Value value, std::int64_t bytes) {
  return value.shape().rank() == 0 || value.shape().elements() * size_bytes(value.dtype()) <= bytes;
}

/// The first elements of a result, few enough that handing them over is no work.
Value beginning(Value value, std::int64_t bytes) {
  for (int axis = 0; axis < value.shape().rank() && !small(value, bytes); ++axis)
    value = slice(value, axis, 0, 1);
  return value;
}

State filled_state(const OperandCase& c, const Settings& settings) {
  State state = initialize(c.graph, settings.device(), {.seed = 1});
  for (const auto& [name, tensor] : c.operands) state.set(name, tensor);
  return state;
}

/// Checks, and gives the bytes with which every result begins, as many as those of `shown`.
std::vector<std::vector<std::byte>> check(const OperandCase& c, const std::vector<Value>& shown,
                                          const State& state,
                                          std::vector<std::vector<double>>& digests) {
  Program program = compile(c.graph, state, {.outputs = c.results});
  const Outputs& outputs = program.run({});
  std::vector<std::vector<std::byte>> beginnings;
  for (std::size_t i = 0; i < c.results.size(); ++i) {
    const Tensor& whole = outputs.tensor(c.results[i]);
    digests.push_back(digest(whole));
    const std::int64_t bytes = shown[i].shape().elements() * size_bytes(shown[i].dtype());
    beginnings.emplace_back(whole.bytes().begin(), whole.bytes().begin() + bytes);
  }
  return beginnings;
}

}  // namespace

Case load_operand_case(OperandCase c, const Settings& settings) {
  Case loaded;
  write_data(settings, c.operands);
  CompileOptions options;
  const bool on_cpu = settings.device().kind == Device::Kind::cpu;
  const std::int64_t returned = on_cpu ? c.returned_bytes : kReturnedFromDevice;
  for (const Value& result : c.results) options.outputs.push_back(beginning(result, returned));
  const auto wanted = check(c, options.outputs, filled_state(c, settings), loaded.check);
  const State state = filled_state(c, settings);
  c.operands.clear();
  forget_peak();
  const auto program = std::make_shared<Program>(compile(c.graph, state, options));
  const Outputs& outputs = program->run({});
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto bytes = outputs.tensor(options.outputs[i]).bytes();
    if (!std::equal(bytes.begin(), bytes.end(), wanted[i].begin(), wanted[i].end()))
      throw std::runtime_error("the timed program gives other bits than the checked one");
  }
  loaded.plan = program->summary();
  // On a GPU steps follow each other without a wait, as those of the peers do.
  const auto last = std::make_shared<Ticket>();
  loaded.step = [program, last, graph = c.graph] { *last = program->submit({}); };
  loaded.finish = [last] {
    if (*last) last->wait();
  };
  return loaded;
}

}  // namespace fornax::bench
