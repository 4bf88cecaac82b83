// Graphs: names and scopes, print, gradients, what is refused; 100 000 nodes without recursion.
#include <fornax/fornax.h>

#include "tests/runtime/expect_error.h"

namespace fornax {
namespace {

constexpr ErrorCode kInvalid = ErrorCode::invalid_argument;

TEST(Graph, NamesHaveTheirScopes) {
  Graph graph(Mode::evaluate);
  EXPECT_EQ(graph.mode(), Mode::evaluate);
  const Value x = graph.input("x", {2});
  {
    const Graph::Scope outer(graph, "block");
    EXPECT_EQ(graph.parameter("w", {3}, {}).name(), "block.w");
    EXPECT_EQ(graph.unique_name("dropout"), "block.dropout");
    EXPECT_EQ(graph.unique_name("dropout"), "block.dropout_1");
    const Graph::Scope inner(graph, "1");
    EXPECT_EQ(graph.state("m", {}, {}).name(), "block.1.m");
    EXPECT_EQ(graph.input("y", {2}).name(), "y") << "inputs have no scope";
    EXPECT_EQ(graph.unique_name("dropout"), "block.1.dropout");
  }
  EXPECT_EQ(graph.parameter("w", {3}, {}).name(), "w");
  EXPECT_EQ(graph.find("x"), x);
  EXPECT_EQ(graph.find("block.w").shape(), (Shape{3}));
  EXPECT_FALSE(graph.find("block.x"));
}

TEST(Graph, NamesAreTakenOnce) {
  Graph graph;
  graph.input("x", {2});
  graph.parameter("w", {2}, {});
  expect_error(kInvalid, "the name 'x' is taken", [&] { graph.input("x", {3}); });
  expect_error(kInvalid, "the name 'x' is taken", [&] { graph.parameter("x", {3}, {}); });
  expect_error(kInvalid, "the name 'w' is taken", [&] { graph.state("w", {3}, {}); });
  expect_error(kInvalid, "needs a name", [&] { graph.input("", {3}); });
  expect_error(kInvalid, "a scope needs a name", [&] { Graph::Scope(graph, ""); });
  expect_error(ErrorCode::dtype, "needs a dtype", [&] { graph.input("n", {3}, DType::none); });
  const Graph::Scope scope(graph, "s");
  expect_error(kInvalid, "needs a name", [&] { graph.parameter("", {3}, {}); });
  EXPECT_EQ(graph.find("w").shape(), (Shape{2})) << "what was refused changed nothing";
  EXPECT_EQ(graph.parameters().size(), 1u);
}

TEST(Graph, AbsentAndForeignValuesAreRefused) {
  Graph graph, other;
  const Value x = graph.input("x", {2}), y = other.input("y", {2});
  expect_error(kInvalid, "operand 'y' belongs to another graph", [&] { add(x, y); });
  const auto of = [&](Value value) { return [=] { gradients(sum(x), std::vector{value}); }; };
  expect_error(kInvalid, "with respect to a value of another graph", of(y));
  expect_error(kInvalid, "with respect to a value of another graph", of(Value()));
  expect_error(kInvalid, "shape() of an absent value", [] { Value().shape(); });
  expect_error(kInvalid, "dtype() of an absent value", [] { Value().dtype(); });
  expect_error(kInvalid, "name() of an absent value", [] { Value().name(); });
  expect_error(kInvalid, "graph() of an absent value", [] { Value().graph(); });
  expect_error(ErrorCode::not_found, "op 'absent' is not in the op table",
               [&] { graph.add("absent", {x}); });
}

TEST(Graph, AnErrorNamesOpNodeScopeAndShapes) {
  Graph graph;
  const Value x = square(graph.input("x", {2, 3}));
  const Graph::Scope scope(graph, "head");
  const Value w = graph.parameter("w", {4, 5}, {});
  expect_error(ErrorCode::shape, "linear (node 1, scope head.; in f32 [2, 3], f32 [4, 5]",
               [&] { linear(x, w); });
  EXPECT_EQ(graph.node_count(), 1);
}

TEST(Graph, StepScalarsAreSharedByNameAndLimited) {
  Graph graph;
  EXPECT_EQ(graph.step_scalar("rate", 1), 0);
  EXPECT_EQ(graph.step_scalar("scale", 1), 1);
  EXPECT_EQ(graph.step_scalar("rate", 2), 0);
  for (int i = 2; i < 32; ++i) graph.step_scalar("s" + std::to_string(i), 0);
  expect_error(kInvalid, "the limit is 32", [&] { graph.step_scalar("more", 0); });
  EXPECT_EQ(graph.step_scalar("scale", 0), 1);
}

std::string printed(double rate, const char* activation_kind = "gelu", std::int64_t width = 4) {
  Graph graph;
  const Value x = graph.input("x", {2, 3});
  const Value w = graph.parameter("w", {width, 3}, he_normal());
  const Value loss = sum(square(multiply(activation(linear(x, w), activation_kind), rate)));
  sgd(graph, gradients(loss, graph.parameters()), {});
  return graph.print();
}

TEST(GraphPrint, EqualGraphsPrintAlikeAndOthersDoNot) {
  const std::string text = printed(0.5);
  EXPECT_EQ(printed(0.5), text);
  EXPECT_NE(printed(0.25), text);
  EXPECT_NE(printed(0.5, "silu"), text);
  EXPECT_NE(printed(0.5, "gelu", 5), text);
  Graph train, evaluate(Mode::evaluate);
  EXPECT_NE(train.print(), evaluate.print());
}

TEST(GraphPrint, IsOneLineANode) {
  Graph graph;
  graph.input("x", {2}), graph.parameter("w", {2}, {});
  sum(add(graph.find("x"), graph.find("w")));
  EXPECT_EQ(graph.print(),
            "graph train\nparameter w f32 [2]\ninput x f32 [2]\n%0 f32 [2] = add{}(x, w)\n"
            "%1 f32 [] = row_sum{kept=0}(%0)\n");
}

TEST(Gradients, NeedAScalarThatFloats) {
  Graph graph;
  const Value x = graph.input("x", {2, 2});
  const auto of = [&](Value loss) { return [=] { gradients(loss, std::vector{x}); }; };
  expect_error(ErrorCode::shape, "one floating-point element; got [2, 2]", of(x));
  expect_error(ErrorCode::shape, "one floating-point element; got []",
               of(graph.input("i", {}, DType::i32)));
  expect_error(ErrorCode::shape, "got an absent value", of(Value()));
}

TEST(Gradients, NameTheOpThatHasNone) {
  Graph graph;
  const Value x = graph.parameter("x", {2, 3}, {});
  const Value dx = [&] {
    const Graph::Scope scope(graph, "inner");
    return gradients(sum(square(softmax(x))), std::vector{x}).items[0].gradient;
  }();
  const std::int64_t before = graph.node_count();
  expect_error(ErrorCode::unsupported, "softmax_gradient (node ",
               [&] { gradients(sum(dx), std::vector{x}); });
  EXPECT_GE(graph.node_count(), before);
}

TEST(Gradients, OfWhatTheLossDoesNotDependOnAreZeros) {
  Graph graph;
  const Value used = graph.parameter("used", {2}, ones());
  const Value idle = graph.parameter("idle", {3}, ones());
  const Value frozen = graph.parameter("frozen", {2}, ones(), {.trainable = false});
  EXPECT_EQ(graph.parameters(), (std::vector{used, idle})) << "in order of creation";
  const Value loss = sum(multiply(used, frozen));
  const Gradients all = gradients(loss, graph.parameters());
  ASSERT_EQ(all.items.size(), 2u);
  EXPECT_EQ(all.items[1].gradient.shape(), (Shape{3}));
  const State state = initialize(graph, Device::cpu(1));
  Program program =
      compile(graph, state, {.outputs = {all.items[0].gradient, all.items[1].gradient}});
  const Outputs& out = program.run({});
  for (const float g : out.tensor(all.items[0].gradient).as<float>()) EXPECT_EQ(g, 1);
  for (const float g : out.tensor(all.items[1].gradient).as<float>()) EXPECT_EQ(g, 0);
}

TEST(Gradients, OfAValueUsedTwiceAreSummed) {
  Graph graph;
  const Value x = graph.parameter("x", {}, constant(3));
  const Value loss = add(multiply(x, x), multiply(x, 5));
  const Value dx = gradients(loss, std::vector{x}).items[0].gradient;
  Program program = compile(graph, initialize(graph, Device::cpu(1)), {.outputs = {dx}});
  EXPECT_EQ(program.run({}).scalar(dx), 2 * 3 + 5);
}

// A chain as deep as the graph is large: recursion would need a frame for each of the nodes.
TEST(LargeGraph, OfAHundredThousandNodesIsBuiltDifferentiatedAndRun) {
  constexpr int kDepth = 100000;
  Graph graph;
  const Value x = graph.input("x", {2});
  const Value w = graph.parameter("w", {2}, ones());
  Value y = multiply(x, w);
  for (int i = 1; i < kDepth; ++i) y = negate(y);
  const Value loss = sum(y);
  ASSERT_GE(graph.node_count(), kDepth);
  const Value dw = gradients(loss, graph.parameters()).items[0].gradient;
  ASSERT_GE(graph.node_count(), 2 * kDepth);
  EXPECT_GT(graph.print().size(), static_cast<std::size_t>(kDepth));
  Program program = compile(graph, initialize(graph, Device::cpu(1)), {.outputs = {loss, dw}});
  const Outputs& out = program.run({{"x", Tensor({2}, {3.0f, 4.0f})}});
  EXPECT_EQ(out.scalar(loss), -7) << "an odd number of changes of sign";
  EXPECT_EQ(out.tensor(dw).as<float>()[1], -4);
}

}  // namespace
}  // namespace fornax
