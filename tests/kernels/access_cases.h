// The cases of the access budget: every CUDA kernel of the library in at least one.
#pragma once
#include <fornax/ops/activation.h>
#include <fornax/ops/cross_entropy.h>
#include <fornax/ops/dropout.h>
#include <fornax/ops/elementwise_loss.h>
#include <fornax/ops/embedding.h>
#include <fornax/ops/layout.h>
#include <fornax/ops/linear.h>
#include <fornax/ops/pointwise.h>
#include <fornax/ops/reduction.h>
#include <fornax/ops/softmax.h>

#include <string>
#include <vector>

#include "tests/kernels/op_case.h"

namespace fornax {

/// Nodes whose op's name begins with `op`, forward and backward, are counted.
struct AccessCase {
  std::string op;
  DType dtype;
  OpCase op_case;
};

using Build = std::function<Value(std::span<const Value>)>;

inline OpCase access_case(const std::string& name, std::vector<OpInput> inputs,
                          const Build& build) {
  OpCase c;
  c.name = name;
  c.inputs = std::move(inputs);
  c.build = [build](std::span<const Value> in) { return std::vector{build(in)}; };
  return c;
}
inline OpInput labels(const Shape& shape, std::int64_t classes) {
  return {.shape = shape, .draw = draw_integers(0, classes - 1), .dtype = DType::i32};
}

/// A node of an op, by name.
inline OpCase node_case(const std::string& name, std::vector<OpInput> inputs, const std::string& op,
                        const Attributes& attributes) {
  OpCase c = access_case(name, std::move(inputs), {});
  c.has_gradient = false;
  c.build = [=](std::span<const Value> in) { return in[0].graph().add(op, in, attributes); };
  return c;
}

inline void add_elementwise(std::vector<AccessCase>& all, DType dtype) {
  const auto put = [&](const std::string& op, const OpCase& c) { all.push_back({op, dtype, c}); };
  put("activation",
      access_case("gelu", {{.shape = {33, 100}}}, [](auto in) { return gelu(in[0]); }));
  put("multiply", access_case("product", {{.shape = {33, 100}}, {.shape = {33, 100}}},
                              [](auto in) { return multiply(in[0], in[1]); }));
  put("add", access_case("add_row", {{.shape = {33, 96}}, {.shape = {96}}},
                         [](auto in) { return add(in[0], in[1]); }));
  put("add", access_case("add_odd_row", {{.shape = {33, 97}}, {.shape = {97}}},
                         [](auto in) { return add(in[0], in[1]); }));
  put("cast", access_case("to_f32", {{.shape = {33, 100}}},
                          [](auto in) { return cast(in[0], DType::f32); }));
  put("fill", access_case("add_ones", {{.shape = {33, 100}}}, [dtype](auto in) {
        return add(in[0], in[0].graph().constant(1, {33, 100}, dtype));
      }));
  put("contiguous", access_case("transpose", {{.shape = {144, 304}}},
                                [](auto in) { return contiguous(transpose(in[0])); }));
  put("contiguous", access_case("heads", {{.shape = {2, 16, 3, 32}}}, [](auto in) {
        return contiguous(permute(in[0], {0, 2, 1, 3}));
      }));
  put("slice",
      access_case("slice", {{.shape = {90, 70}}}, [](auto in) { return slice(in[0], -1, 8, 64); }));
}

inline void add_sums(std::vector<AccessCase>& all, DType dtype) {
  const auto put = [&](const std::string& op, const OpCase& c) { all.push_back({op, dtype, c}); };
  const auto over = [](const Shape& x, int axis) {
    const std::string name = (axis ? "row_sums_" : "column_sums_") + std::to_string(x[-1]);
    return access_case(name, {{.shape = x}}, [axis](auto in) { return sum(in[0], {axis}); });
  };
  put("row_sum", over({33, 1024}, 1));
  put("row_sum", over({33, 1031}, 1));
  put("row_sum", over({3, 65536 + 64}, 1));
  put("column_sum", over({300, 96}, 0));
}

inline void add_rows(std::vector<AccessCase>& all) {
  const auto put = [&](const std::string& op, const OpCase& c) {
    all.push_back({op, DType::f32, c});
  };
  for (const std::int64_t width : {256, 1031}) {
    const std::string size = "_" + std::to_string(width);
    const std::vector<OpInput> logits = {{.shape = {9, width}}, labels({9}, width)};
    put("softmax", access_case("softmax" + size, {{.shape = {9, width}}},
                               [](auto in) { return softmax(in[0]); }));
    put("log_softmax", access_case("log_softmax" + size, {{.shape = {9, width}}},
                                   [](auto in) { return log_softmax(in[0]); }));
    put("cross_entropy", access_case("cross_entropy" + size, logits, [](auto in) {
          return cross_entropy(in[0], in[1], {.label_smoothing = 0.1});
        }));
  }
  put("cross_entropy", access_case("wide_rows", {{.shape = {2, 4500}}, labels({2}, 4500)},
                                   [](auto in) { return cross_entropy(in[0], in[1]); }));
  OpCase count = access_case("correct_count", {{.shape = {300, 40}}, labels({300}, 40)},
                             [](auto in) { return correct_count(in[0], in[1]).correct; });
  count.has_gradient = false;
  put("correct_count", count);
  put("embedding", access_case("words", {{.shape = {50, 64}}, labels({4, 33}, 50)},
                               [](auto in) { return embedding(in[0], in[1]); }));
  put("dropout",
      access_case("dropout", {{.shape = {33, 100}}}, [](auto in) { return dropout(in[0], 0.25); }));
  const std::vector<OpInput> pair = {{.shape = {33, 100}},
                                     {.shape = {33, 100}, .differentiable = false}};
  put("mean_squared_error",
      access_case("squares", pair, [](auto in) { return mean_squared_error(in[0], in[1]); }));
  put("binary_cross_entropy",
      access_case("logistic", pair, [](auto in) { return binary_cross_entropy(in[0], in[1]); }));
}

inline void add_linear(std::vector<AccessCase>& all) {
  const auto layer = [](const std::string& name, const Shape& x, std::int64_t N) {
    return access_case(name, {{.shape = x}, {.shape = {N, x[-1]}}, {.shape = {N}}},
                       [](auto in) { return linear(in[0], in[1], in[2]); });
  };
  const auto put = [&](DType dtype, const OpCase& c) { all.push_back({"linear", dtype, c}); };
  put(DType::f32, layer("layer", {128, 96}, 192));
  put(DType::f32, layer("ragged_layer", {70, 45}, 30));
  put(DType::f32, layer("chunks_of_rows", {1100, 16}, 32));
  put(DType::bf16, layer("layer", {256, 96}, 192));
  put(DType::bf16, layer("ragged_layer", {70, 45}, 30));
  put(DType::bf16, layer("chunks_of_rows", {1100, 16}, 32));
  const std::vector<OpInput> wide = {{.shape = {40, 24}}, {.shape = {128 * 128, 24}}};
  put(DType::f32, node_case("large_tiles", wide, "linear", {}));
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const std::vector<OpInput> forward = {{.shape = {128, 32}}, {.shape = {64, 32}}};
    put(dtype, node_case("fused_gelu", forward, "linear",
                         {{"activation", std::string("gelu")}, {"save", std::int64_t{1}}}));
    const std::vector<OpInput> backward = {
        {.shape = {128, 32}}, {.shape = {32, 64}}, {.shape = {128, 64}}};
    put(dtype, node_case("fused_dgrad", backward, "linear_dgrad",
                         {{"activation", std::string("gelu")}, {"column_sum", std::int64_t{1}}}));
  }
}

inline void add_batch_norm(std::vector<AccessCase>& all) {
  for (const char* op : {"batch_norm", "batch_norm_evaluate"}) {
    const OpInput channels = {.shape = {96}, .draw = draw_uniform(0.5, 2), .dtype = DType::f32};
    OpInput scale = channels, state = channels;
    scale.role = OpInput::Role::parameter, state.role = OpInput::Role::state;
    state.differentiable = false;
    OpCase c = access_case(op, {{.shape = {300, 96}}, scale, scale, state, state}, {});
    c.build = [op](std::span<const Value> in) {
      return std::vector{in[0].graph().add(op, in, {{"epsilon", 1e-5}, {"momentum", 0.25}})[0]};
    };
    all.push_back({"batch_norm", DType::f32, c});
  }
}

/// Two tensors of sgd (1 moment) or adamw (2).
inline void add_update(std::vector<AccessCase>& all, int moments) {
  std::vector<OpInput> inputs;
  const OpInput::Role roles[] = {OpInput::Role::parameter, OpInput::Role::input,
                                 OpInput::Role::state, OpInput::Role::state};
  for (std::size_t part = 0; part < 2 + static_cast<std::size_t>(moments); ++part)
    for (const std::int64_t elements : {5000, 33})
      inputs.push_back({.shape = {elements}, .draw = draw_uniform(0, 2), .role = roles[part]});
  const std::string op = moments == 2 ? "adamw" : "sgd";
  OpCase c = access_case(op, inputs, {});
  c.has_gradient = false;
  c.build = [=](std::span<const Value> in) {
    Graph graph = in[0].graph();
    std::vector<Value> operands(in.begin(), in.end());
    operands.emplace_back();
    const std::int64_t slot = graph.step_scalar("learning_rate", 0.0625);
    return graph.add(op, operands,
                     {{"tensors", std::int64_t{2}},
                      {"moments", std::int64_t{moments}},
                      {"momentum", 0.9},
                      {"nesterov", std::int64_t{0}},
                      {"beta1", 0.9},
                      {"beta2", 0.999},
                      {"epsilon", 1e-8},
                      {"learning_rate_slot", slot},
                      {"weight_decay", std::vector<double>{0.0, 0.1}},
                      {"learning_rate_scale", std::vector<double>{1.0, 0.5}}});
  };
  all.push_back({op, DType::f32, c});
}

inline std::vector<AccessCase> access_cases() {
  std::vector<AccessCase> all;
  for (const DType dtype : {DType::f32, DType::bf16}) add_elementwise(all, dtype);
  for (const DType dtype : {DType::f32, DType::bf16}) add_sums(all, dtype);
  add_rows(all);
  add_linear(all);
  add_batch_norm(all);
  for (const int moments : {1, 2}) add_update(all, moments);
  const std::vector<OpInput> gradients = {{.shape = {65536 + 5}}, {.shape = {33}}};
  all.push_back({"global_norm", DType::f32, node_case("norm", gradients, "global_norm", {})});
  const std::vector<OpInput> scalars = {{.shape = {}, .draw = draw_uniform(1, 2)}, {.shape = {}}};
  all.push_back(
      {"clip_scale", DType::f32, node_case("clip", scalars, "clip_scale", {{"max_norm", 2.0}})});
  return all;
}

}  // namespace fornax
