// Views, the copies that readers of row-major memory make of them, and their gradients.
#include <fornax/ops/layout.h>
#include <fornax/ops/pointwise.h>

#include <algorithm>
#include <limits>

#include "kernels/layout/tiles.h"
#include "kernels/op.h"
#include "tests/kernels/op_case.h"

namespace fornax {
namespace {

OpCase view(const std::string& name, const Shape& shape,
            const std::function<Value(Value)>& function) {
  OpCase c;
  c.name = name;
  c.inputs = {{.shape = shape}};
  c.build = [=](std::span<const Value> in) {
    return std::vector{contiguous(function(square(in[0])))};
  };
  return c;
}

std::vector<Refusal> refusals() {
  return {{ErrorCode::shape, "\\[2, 3\\] and \\[5\\] differ in elements",
           [](Graph g) {
             reshape(g.input("x", {2, 3}), {5});
           }},
          {ErrorCode::shape, "nothing whole for the extent -1",
           [](Graph g) {
             reshape(g.input("x", {2, 3}), {4, -1});
           }},
          {ErrorCode::shape, "the number of elements exceeds 2\\^60",
           [](Graph g) {
             reshape(g.input("x", {2, 3}), {-1, 3, std::numeric_limits<std::int64_t>::max()});
           }},
          {ErrorCode::shape, "axes must permute those of \\[2, 3\\]",
           [](Graph g) {
             permute(g.input("x", {2, 3}), {0, 0});
           }},
          {ErrorCode::shape, "\\[1, 4\\) is not within the 3 elements of axis 1",
           [](Graph g) {
             slice(g.input("x", {2, 3}), 1, 1, 4);
           }},
          {ErrorCode::shape, "axis 2 of",
           [](Graph g) {
             slice(g.input("x", {2, 3}), 2, 0, 1);
           }},
          {ErrorCode::shape, "\\[2, 3\\] does not broadcast to \\[3, 3\\]", [](Graph g) {
             broadcast(g.input("x", {2, 3}), {3, 3});
           }}};
}

/// Whole lines, which go past the caches in streams.
void add_whole_lines(std::vector<OpCase>& all) {
  all.push_back(view("transposed_lines", {96, 50}, [](Value x) { return transpose(x); }));
  all.push_back(view("transposed_tall", {48, 600}, [](Value x) { return transpose(x); }));
  all.push_back(view("heads_of_lines", {4, 70, 3, 16}, [](Value x) {
    return permute(x, {0, 2, 1, 3});
  }));
  all.push_back(view("many_heads_of_lines", {2, 3, 100, 16}, [](Value x) {
    return permute(x, {0, 2, 1, 3});
  }));
  all.push_back(view("slice_lines", {300, 64}, [](Value x) { return slice(x, 1, 16, 48); }));
}

std::vector<OpCase> cases() {
  std::vector<OpCase> all = {
      view("reshape", {6, 10},
           [](Value x) {
             return reshape(x, {3, -1, 4});
           }),
      view("transpose", {37, 53}, [](Value x) { return transpose(x); }),
      view("large_transpose", {130, 300}, [](Value x) { return transpose(x); }),
      view("transposed_matrices", {3, 67, 130}, [](Value x) { return transpose(x); }),
      view("heads", {2, 5, 3, 8},
           [](Value x) {
             return permute(x, {0, 2, 1, 3});
           }),
      view("reversed_axes", {3, 4, 5, 6},
           [](Value x) {
             return permute(x, {3, 2, 1, 0});
           }),
      view("slice_rows", {9, 7}, [](Value x) { return slice(x, 0, 2, 8); }),
      view("slice_columns", {90, 70}, [](Value x) { return slice(x, -1, 3, 60); }),
      view("slice_middle", {4, 9, 5}, [](Value x) { return slice(x, 1, 2, 9); }),
      view("slice_of_transpose", {8, 12},
           [](Value x) { return slice(slice(transpose(x), 0, 2, 11), 1, 1, 7); }),
      view("broadcast", {5, 1, 3},
           [](Value x) {
             return broadcast(x, {4, x.shape()[0], 6, x.shape()[2]});
           }),
      view("reshape_of_transpose", {6, 10},
           [](Value x) {
             return reshape(transpose(x), {4, 15});
           }),
      view("scalar", {},
           [](Value x) {
             return broadcast(x, {2, 3});
           }),
      view("heads_in_turn", {2, 48, 3, 5},  // 16 rows of each head take turns
           [](Value x) {
             return permute(x, {0, 2, 1, 3});
           }),
      view("heads_of_one_sequence", {32, 3, 8},
           [](Value x) {
             return permute(x, {1, 0, 2});
           }),
      view("empty_slice", {4, 6}, [](Value x) { return slice(x, 1, 3, 3); }),
  };
  all.back().mostly_zeros = true;
  all[1].benchmark = {"transpose", {{4096, 4096}}};
  all[4].benchmark = {"permute_heads", {{8, 1024, 12, 64}}};
  all[7].benchmark = {"slice_columns", {{262144, 70}}};
  all[10].benchmark = {"broadcast", {{512, 1, 1024}}};
  all[0].refusals = refusals();
  add_whole_lines(all);
  return all;
}

FORNAX_OP_CASES(Layout, cases());

TEST(Layout, IntegersAreCopiedToo) {
  Graph graph;
  for (const DType dtype : {DType::i64, DType::u8, DType::bf16}) {
    const Value y = contiguous(transpose(graph.input(name(dtype), {2, 3}, dtype)));
    EXPECT_EQ(y.dtype(), dtype);
    EXPECT_EQ(y.shape(), (Shape{3, 2}));
  }
}

TEST(Layout, TilesCoverAWalkOnce) {
  for (const Shape& shape : {Shape{1, 1}, Shape{64, 64}, Shape{3, 65, 129}, Shape{2, 130, 7}}) {
    kernels::StridedWalk<1> walk;
    walk.rank = shape.rank();
    std::copy(shape.begin(), shape.end(), walk.extent);
    const kernels::Tiles tiles(walk);
    std::vector<int> covered(static_cast<std::size_t>(shape.elements()));
    for (std::int64_t i = 0; i < tiles.tiles(); ++i) {
      const kernels::Tile tile = tiles.tile(i);
      EXPECT_EQ(tile.row / shape[-2], (tile.row + tile.rows - 1) / shape[-2]);
      for (std::int64_t r = 0; r < tile.rows; ++r)
        for (std::int64_t c = 0; c < tile.columns; ++c)
          ++covered.at(static_cast<std::size_t>((tile.row + r) * shape[-1] + tile.column + c));
    }
    EXPECT_EQ(std::count(covered.begin(), covered.end(), 1), shape.elements());
    // No thread is woken for less than its while.
    const std::int64_t largest =
        std::min(shape[-1], kernels::kTile) * std::min(shape[-2], kernels::kTile);
    EXPECT_GE(tiles.tiles_of_part() * largest, host::kElementsOfPart - largest);
  }
}

TEST(Layout, WhatABroadcastRepeatsIsReadOnce) {
  using kernels::TensorType;
  const auto read_bytes = [](const char* op, std::vector<TensorType> in, const Shape& shape) {
    const std::vector out{TensorType(DType::f32, shape)};
    const Attributes none;
    const kernels::Cost cost = kernels::find_op(op).cost({in, out, none});
    EXPECT_EQ(cost.write_bytes, 4 * shape.elements());
    return cost.read_bytes;
  };
  const Shape shape{4, 5, 6, 3};
  TensorType repeated(DType::f32, shape), empty(DType::f32, {4, 0, 3});
  repeated.strides = {0, 3, 0, 1};
  empty.strides = {0, 3, 1};
  EXPECT_EQ(read_bytes("contiguous", {repeated}, shape), 4 * 5 * 3);
  EXPECT_EQ(read_bytes("contiguous", {{DType::f32, shape}}, shape), 4 * 360);
  EXPECT_EQ(read_bytes("contiguous", {empty}, {4, 0, 3}), 0);
  EXPECT_EQ(read_bytes("add", {{DType::f32, shape}, repeated}, shape), 4 * (360 + 15));
  EXPECT_EQ(read_bytes("add", {{DType::f32, shape}, {DType::f32, {6, 1}}}, shape), 4 * (360 + 6));
}

}  // namespace
}  // namespace fornax
