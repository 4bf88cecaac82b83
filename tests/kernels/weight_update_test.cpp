// linear_wgrad_update: bits of every shape that its strips and blocks take apart, refusals.
#include <fornax/ops/linear.h>

#include "tests/kernels/op_case.h"

namespace fornax {
namespace {

Attributes attributes_of(Graph graph, const std::string& update, int moments) {
  Attributes a{{"momentum", moments > 0 ? 0.9 : 0.0},
               {"nesterov", std::int64_t{0}},
               {"beta1", 0.9},
               {"beta2", 0.999},
               {"epsilon", 1e-8}};
  a.set("update", update);
  a.set("tensors", std::int64_t{1});
  a.set("moments", std::int64_t{moments});
  a.set("learning_rate_slot", std::int64_t{graph.step_scalar("learning_rate", 0.0625)});
  a.set("weight_decay", std::vector<double>{0.05});
  a.set("learning_rate_scale", std::vector<double>{1.25});
  return a;
}

/// A weight [out, in] whose gradient sums over `rows` rows.
struct Size {
  std::int64_t rows, out, in;
};

OpCase weight_update(const std::string& name, const Size& size, const std::string& update,
                     int moments, bool scaled = false) {
  OpCase c;
  c.name = name;
  const Shape weight{size.out, size.in};
  c.inputs = {{.shape = {size.rows, size.out}},
              {.shape = {size.rows, size.in}},
              {.shape = weight, .role = OpInput::Role::parameter}};
  for (int m = 0; m < moments; ++m)
    c.inputs.push_back({.shape = weight,
                        .draw = m == 1 ? draw_uniform(0, 2) : draw_normal(),
                        .role = OpInput::Role::state});
  if (scaled) c.inputs.push_back({.shape = {}, .draw = draw_uniform(0.5, 1)});
  c.has_gradient = false;
  c.dtypes = {DType::f32};
  c.bounds = {.f32 = 1e-5};
  c.build = [=](std::span<const Value> in) {
    std::vector<Value> operands(in.begin(), in.end());
    if (!scaled) operands.emplace_back();
    return in[0].graph().add("linear_wgrad_update", operands,
                             attributes_of(in[0].graph(), update, moments));
  };
  return c;
}

Refusal refuse(ErrorCode code, const std::string& message, const std::string& update,
               std::int64_t tensors = 1) {
  return {code, message, [=](Graph graph) {
            Attributes attributes = attributes_of(graph, update, 0);
            attributes.set("tensors", tensors);
            graph.add("linear_wgrad_update",
                      {graph.input("dy", {4, 3}), graph.input("x", {4, 5}),
                       graph.parameter("w", {3, 5}, {}), Value()},
                      attributes);
          }};
}

std::vector<OpCase> cases() {
  std::vector<OpCase> all = {weight_update("sgd", {7, 5, 9}, "sgd", 0),
                             weight_update("momentum", {7, 29, 33}, "sgd", 1),
                             weight_update("adamw", {64, 61, 48}, "adamw", 2),
                             weight_update("scaled", {3, 14, 17}, "adamw", 2, true),
                             weight_update("one_output", {1, 1, 1}, "adamw", 2),
                             weight_update("no_rows", {0, 6, 20}, "adamw", 2),
                             weight_update("no_outputs", {5, 0, 20}, "sgd", 0),
                             weight_update("columns_in_place", {20, 200, 112}, "adamw", 2),
                             weight_update("rows_of_whole_pages", {17, 30, 1024}, "sgd", 1),
                             weight_update("too_deep_to_read_in_place", {130, 40, 64}, "sgd", 0),
                             weight_update("several_blocks", {512, 31, 1203}, "adamw", 2),
                             weight_update("large", {33, 300, 530}, "adamw", 2)};
  all[0].refusals = {
      refuse(ErrorCode::invalid_argument, "update must be sgd or adamw; got 'lion'", "lion"),
      refuse(ErrorCode::internal, "updates one tensor", "sgd", 2)};
  all[2].benchmark = {"weight_update",
                      {{64, 2000}, {64, 2000}, {2000, 2000}, {2000, 2000}, {2000, 2000}}};
  OpCase chunks = weight_update("rows_of_two_chunks", {513, 6, 7}, "sgd", 1);
  chunks.kernels_may_refuse = true;
  all.push_back(chunks);
  return all;
}

FORNAX_OP_CASES(WeightUpdate, cases());

}  // namespace
}  // namespace fornax
