// linear, its gradients and its fused forms.
#include <fornax/ops/activation.h>
#include <fornax/ops/linear.h>
#include <fornax/program.h>

#include <random>

#include "kernels/reduction/column_sum.h"
#include "tests/kernels/op_case.h"

namespace fornax {
namespace {

OpCase layer(const std::string& name, const Shape& x, std::int64_t N, bool bias = true) {
  OpCase c;
  c.name = name;
  c.inputs = {{.shape = x}, {.shape = {N, x[-1]}}};
  if (bias) c.inputs.push_back({.shape = {N}});
  c.build = [](std::span<const Value> in) {
    return std::vector{linear(in[0], in[1], in.size() > 2 ? in[2] : Value())};
  };
  c.bounds = {.f32 = 1e-5, .bf16 = 2e-2, .f16 = 3e-3};
  c.library_kernels = {"linear_cublaslt", "linear_dgrad_cublaslt", "linear_wgrad_cublaslt"};
  return c;
}

/// The fused ops themselves, which graphs get from the fuse pass.
OpCase fused(const std::string& kind, bool save, std::int64_t N = 45) {
  OpCase c = layer("fused_" + kind + (save ? "_saved_" : "_") + std::to_string(N), {37, 19}, N);
  c.has_gradient = false;
  c.build = [=](std::span<const Value> in) {
    Attributes attributes{{"activation", kind}};
    if (save) attributes.set("save", std::int64_t{1});
    return in[0].graph().add("linear", in, attributes);
  };
  c.library_kernels.clear();
  if ((kind == "relu" && !save) || (kind == "gelu_tanh" && (!save || N % 8 == 0)))
    c.library_kernels = {"linear_cublaslt"};
  return c;
}
OpCase fused_dgrad(const std::string& kind, std::int64_t column_sum, std::int64_t M,
                   std::int64_t K = 35) {
  OpCase c;
  c.name = "dgrad_" + kind + (column_sum ? "_column_sum_" : "_") + std::to_string(M) + "_" +
           std::to_string(K);
  c.inputs = {{.shape = {M, 21}}, {.shape = {21, K}}};
  if (kind != "none") c.inputs.push_back({.shape = {M, K}});
  if (kind == "gelu_tanh" && K % 8 == 0) c.library_kernels = {"linear_dgrad_cublaslt"};
  c.has_gradient = false;
  c.bounds = {.f32 = 1e-5};
  c.build = [=](std::span<const Value> in) {
    return in[0].graph().add("linear_dgrad", in,
                             {{"activation", kind}, {"column_sum", column_sum}});
  };
  return c;
}

std::vector<OpCase> cases() {
  std::vector<OpCase> all = {layer("vector", {7}, 5),
                             layer("row", {1, 16}, 8),
                             layer("no_bias", {33, 17}, 9, false),
                             layer("batch_of_matrices", {2, 3, 24}, 31),
                             layer("whole_tiles", {64, 96}, 64),
                             layer("chunks_of_rows", {1100, 13}, 6),
                             layer("one_output", {130, 40}, 1),
                             layer("one_input", {130, 1}, 3),
                             layer("empty_batch", {0, 5}, 3),
                             layer("no_terms", {4, 0}, 3),
                             layer("tensor_cores", {150, 72}, 104),
                             layer("tensor_core_chunks", {1030, 16}, 24)};
  for (const char* kind : {"relu", "gelu", "gelu_tanh", "silu", "sigmoid", "tanh"}) {
    all.push_back(fused(kind, false));
    all.push_back(fused(kind, true));
    all.push_back(fused_dgrad(kind, 0, 18));
    all.push_back(fused_dgrad(kind, 1, 300));
  }
  all.push_back(fused_dgrad("none", 1, 129));
  all[4].benchmark = {"linear", {{1024, 768}, {3072, 768}, {3072}}};
  all.push_back(fused("gelu_tanh", true, 48));
  all.push_back(fused_dgrad("gelu_tanh", 0, 18, 40));
  all.push_back(fused_dgrad("gelu_tanh", 1, 70, 40));
  for (OpCase& c : all) {
    c.mostly_zeros = c.name == "no_terms" || c.name == "empty_batch";
    if (c.mostly_zeros) c.library_kernels.clear();  // an extent is 0
  }
  all[0].refusals = {
      {ErrorCode::shape, "linear.*x \\[4, 6\\] must end with K of w \\[N, K\\] = \\[3, 5\\]",
       [](Graph g) {
         linear(g.input("x", {4, 6}), g.input("w", {3, 5}));
       }},
      {ErrorCode::shape, "w must be \\[N, K\\], got \\[5\\]",
       [](Graph g) {
         linear(g.input("x", {4, 5}), g.input("w", {5}));
       }},
      {ErrorCode::shape, "b \\[5\\] must be \\[N\\] = \\[3\\]",
       [](Graph g) {
         linear(g.input("x", {4, 5}), g.input("w", {3, 5}), g.input("b", {5}));
       }},
      {ErrorCode::dtype, "one dtype, got f32 \\[4, 5\\] and bf16 \\[3, 5\\]",
       [](Graph g) {
         linear(g.input("x", {4, 5}), g.input("w", {3, 5}, DType::bf16));
       }},
      {ErrorCode::dtype, "got i32 \\[4, 5\\]",
       [](Graph g) {
         linear(g.input("x", {4, 5}, DType::i32), g.input("w", {3, 5}));
       }},
      {ErrorCode::invalid_argument, "linear: x is absent",
       [](Graph) { linear(Value(), Value()); }}};
  return all;
}

FORNAX_OP_CASES(Linear, cases());

/// Of a step's products: so many rows, outputs and inputs that threads share rows or columns.
struct Extents {
  std::int64_t M, N, K;
};

Tensor drawn(const Shape& shape, std::uint32_t seed) {
  Tensor tensor(DType::f32, shape);
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  for (float& value : tensor.as<float>()) value = normal(engine);
  return tensor;
}

void expect_sums_of_columns(const Extents& e, int threads) {
  Graph graph;
  const Value dy = graph.input("dy", {e.M, e.N}), w = graph.input("w", {e.N, e.K});
  const Value saved = graph.input("saved", {e.M, e.K});
  const auto out = graph.add("linear_dgrad", {dy, w, saved},
                             {{"activation", "relu"}, {"column_sum", std::int64_t{1}}});
  const State state = initialize(graph, Device::cpu(threads), {});
  Program program = compile(graph, state, {.outputs = {out[0], out[1]}});
  const Outputs& outputs = program.run(
      {{"dy", drawn({e.M, e.N}, 1)}, {"w", drawn({e.N, e.K}, 2)}, {"saved", drawn({e.M, e.K}, 3)}});
  const auto dx = outputs.tensor(out[0]).as<float>(), sums = outputs.tensor(out[1]).as<float>();
  for (std::int64_t k = 0; k < e.K; ++k)
    ASSERT_EQ(sums[static_cast<std::size_t>(k)], kernels::column_sum_of(dx.data() + k, e.M, e.K))
        << e.M << " x " << e.N << " x " << e.K << ", " << threads << " threads, column " << k;
}

/// The epilogue sums while threads share the rows: chunks of rows stay with one of them, in order.
TEST(Linear, BiasGradientsOfManyRowsAreSumsOfColumns) {
  for (const Extents& e : {Extents{1500, 64, 64},
                           {700, 300, 200},
                           {1300, 21, 96},
                           {130, 96, 520},
                           {4, 300, 700},
                           {1111, 130, 13}})
    for (const int threads : {1, 2, 3}) expect_sums_of_columns(e, threads);
}

}  // namespace
}  // namespace fornax
