// Sums and means over any axes, and their gradients.
#include <fornax/ops/layout.h>
#include <fornax/ops/pointwise.h>
#include <fornax/ops/reduction.h>

#include "tests/kernels/op_case.h"

namespace fornax {
namespace {

OpCase reduce(const std::string& name, const Shape& shape, const std::vector<int>& axes,
              bool average = false, ReducedAxes kept = ReducedAxes::drop) {
  OpCase c;
  c.name = name;
  c.inputs = {{.shape = shape}};
  c.bounds = {.f32 = 5e-6};
  c.build = [=](std::span<const Value> in) {
    // Squared, so that the gradient depends on the input.
    const Value x = square(in[0]);
    return std::vector{average ? mean(x, axes, kept) : sum(x, axes, kept)};
  };
  return c;
}

/// Sums of views: `build` gives the sum of its operand.
OpCase view(const std::string& name, const Shape& shape, const std::function<Value(Value)>& build) {
  OpCase c;
  c.name = name;
  c.inputs = {{.shape = shape}};
  c.bounds = {.f32 = 5e-6};
  c.build = [=](std::span<const Value> in) { return std::vector{build(square(in[0]))}; };
  return c;
}

void add_views(std::vector<OpCase>& all) {
  // Rows side by side: one chain each, several elements a chain, several chunks, more than fit at
  // once, a few too many for whole vectors.
  all.push_back(reduce("side_by_side", {5, 3, 6, 70}, {0, 2}));
  all.push_back(reduce("side_by_side_two", {2, 2, 33}, {1}, true));
  all.push_back(reduce("side_by_side_chains", {3, 300, 21}, {1}));
  all.push_back(reduce("side_by_side_last_chains", {2, 129, 40}, {1}, true));
  all.push_back(reduce("side_by_side_chunks", {1, 65536 + 130, 17}, {1}));
  all.back().dtypes = {DType::f32, DType::bf16};  // the sum is beyond f16
  all.push_back(reduce("side_by_side_wide", {3, 7, 1100}, {1}));
  all.back().benchmark = {"middle_sum", {{64, 256, 1024}}};
  all.push_back(reduce("side_by_side_alone", {500, 1}, {1}));
  all.push_back(
      view("rows_of_transposed", {9, 130}, [](Value x) { return sum(transpose(x), {1}); }));
  all.push_back(view("everything_transposed", {70, 90}, [](Value x) { return sum(transpose(x)); }));
  all.push_back(view("rows_of_slice", {40, 90},
                     [](Value x) { return mean(slice(slice(x, 1, 5, 77), 0, 1, 38), {1}); }));
  all.push_back(
      view("everything_of_slice", {40, 90}, [](Value x) { return sum(slice(x, 1, 5, 77)); }));
  all.push_back(view("columns_of_slice", {40, 90}, [](Value x) {
    return sum(transpose(slice(slice(x, 1, 5, 77), 0, 1, 38)), {1});
  }));
  all.push_back(view("broadcast", {5, 1, 3}, [](Value x) {
    return sum(broadcast(x, {4, 5, 6, 3}), {1, 3});
  }));
  all.push_back(view("heads", {3, 5, 2, 33}, [](Value x) {
    return sum(permute(x, {0, 2, 3, 1}), {3});
  }));
}

std::vector<OpCase> cases() {
  std::vector<OpCase> all = {
      reduce("everything", {7, 9, 5}, {}),
      reduce("scalar", {}, {}),
      reduce("long_row", {600003}, {}),
      reduce("last_axis", {5, 300}, {-1}),
      reduce("last_axes", {6, 20, 30}, {1, 2}),
      reduce("many_rows", {700, 37}, {1}, true),
      reduce("first_axis", {300, 75}, {0}),
      reduce("first_axes", {5, 60, 130}, {0, 1}, true),
      reduce("one_column", {500, 1}, {0}),
      reduce("few_columns", {24000, 3}, {0}, true),
      reduce("chunks_and_strips", {1700, 111}, {0}),
      reduce("wide_columns", {130, 4100}, {0}),
      reduce("middle_axis", {4, 33, 6}, {1}),
      reduce("outer_axes", {4, 33, 6}, {0, 2}, true, ReducedAxes::keep),
      reduce("rows_of_blocks", {3, 2500}, {1}),
      reduce("kept_axis", {4, 33}, {1}, false, ReducedAxes::keep),
      reduce("empty_rows", {3, 0}, {1}),
      reduce("no_rows", {0, 3}, {0}),
  };
  all[0].benchmark = {"sum", {{16, 1024, 1024}}};
  all[3].benchmark = {"row_sum", {{16384, 1024}}};
  all[6].benchmark = {"column_sum", {{16384, 1024}}};
  all[16].mostly_zeros = all[17].mostly_zeros = true;
  all[2].dtypes = {DType::f32, DType::bf16};  // the sum is beyond f16
  add_views(all);
  all[0].refusals = {
      {ErrorCode::shape, "sum: axis 2 of \\[3, 4\\]",
       [](Graph g) {
         sum(g.input("x", {3, 4}), {2});
       }},
      {ErrorCode::shape, "axis -1 is given twice",
       [](Graph g) {
         mean(g.input("x", {3, 4}), {1, -1});
       }},
      {ErrorCode::dtype, "row_sum.*got u8", [](Graph g) { sum(g.input("x", {3}, DType::u8)); }},
      {ErrorCode::shape, "\\[2\\] does not broadcast to \\[3, 4\\]", [](Graph g) {
         sum_to(g.input("x", {3, 4}), {2});
       }}};
  return all;
}

FORNAX_OP_CASES(Reduction, cases());

}  // namespace
}  // namespace fornax
