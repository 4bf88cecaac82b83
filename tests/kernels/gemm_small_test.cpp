// Products that pack nothing or one operand: of few rows, of few steps, of short or few rows.
#include "tests/kernels/gemm_cases.h"

namespace fornax::host {
namespace {

TEST_F(GemmTest, FewRows) {
  for (std::int64_t M = 1; M <= 5; ++M) {
    check_transpositions({.M = M, .N = 2100, .K = 70, .gap = 3}, {1, 2, 7});
    for (std::int64_t K = 0; K <= 9; ++K) check_transpositions({.M = M, .N = 141, .K = K}, {1});
    // Rows that share sets of L1, of whole lines and of some elements more.
    for (const std::int64_t K : {1024, 1001})
      check_transpositions({.M = M, .N = 53, .K = K, .gap = 1024 - K}, {1, 2});
    check_transpositions({.M = M, .N = 530, .K = 70, .sum_chunk = gemm_sum_chunk}, {1, 2});
  }
}

TEST_F(GemmTest, FewSteps) {
  for (std::int64_t K = 1; K <= 9; ++K)
    for (const Case& s : {Case{5, 70, K, false, false, 16}, {77, 590, K, false, false, 0, 434}})
      check_transpositions(s, {1, 2, 7});
}

// An operand of one row or column has both strides 1.
TEST_F(GemmTest, OneRowOrColumn) {
  for (const std::int64_t other : {1, 2, 3, 4, 5, 8, 9, 77, 300})
    for (const std::int64_t K : {1, 2, 3, 8, 9, 65, 385, 1100})
      for (const std::int64_t chunk : {std::int64_t{0}, gemm_sum_chunk}) {
        check_transpositions({.M = other, .N = 1, .K = K, .sum_chunk = chunk}, {1, 2});
        check_transpositions({.M = 1, .N = other, .K = K, .sum_chunk = chunk}, {1, 2});
      }
}

TEST_F(GemmTest, RowsOfBReadInPlace) {
  for (const std::int64_t M : {5, 8, 63, 64, 65, 127, 128, 129}) {
    check({.M = M, .N = 301, .K = 70, .gap = 1},
          random_operands({.M = M, .N = 301, .K = 70, .gap = 1}, 1), {1, 3});
    check({.M = M, .N = 3, .K = 1601}, random_operands({.M = M, .N = 3, .K = 1601}, 2), {1, 2});
  }
  check_transpositions({.M = 128, .N = 230, .K = 2300, .gap = 1}, {1, 2, 7});  // pieces of k
  check_transpositions({.M = 70, .N = 530, .K = 1500}, {2, 4, 5});  // each packs a, or one for all
  check_transpositions({.M = 64, .N = 100, .K = 1024}, {1, 2});     // rows a page apart are packed
}

TEST_F(GemmTest, RowsOfBThatFewTilesRead) {
  for (const std::int64_t M : {6, 15, 120, 121, 280, 281})
    check_transpositions({.M = M, .N = 208, .K = 600, .gap = 3}, {1, 2, 7});
  const std::int64_t chunk = gemm_sum_chunk;
  check_transpositions({.M = 20, .N = 160, .K = 1100, .sum_chunk = chunk, .gap = 864}, {1, 2});
  check_transpositions({.M = 30, .N = 1040, .K = 1020}, {1, 2});  // more than is read apart
}

TEST_F(GemmTest, RowsReadInPlace) {
  for (const std::int64_t width : {8, 10, 32, 64, 96, 128, 129}) {
    const Case s{.M = width, .N = width, .K = 2200, .sum_chunk = gemm_sum_chunk};
    check_transpositions(s, {1, 2, 3});
    check_transpositions({.M = 64, .N = width, .K = 700, .gap = 1}, {1, 2});
  }
  check_transpositions({.M = 10, .N = 128, .K = 64, .sum_chunk = gemm_sum_chunk}, {1, 2});
}

}  // namespace
}  // namespace fornax::host
