// embedding and its gradient: bits, order of repeated indices, indices out of range.
#include <fornax/ops/embedding.h>

#include "tests/kernels/op_case.h"
#include "tests/kernels/reference_run.h"

namespace fornax {
namespace {

OpCase lookup(const std::string& name, const Shape& table, const Shape& indices,
              std::int64_t highest = -1) {
  OpCase c;
  c.name = name;
  const std::int64_t last = highest < 0 ? table[0] - 1 : highest;
  c.inputs = {{.shape = table},
              {.shape = indices, .draw = draw_integers(0, last), .dtype = DType::i32}};
  c.build = [](std::span<const Value> in) { return std::vector{embedding(in[0], in[1])}; };
  c.bounds = {.f32 = 1e-5, .bf16 = 3e-2, .f16 = 4e-3};
  return c;
}

std::vector<OpCase> cases() {
  std::vector<OpCase> all = {
      lookup("words", {50, 24}, {4, 33}),       lookup("one_index", {5, 3}, {}),
      lookup("much_repeated", {3, 37}, {1000}), lookup("always_the_same", {4, 9}, {256}, 0),
      lookup("large_table", {9000, 10}, {700}), lookup("out_of_range", {6, 8}, {40}, 11),
      lookup("no_indices", {4, 5}, {0}),        lookup("no_columns", {4, 0}, {7})};
  for (OpCase& c : all) c.mostly_zeros = c.name != "words" && c.name != "much_repeated";
  all[0].benchmark = {"embedding", {{50257, 768}, {8, 1024}}, 50256};
  all[0].refusals = {
      {ErrorCode::shape, "table must be \\[V, C\\]; got f32 \\[4\\]",
       [](Graph g) { embedding(g.input("t", {4}), g.input("i", {2}, DType::i32)); }},
      {ErrorCode::dtype, "indices must be i32; got f32 \\[2\\]",
       [](Graph g) {
         embedding(g.input("t", {4, 3}), g.input("i", {2}));
       }},
      {ErrorCode::dtype, "table must be floating point; got i32 \\[4, 3\\]", [](Graph g) {
         embedding(g.input("t", {4, 3}, DType::i32), g.input("i", {2}, DType::i32));
       }}};
  return all;
}

FORNAX_OP_CASES(Embedding, cases());

TEST(EmbeddingValues, ABadIndexIsFlaggedAndGivesZeros) {
  Graph graph;
  const Value table = graph.input("t", {2, 1}), indices = graph.input("i", {4}, DType::i32);
  const Value y = embedding(table, indices);
  ReferenceRun run(graph.data(), DType::f32);
  run.feed(table.id(), {3, 4}), run.feed(indices.id(), {1, -7, 2, 0});
  run.run(static_cast<std::size_t>(graph.node_count()));
  EXPECT_EQ(run.elements(y.id()), (std::vector<double>{4, 0, 0, 3}));
  EXPECT_EQ(run.step.bad_index, 2);
  EXPECT_EQ(run.step.bad_value, -7);
}

TEST(EmbeddingValues, RepeatedIndicesAreSummedInOrderOfPosition) {
  Graph graph;
  const Value dy = graph.input("dy", {3, 1}), indices = graph.input("i", {3}, DType::i32);
  const Value d = graph.add("embedding_gradient", {dy, indices}, {{"rows", std::int64_t{2}}})[0];
  ReferenceRun run(graph.data(), DType::f32);
  run.feed(dy.id(), {1e8, 1, -1e8}), run.feed(indices.id(), {1, 1, 1});
  run.run(static_cast<std::size_t>(graph.node_count()));
  EXPECT_EQ(run.elements(d.id()), (std::vector<double>{0, 0})) << "1e8 swallows the 1";
}

}  // namespace
}  // namespace fornax
