// softmax, log_softmax and their gradients.
#include <fornax/ops/softmax.h>

#include "tests/kernels/op_case.h"

namespace fornax {
namespace {

OpCase rows(const std::string& name, const Shape& x, Value (*op)(Value, int)) {
  OpCase c;
  c.name = name;
  c.inputs = {{.shape = x, .draw = draw_normal(3)}};
  c.build = [op](std::span<const Value> in) { return std::vector{op(in[0], -1)}; };
  c.bounds = {.f32 = 3e-6, .bf16 = 3e-2, .f16 = 4e-3};
  return c;
}

std::vector<OpCase> cases() {
  std::vector<OpCase> all;
  for (const bool logarithm : {false, true}) {
    const auto op = logarithm ? log_softmax : softmax;
    const std::string prefix = logarithm ? "log_softmax_" : "softmax_";
    all.push_back(rows(prefix + "vector", {7}, op));
    all.push_back(rows(prefix + "classes", {33, 10}, op));
    all.push_back(rows(prefix + "whole_chains", {3, 5, 256}, op));
    all.push_back(rows(prefix + "whole_lines", {11, 48}, op));
    all.push_back(rows(prefix + "over_a_step", {5, 129}, op));
    all.push_back(rows(prefix + "less_than_whole_steps", {4, 500}, op));
    all.push_back(rows(prefix + "whole_steps", {3, 1024}, op));
    all.push_back(rows(prefix + "ragged", {9, 1031}, op));
    all.back().benchmark = {logarithm ? "log_softmax" : "softmax", {{16384, 1024}}};
    all.push_back(rows(prefix + "two_chunks", {2, 65536 + 77}, op));
    all.push_back(rows(prefix + "one_class", {6, 1}, op));
    all.push_back(rows(prefix + "no_rows", {0, 4}, op));
  }
  for (OpCase& c : all)
    c.mostly_zeros = c.inputs[0].shape.elements() == 0 || c.inputs[0].shape[-1] == 1;
  all[0].refusals = {
      {ErrorCode::unsupported, "softmax: works along the last axis; got axis 0 of \\[2, 3\\]",
       [](Graph g) {
         softmax(g.input("x", {2, 3}), 0);
       }},
      {ErrorCode::shape, "log_softmax.*needs a last axis.*got f32 \\[\\]",
       [](Graph g) { log_softmax(g.input("x", {})); }},
      {ErrorCode::shape, "needs a last axis.*got f32 \\[3, 0\\]",
       [](Graph g) {
         softmax(g.input("x", {3, 0}));
       }},
      {ErrorCode::dtype, "got i32 \\[2, 3\\]", [](Graph g) {
         softmax(g.input("x", {2, 3}, DType::i32));
       }}};
  return all;
}

FORNAX_OP_CASES(Softmax, cases());

}  // namespace
}  // namespace fornax
