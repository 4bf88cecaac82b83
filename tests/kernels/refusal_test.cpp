// What the shape rules refuse in ops that graphs get from gradients and passes, and in their counts
// of operands: cases that no public function reaches.
#include <fornax/ops/layout.h>

#include <functional>

#include "tests/kernels/op_case.h"

namespace fornax {
namespace {

constexpr ErrorCode kInvalid = ErrorCode::invalid_argument;

struct Operand {
  Shape shape;
  DType dtype = DType::f32;
  bool absent = false;
};
struct BadUse {
  std::string op;
  std::vector<Operand> operands;
  Attributes attributes;
  ErrorCode code;
  std::string message;  ///< regular expression
};

OpCase refusing(const std::string& name, const std::vector<BadUse>& uses) {
  OpCase c;
  c.name = name;
  for (const BadUse& use : uses)
    c.refusals.push_back({use.code, use.message, [use](Graph graph) {
                            std::vector<Value> in;
                            for (const Operand& operand : use.operands)
                              in.push_back(operand.absent
                                               ? Value()
                                               : graph.input("x" + std::to_string(in.size()),
                                                             operand.shape, operand.dtype));
                            graph.add(use.op, in, use.attributes);
                          }});
  return c;
}

const Operand kAbsentOperand{{}, DType::f32, true};
const Operand kIndices{{4}, DType::i32};

std::vector<BadUse> operand_counts() {
  return {
      {"linear", {{{4, 3}}}, {}, kInvalid, "linear.*takes 2 to 3 operands, got 1"},
      {"softmax", {{{4}}, {{4}}}, {}, kInvalid, "softmax.*takes 1 operands, got 2"},
      {"softmax", {kAbsentOperand}, {}, kInvalid, "operand 0 is absent"},
      {"add", {{{4}}}, {}, kInvalid, "takes 2 operands, got 1"},
      {"add", {{{4}}, kAbsentOperand}, {}, kInvalid, "a number may stand for one, as attribute"},
      {"add", {{{4}}, {{4}}}, {{"scalar", 1.0}}, kInvalid, "an operand is absent; a number may"},
  };
}

std::vector<BadUse> linear_gradients() {
  const Attributes none, relu{{"activation", "relu"}};
  return {
      {"linear_dgrad",
       {{{4, 5}}, {{6, 3}}},
       none,
       ErrorCode::shape,
       "dy \\[4, 5\\] must end with N of w \\[N, K\\] = \\[6, 3\\]"},
      {"linear_dgrad",
       {{{4, 6}}, {{6, 3}}},
       relu,
       kInvalid,
       "an activation and its saved value come together"},
      {"linear_dgrad", {{{4, 6}}, {{6, 3}}, {{4, 3}}}, none, kInvalid, "saved value come together"},
      {"linear_dgrad",
       {{{4, 6}}, {{6, 3}}, {{4, 2}}},
       relu,
       ErrorCode::shape,
       "the saved value must be \\[4, 3\\]"},
      {"linear_wgrad",
       {{{4, 6}}, {{5, 3}}},
       none,
       ErrorCode::shape,
       "dy \\[4, 6\\] and x \\[5, 3\\] must differ in the last axis only"},
  };
}

std::vector<BadUse> other_gradients() {
  const Attributes slice{{"axis", std::int64_t{0}},
                         {"begin", std::int64_t{1}},
                         {"end", std::int64_t{3}},
                         {"shape", std::vector<std::int64_t>{5}}};
  return {
      {"activation_grad",
       {{{3}}, {{4}}},
       {{"kind", "gelu"}},
       ErrorCode::shape,
       "dy \\[3\\] and the saved value \\[4\\] must have one shape"},
      {"activation_grad", {{{3}}, {{3}}}, {{"kind", "swish"}}, kInvalid, "'swish' is unknown"},
      {"softmax_gradient",
       {{{3}}, {{4}}},
       {},
       ErrorCode::shape,
       "dy and y must have one shape; got f32 \\[3\\] and f32 \\[4\\]"},
      {"slice_grad", {{{3}}}, slice, ErrorCode::shape, "\\[3\\] is not that slice of \\[5\\]"},
      {"embedding_gradient",
       {{{5, 2}}, kIndices},
       {{"rows", std::int64_t{7}}},
       ErrorCode::shape,
       "dy must have the shape of indices and one more axis; got f32 \\[5, 2\\] and i32 \\[4\\]"},
      {"batch_norm_gradient",
       {{{4, 3}}, {{5, 3}}, {{3}}, {{3}}, {{3}}},
       {{"epsilon", 0.0}, {"momentum", 0.0}},
       ErrorCode::shape,
       "dy and x must have one shape; got f32 \\[4, 3\\] and f32 \\[5, 3\\]"},
  };
}

std::vector<BadUse> dtypes() {
  return {
      {"softmax",
       {{{2}, DType::i64}},
       {},
       ErrorCode::dtype,
       "takes f32, bf16, f16 or f64, got i64 \\[2\\]; cast\\(\\) it first"},
      {"add",
       {{{2}, DType::bf16}, {{2}, DType::f16}},
       {},
       ErrorCode::dtype,
       "must have one dtype, got bf16 \\[2\\] and f16 \\[2\\]; cast\\(\\) one of them"},
  };
}

std::vector<BadUse> rules_of_the_rest() {
  const Attributes dtype{{"dtype", "f31"}};
  const Attributes norm{{"epsilon", 1e-5}, {"momentum", 0.1}};
  const Attributes sgd{{"tensors", std::int64_t{1}},
                       {"moments", std::int64_t{0}},
                       {"momentum", 0.0},
                       {"nesterov", std::int64_t{0}}};
  const Shape eight{1, 1, 1, 1, 1, 1, 1, 1};
  return {
      {"cast", {{{3}}}, dtype, ErrorCode::dtype, "dtype 'f31' is unknown"},
      {"row_sum",
       {{{3, 4}}},
       {{"kept", std::int64_t{3}}},
       ErrorCode::shape,
       "keeps 3 axes of \\[3, 4\\]"},
      {"embedding",
       {{{4, 3}}, {eight, DType::i32}},
       {},
       ErrorCode::shape,
       "indices may have at most 7 axes; got i32"},
      {"batch_norm_evaluate",
       {{{4, 3}}, {{3}}, {{3}}, {{2}}, {{3}}},
       norm,
       ErrorCode::shape,
       "operand 3 must be floating point \\[3\\], one element a channel; got f32 \\[2\\]"},
      {"sgd", {{{3}}, {{3}}}, sgd, ErrorCode::internal, "needs 3 operands; got 2"},
      {"sgd",
       {{{3}, DType::f16}, {{3}, DType::f16}, kAbsentOperand},
       sgd,
       ErrorCode::dtype,
       "parameter 0 must be f32; got f16 \\[3\\]"},
      {"sgd",
       {{{3}}, {{3}}, {{1}}},
       sgd,
       ErrorCode::shape,
       "scale must be a floating-point scalar; got f32 \\[1\\]"},
      {"global_norm", {}, {}, kInvalid, "needs at least one gradient"},
      {"global_norm",
       {{{3}}, {{3}, DType::f16}},
       {},
       ErrorCode::dtype,
       "gradients must be floating point of one dtype; got f16 \\[3\\]"},
  };
}

class RuleRefusals : public testing::TestWithParam<OpCase> {};
TEST_P(RuleRefusals, NameTheRule) { check_refusals(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Rules, RuleRefusals,
                         testing::Values(refusing("operand_counts", operand_counts()),
                                         refusing("linear_gradients", linear_gradients()),
                                         refusing("other_gradients", other_gradients()),
                                         refusing("dtypes", dtypes()),
                                         refusing("the_rest", rules_of_the_rest())),
                         op_case_name);

TEST(Refusals, OfGradientsThroughWhatWasFused) {
  Graph graph;
  const Value x = graph.input("x", {4, 3}), w = graph.input("w", {2, 3});
  const Value y = graph.add("linear", {x, w}, {{"activation", "relu"}})[0];
  const Value loss = graph.add("row_sum", {y}, {{"kept", std::int64_t{0}}})[0];
  try {
    gradients(loss, std::vector{w});
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("gradients are taken before activations are fused"),
              std::string::npos)
        << error.what();
  }
}

TEST(Refusals, OfTransposedAxes) {
  Graph graph;
  try {
    transpose(graph.input("x", {2, 3}), 0, 2);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("transpose: axes 0 and 2 of [2, 3]"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace fornax
