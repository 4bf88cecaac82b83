// Elementwise arithmetic, broadcasting, fill and cast.
#include <fornax/ops/layout.h>
#include <fornax/ops/pointwise.h>

#include "tests/kernels/op_case.h"

namespace fornax {
namespace {

using Binary = Value (*)(Value, Value);
using Unary = Value (*)(Value);

OpCase binary(const std::string& name, Binary function, const Shape& a, const Shape& b) {
  OpCase c;
  c.name = name;
  // b away from 0, so that division is well conditioned.
  c.inputs = {{.shape = a}, {.shape = b, .draw = draw_uniform(0.5, 2)}};
  c.bounds = {.f32 = 5e-6};
  c.build = [=](std::span<const Value> in) { return std::vector{function(in[0], in[1])}; };
  return c;
}
OpCase unary(const std::string& name, const std::function<Value(Value)>& function,
             Draw draw = draw_normal()) {
  OpCase c;
  c.name = name;
  c.inputs = {{.shape = {3, 2750}, .draw = draw}};
  c.build = [=](std::span<const Value> in) { return std::vector{function(in[0])}; };
  return c;
}
OpCase cast_case(DType from, DType to, Draw draw) {
  OpCase c;
  c.name = std::string("cast_") + name(from) + "_" + name(to);
  c.inputs = {{.shape = {67, 131}, .draw = draw, .dtype = from}};
  c.dtypes = {DType::f32};
  c.has_gradient = is_floating(from) && is_floating(to);
  c.kernels_may_refuse = true;  // what reads a 16-bit result here
  c.bounds = {.f32 = from == DType::bf16 || to == DType::bf16 ? 4e-3 : 1e-3};
  c.mostly_zeros = true;
  c.build = [=](std::span<const Value> in) { return std::vector{cast(in[0], to)}; };
  return c;
}

void add_binary(std::vector<OpCase>& all) {
  const std::pair<const char*, Binary> functions[] = {
      {"add", add},       {"subtract", subtract}, {"multiply", multiply},
      {"divide", divide}, {"maximum", maximum},   {"minimum", minimum}};
  for (const auto& [name, function] : functions) {
    all.push_back(binary(name, function, {31, 300}, {31, 300}));
    all.back().benchmark = {name, {{16384, 1024}, {16384, 1024}}};
    all.push_back(binary(std::string(name) + "_row", function, {31, 30}, {30}));
    if (function == static_cast<Binary>(add))
      all.back().benchmark = {"add_row", {{16384, 1024}, {1024}}};
    all.push_back(binary(std::string(name) + "_row_of_lines", function, {31, 48}, {48}));
    all.push_back(binary(std::string(name) + "_column", function, {9, 1}, {7, 9, 40}));
    all.push_back(binary(std::string(name) + "_both_ways", function, {6, 1, 11}, {5, 1}));
  }
}

void add_scalar_forms(std::vector<OpCase>& all) {
  all.push_back(unary("add_number", [](Value x) { return add(x, 0.3); }));
  all.push_back(unary("subtract_number", [](Value x) { return subtract(x, 0.3); }));
  all.push_back(unary("number_subtract", [](Value x) { return subtract(0.3, x); }));
  all.push_back(unary("multiply_number", [](Value x) { return multiply(x, -1.7); }));
  all.push_back(unary("divide_number", [](Value x) { return divide(x, 3.1); }));
  all.push_back(unary(
      "number_divide", [](Value x) { return divide(2.0, x); }, draw_uniform(0.5, 2)));
  all.push_back(unary("maximum_number", [](Value x) { return maximum(x, 0.1); }));
  all.push_back(unary("minimum_number", [](Value x) { return minimum(x, 0.1); }));
}

/// Operands that lie along another axis than the result: more than a tile of 64 x 64, odd ends,
/// views that begin within their memory, several such operands.
void add_strided_forms(std::vector<OpCase>& all) {
  const auto put = [&](const std::string& name, std::vector<Shape> shapes,
                       const std::function<Value(std::span<const Value>)>& function) {
    OpCase c;
    c.name = name;
    c.mostly_zeros = name.starts_with("gate");
    c.has_gradient = !c.mostly_zeros;
    for (const Shape& shape : shapes) c.inputs.push_back({.shape = shape});
    c.build = [=](std::span<const Value> in) { return std::vector{function(in)}; };
    all.push_back(std::move(c));
  };
  put("plus_transposed", {{133, 70}, {70, 133}},
      [](auto in) { return add(in[0], transpose(in[1])); });
  put("slice_of_lines", {{31, 96}, {31, 48}},
      [](auto in) { return add(slice(in[0], 1, 16, 64), in[1]); });
  put("both_transposed", {{65, 129}, {65, 129}},
      [](auto in) { return multiply(transpose(in[0]), transpose(in[1])); });
  put("matrices_transposed", {{3, 66, 5}, {3, 5, 66}},
      [](auto in) { return divide(transpose(in[0]), exp(in[1])); });
  put("slice_transposed", {{90, 140}, {128, 77}},
      [](auto in) { return subtract(transpose(slice(slice(in[0], 1, 5, 133), 0, 3, 80)), in[1]); });
  put("transposed_and_row", {{70, 80}, {70}},
      [](auto in) { return multiply(transpose(in[0]), in[1]); });
  put("transposed_and_column", {{70, 80}, {80, 1}},
      [](auto in) { return multiply(in[1], transpose(in[0])); });
  put("gate_transposed", {{67, 69}, {69, 67}}, [](auto in) {
    return in[0].graph().add("gate_less", {transpose(in[0]), in[1], transpose(in[0])})[0];
  });
  put("axes_reversed", {{7, 9, 66}, {66, 9, 7}}, [](auto in) {
    return add(permute(in[0], {2, 1, 0}), in[1]);
  });
}

std::vector<OpCase> cases() {
  std::vector<OpCase> all;
  add_binary(all);
  add_scalar_forms(all);
  all.push_back(unary("negate", negate));
  all.push_back(unary("exp", static_cast<Unary>(exp)));
  all.push_back(unary("log", static_cast<Unary>(log), draw_uniform(0.1, 5)));
  all.push_back(unary("sqrt", static_cast<Unary>(sqrt), draw_uniform(0.1, 5)));
  all.push_back(unary("square", square));
  all.push_back(unary("transposed", [](Value x) { return add(transpose(x), 1.0); }));
  add_strided_forms(all);
  all.push_back(unary("add_constant", [](Value x) {
    return add(x, x.graph().constant(0.3, x.shape(), x.dtype()));
  }));
  all.push_back(unary("used_twice", [](Value x) { return multiply(exp(x), x); }));
  all.push_back(cast_case(DType::f32, DType::bf16, draw_normal()));
  all.push_back(cast_case(DType::f32, DType::f16, draw_normal()));
  all.push_back(cast_case(DType::bf16, DType::f32, draw_normal()));
  all.push_back(cast_case(DType::f16, DType::f32, draw_normal()));
  all.push_back(cast_case(DType::f32, DType::i32, draw_normal(1e5)));
  all.push_back(cast_case(DType::f32, DType::u8, draw_normal(200)));
  all.push_back(cast_case(DType::f32, DType::boolean, draw_normal()));
  all.push_back(cast_case(DType::i32, DType::f32, draw_integers(-1000, 1000)));
  all.push_back(cast_case(DType::u8, DType::f32, draw_integers(0, 255)));
  all.push_back(cast_case(DType::i64, DType::i32, draw_integers(-9, 9)));
  for (OpCase& c : all) {
    const bool timed = c.inputs.size() == 1 && c.name != "transposed" && c.name != "used_twice" &&
                       c.name.find("number") == std::string::npos && !c.name.starts_with("cast");
    if (timed || c.name == "cast_f32_bf16") c.benchmark = {c.name, {{16384, 1024}}};
  }
  for (OpCase& c : all)
    if (c.name.starts_with("m") && c.name.find("imum") != std::string::npos) c.mostly_zeros = true;
  all[0].refusals = {
      {ErrorCode::shape, "add.*\\[3, 4\\].*extents 4 and 3 meet",
       [](Graph g) {
         add(g.input("a", {3, 4}), g.input("b", {3}));
       }},
      {ErrorCode::dtype, "multiply.*one dtype",
       [](Graph g) { multiply(g.input("a", {3}), g.input("b", {3}, DType::f16)); }},
      {ErrorCode::invalid_argument, "divide: operand is absent",
       [](Graph g) { divide(g.input("a", {3}), Value()); }},
      {ErrorCode::dtype, "exp.*got i32", [](Graph g) { exp(g.input("a", {3}, DType::i32)); }}};
  return all;
}

FORNAX_OP_CASES(PointwiseOps, cases());

}  // namespace
}  // namespace fornax
