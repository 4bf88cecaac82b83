// Elementwise arithmetic on the CPU: rows of vectors, an operand being an array or one number.
// Transposed operands are turned tile by tile.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/pointwise/pointwise_cpu.cpp"
#include "hwy/foreach_target.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/vector.h"
#include "kernels/pointwise/pointwise_functions.h"
// clang-format on
#include <algorithm>
#include <utility>

#include "kernels/host/offer.h"
#include "kernels/host/parallel.h"
#include "kernels/host/row_kernel.h"
#include "kernels/layout/tiles.h"
#include "kernels/pointwise/cast_cpu.h"
#include "kernels/pointwise/pointwise_walk.h"

#ifndef FORNAX_POINTWISE_ROW
#define FORNAX_POINTWISE_ROW
namespace fornax::pointwise {

/// A piece of a row: operand k is in[k][i * stride[k]].
struct Row {
  const float* in[3];
  std::int64_t stride[3];
  float* out;
  std::int64_t count;
  bool streamed;
  /// Rows that are computed side by side with this one, past the caches, begin so far apart; 0:
  /// none. Operands are as large as the result, or the same for all rows.
  std::int64_t apart = 0;
  bool in_every_row[3] = {};
};

/// Pieces of `rows` rows, one below the other: from a row to the next in[k] moves by down[k].
struct Rows {
  Row first;
  std::int64_t rows, down[3], out_down;

  void move(Row& row, std::int64_t by) const {
    for (int k = 0; k < 3; ++k) row.in[k] += by * down[k];
    row.out += by * out_down;
  }
};

}  // namespace fornax::pointwise
#endif

HWY_BEFORE_NAMESPACE();
#define FORNAX_NUMERIC_PER_TARGET
#include "kernels/pointwise/pointwise_functions.h"
#undef FORNAX_NUMERIC_PER_TARGET
#include "kernels/numeric/namespace.h"
namespace fornax::pointwise::HWY_NAMESPACE {
namespace num = numeric::HWY_NAMESPACE;
using kernels::Pointwise;

/// Element i of operand k as T: `array` says that it advances.
template <bool array, class Index, class T>
FORNAX_NUMERIC_FN T operand(const Row& row, int k, Index i, T zero) {
  if constexpr (array)
    return num::load(row.in[k] + (row.in_every_row[k] ? num::in_every_stream(i) : i), zero);
  return T(*row.in[k]);
}

template <Pointwise function>
void row_by_element(const Row& row) {
  for (std::int64_t i = 0; i < row.count; ++i)
    row.out[i] = num::pointwise(function, row.in[0][i * row.stride[0]],
                                row.in[1][i * row.stride[1]], row.in[2][i * row.stride[2]]);
}

template <Pointwise function, bool a, bool b, bool c>
void row_by_vector(const Row& row) {
  const auto term = [&](auto i, auto zero) FORNAX_LAMBDA {
    return num::pointwise(function, operand<a>(row, 0, i, zero), operand<b>(row, 1, i, zero),
                          operand<c>(row, 2, i, zero));
  };
  const auto fill = [&](const auto*... fetched) FORNAX_LAMBDA {
    if (row.apart == 0)
      num::fill_array(row.out, row.count, row.streamed, term, fetched...);
    else
      num::fill_streams(row.out, {0, row.count, row.apart}, term, fetched...);
  };
  if constexpr (a && !b && !c) return fill(row.in[0] + num::fetched_ahead());
  if constexpr (a && b && !c)
    return row.in_every_row[1]
               ? fill(row.in[0] + num::fetched_ahead())
               : fill(row.in[0] + num::kTwoFetchedAhead, row.in[1] + num::kTwoFetchedAhead);
  fill();
}

template <Pointwise function>
void run_row(const Row& row) {
  const bool a = row.stride[0] == 1, b = row.stride[1] == 1, c = row.stride[2] == 1;
  if ((!a && row.stride[0]) || (!b && row.stride[1]) || (!c && row.stride[2]))
    return row_by_element<function>(row);
  constexpr int operands = kernels::operand_count(function);
  if constexpr (operands == 1) {
    a ? row_by_vector<function, true, false, false>(row) : row_by_element<function>(row);
  } else if constexpr (operands == 2) {
    if (a)
      return b ? row_by_vector<function, true, true, false>(row)
               : row_by_vector<function, true, false, false>(row);
    b ? row_by_vector<function, false, true, false>(row) : row_by_element<function>(row);
  } else {
    if (!a) return row_by_element<function>(row);
    if (b)
      return c ? row_by_vector<function, true, true, true>(row)
               : row_by_vector<function, true, true, false>(row);
    c ? row_by_vector<function, true, false, true>(row) : row_by_element<function>(row);
  }
}

template <int... i>
auto row_function(int function, std::integer_sequence<int, i...>) {
  using Run = void (*)(const Row&);
  constexpr Run runs[] = {run_row<static_cast<Pointwise>(i)>...};
  return runs[function];
}
void run(Pointwise function, const Row& row) {
  row_function(static_cast<int>(function),
               std::make_integer_sequence<int, kernels::kPointwiseCount>())(row);
}
void run_rows(Pointwise function, const Rows& rows) {
  const auto run_one = row_function(static_cast<int>(function),
                                    std::make_integer_sequence<int, kernels::kPointwiseCount>());
  Row row = rows.first;
  for (std::int64_t r = 0; r < rows.rows; ++r, rows.move(row, 1)) run_one(row);
}
/// kStreams groups of `rows.rows` rows that follow each other, a row of each at a time.
void run_rows_side_by_side(Pointwise function, const Rows& rows) {
  Rows group = rows;
  group.first.apart = rows.rows * rows.out_down;
  for (int k = 0; k < 3; ++k) group.first.in_every_row[k] = rows.down[k] == 0;
  run_rows(function, group);
}

void end(bool streamed) { num::end_streams(streamed); }

}  // namespace fornax::pointwise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::kernels {
namespace {

Offer offer_pointwise(const Signature& signature, const DeviceModel&) {
  return host::offer_f32(signature, "pointwise_rows");
}

const float* operand_data(const KernelArgs& args, int k) {
  return args.in[static_cast<std::size_t>(k)].as<float>();
}

/// One launch, for the threads that share it.
struct Task {
  Pointwise function;
  const KernelArgs& args;
  PointwiseWalk walk;
  float scalar;
  bool streamed = true;

  Task(Pointwise function_, const KernelArgs& args_)
      : function(function_),
        args(args_),
        walk(pointwise_walk(args_)),
        scalar(static_cast<float>(walk.scalar)) {
    for (int k = 0; k < operand_count(function); ++k)
      if (is_array(k))
        streamed =
            streamed && host::is_streamed(args, walk.axes.row_elements(), operand_data(args, k));
  }
  bool is_array(int k) const { return k < operand_count(function) && k != walk.scalar_operand; }
  bool is_turned(int k) const { return is_array(k) && is_transposed(walk.axes, k); }
  bool turns() const {
    return walk.axes.rank >= 2 && (is_turned(0) || is_turned(1) || is_turned(2));
  }

  /// Whether rows may be computed side by side, which row_by_vector alone does.
  bool has_even_rows() const {
    const StridedWalk<3>& axes = walk.axes;
    const std::int64_t width = axes.row_elements();
    bool even = streamed && axes.rank == 2 && width % numeric::kLine == 0 &&
                (operand_count(function) < 3 || is_array(0));
    for (int k = 0; k < 3; ++k)
      if (is_array(k))
        even = even && walk.last_stride(k) == 1 &&
               (axes.stride[k][0] == 0 || axes.stride[k][0] == width);
    return even && host::begins_line(args.out[0].data);
  }
  /// `count` elements of row `r` from `column` on.
  fornax::pointwise::Row piece(std::int64_t r, std::int64_t column, std::int64_t count) const {
    fornax::pointwise::Row row{};
    std::int64_t offset[3];
    walk.axes.row_offsets(r, offset);
    for (int k = 0; k < 3; ++k) {
      row.in[k] = &scalar;
      if (!is_array(k)) continue;
      row.stride[k] = walk.last_stride(k);
      row.in[k] = operand_data(args, k) + offset[k] + column * row.stride[k];
    }
    row.out = args.out[0].as<float>() + r * walk.axes.row_elements() + column;
    row.count = count;
    row.streamed = streamed;
    return row;
  }
};

/// Output elements [begin, end), row by row.
void run_range(const Task& task, std::int64_t begin, std::int64_t end) {
  using namespace fornax::pointwise;
  const StridedWalk<3>& axes = task.walk.axes;
  const std::int64_t width = axes.row_elements();
  while (begin < end) {
    const std::int64_t column = begin % width, count = std::min(width - column, end - begin);
    const std::int64_t groups = (end - begin) / (numeric::kStreams * width);
    if (column == 0 && groups > 0 && task.has_even_rows()) {
      Rows rows{task.piece(begin / width, 0, width), groups, {}, width};
      for (int k = 0; k < 3; ++k) rows.down[k] = axes.stride[k][0];
      FORNAX_DISPATCH(run_rows_side_by_side)(task.function, rows);
      begin += groups * numeric::kStreams * width;
      continue;
    }
    FORNAX_DISPATCH(run)(task.function, task.piece(begin / width, column, count));
    begin += count;
  }
  FORNAX_DISPATCH(end)(task.streamed);
}

/// Tiles [begin, end): transposed operands pass through a buffer.
void run_tiles(const Task& task, const Tiles<3>& tiles, std::int64_t begin, std::int64_t end) {
  using namespace fornax::pointwise;
  const StridedWalk<3>& axes = task.walk.axes;
  alignas(64) float buffer[3][kTile * kTile];
  for (std::int64_t i = begin; i < end; ++i) {
    const Tile tile = tiles.tile(i);
    Rows rows{task.piece(tile.row, tile.column, tile.columns), tile.rows, {}, axes.row_elements()};
    for (int k = 0; k < 3; ++k) {
      if (task.is_array(k)) rows.down[k] = axes.stride[k][axes.rank - 2];
      if (!task.is_turned(k)) continue;
      transpose_tile(rows.first.in[k], rows.first.stride[k], tile, buffer[k]);
      rows.first.in[k] = buffer[k], rows.first.stride[k] = 1, rows.down[k] = kTile;
    }
    FORNAX_DISPATCH(run_rows)(task.function, rows);
  }
  FORNAX_DISPATCH(end)(task.streamed);
}

template <int function>
void launch_pointwise(const KernelArgs& args) {
  const Task task(static_cast<Pointwise>(function), args);
  if (args.out[0].elements() == 0) return;
  if (task.turns()) {
    const Tiles tiles(task.walk.axes);
    return host::parallel_for(
        tiles.tiles(), tiles.tiles_of_part(), args.threads,
        [&](std::int64_t begin, std::int64_t end) { run_tiles(task, tiles, begin, end); });
  }
  host::parallel_for(args.out[0].elements(), host::kElementsOfPart, args.threads,
                     [&](std::int64_t begin, std::int64_t end) { run_range(task, begin, end); });
}

/// Operands are as large as the result, or the same for all its rows.
bool plan_by_rows(const Signature& s, host::RowPlan& plan) {
  const Shape& shape = s.out[0].shape;
  plan.out = {host::RowAccess::rows};
  for (const TensorType& type : s.in) {
    const bool same_for_all = !type.present() || type.shape.rank() == 0 ||
                              (type.shape.rank() == 1 && type.shape != shape);
    if (!same_for_all && type.shape != shape) return false;
    plan.in.push_back(same_for_all ? host::RowAccess::whole : host::RowAccess::rows);
  }
  return host::plan_rows_of(shape, plan);
}
template <int function>
constexpr host::RowKernel kByRows{
    plan_by_rows, nullptr, host::launch_on_band<launch_pointwise<function>>, nullptr, nullptr};

template <int... i>
std::span<const Kernel> all_kernels(std::integer_sequence<int, i...>) {
  static const Kernel kernels[] = {Kernel{kPointwiseNames[i], "pointwise_rows", offer_pointwise,
                                          nullptr, launch_pointwise<i>, false, &kByRows<i>}...,
                                   kFillCpu, kCastCpu};
  return kernels;
}

}  // namespace

std::span<const Kernel> pointwise_cpu_kernels() {
  return all_kernels(std::make_integer_sequence<int, kPointwiseCount>());
}

}  // namespace fornax::kernels
#endif
