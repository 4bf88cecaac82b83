// Sums of rows on the CPU, at the speed of memory.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/reduction/reduction_cpu.cpp"
#include "hwy/foreach_target.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/vector.h"
// clang-format on
#include <algorithm>

#include "kernels/host/offer.h"
#include "kernels/host/parallel.h"
#include "kernels/layout/contiguous.h"
#include "kernels/reduction/column_sum_cpu.h"
#include "kernels/reduction/row_sum_walk.h"
#include "kernels/rules.h"

#ifndef FORNAX_REDUCTION_ROW_SUMS
#define FORNAX_REDUCTION_ROW_SUMS
namespace fornax::reduction {

/// y[r] = (sum of row r of x) / divisor.
struct RowSums {
  const float* x;
  const kernels::RowSumWalk& walk;
  float divisor;
  float* y;
};

}  // namespace fornax::reduction
#endif

HWY_BEFORE_NAMESPACE();
namespace fornax::reduction::HWY_NAMESPACE {
namespace num = numeric::HWY_NAMESPACE;

using kernels::RowSumWalk;

/// visit(x, y, rows) for the rows [begin, end) in pieces of evenly spaced ones.
template <class Visit>
FORNAX_NUMERIC_FN void for_pieces(const RowSums& s, std::int64_t begin, std::int64_t end,
                                  const Visit& visit) {
  const std::int64_t width = s.walk.kept.row_elements();
  while (begin < end) {
    const std::int64_t rows = std::min(width - begin % width, end - begin);
    visit(s.x + RowSumWalk::offset(s.walk.kept, begin), s.y + begin, rows);
    begin += rows;
  }
}

/// Rows [begin, end), one after the other: the elements of each are contiguous.
void row_sums(const RowSums& s, std::int64_t begin, std::int64_t end) {
  const std::int64_t columns = s.walk.columns, step = s.walk.kept.stride[0][s.walk.kept.rank - 1];
  for_pieces(s, begin, end, [&](const float* x, float* y, std::int64_t rows) FORNAX_LAMBDA {
    for (std::int64_t r = 0; r < rows; ++r)
      y[r] = num::ordered_sum<num::Vector, num::kLanes>(x + r * step, columns) / s.divisor;
  });
}

/// Rows that lie side by side and are summed at once: long pieces of memory at a time, with the
/// partial sums of their fold in L1.
constexpr std::int64_t kRowsAtOnce = 1024;
constexpr int kLinesAtOnce = 4;

/// One chunk of their sums: element i of all of them is a line of memory, x + offset(first + i).
struct Lines {
  const float* x;
  const kernels::StridedWalk<1>& walk;
  std::int64_t first, count, rows;
  FORNAX_NUMERIC_FN const float* line(std::int64_t i) const {
    return x + RowSumWalk::offset(walk, first + i);
  }
};

/// fold: neighbouring chains of one element each, by halving. begin: elements of one chain in
/// order. go_on: the same after what the sum holds.
enum class Terms { fold, begin, go_on };

/// sum[r] = the elements of row r in `count` lines.
template <Terms terms, int count>
void sum_lines(const float* const* line, float* sum, std::int64_t rows) {
  num::for_vectors(0, rows, [&](std::int64_t i, auto zero) FORNAX_LAMBDA {
    const auto term = [&](int k) FORNAX_LAMBDA { return num::load(line[k] + i, zero); };
    auto total = decltype(zero)(-0.0f);
    if constexpr (terms == Terms::go_on) total = num::load(sum + i, zero);
    total = total + term(0);
    if constexpr (terms == Terms::fold) {
      if constexpr (count > 2) total = total + term(2);
      if constexpr (count > 3)
        total = total + (term(1) + term(3));
      else if constexpr (count > 1)
        total = total + term(1);
    } else {
      for (int k = 1; k < count; ++k) total = total + term(k);
    }
    num::store(total, sum + i);
  });
}

/// Lines chain, chain + step, ... of which there are `count`.
template <Terms terms>
void sum_some(const Lines& s, std::int64_t chain, std::int64_t step, std::int64_t count,
              float* sum) {
  using Sum = void (*)(const float* const*, float*, std::int64_t);
  constexpr Sum sums[] = {sum_lines<terms, 1>, sum_lines<terms, 2>, sum_lines<terms, 3>,
                          sum_lines<terms, kLinesAtOnce>};
  const float* line[kLinesAtOnce];
  for (std::int64_t k = 0; k < count; ++k) line[k] = s.line(chain + k * step);
  sums[count - 1](line, sum, s.rows);
}

/// sum[r] = the elements chain, chain + 128, ... of row r in order.
void sum_chain(const Lines& s, std::int64_t chain, float* sum) {
  for (std::int64_t i = chain; i < s.count; i += kLinesAtOnce * num::kChains) {
    const std::int64_t left = (s.count - i + num::kChains - 1) / num::kChains;
    const std::int64_t count = std::min<std::int64_t>(kLinesAtOnce, left);
    if (i == chain)
      sum_some<Terms::begin>(s, i, num::kChains, count, sum);
    else
      sum_some<Terms::go_on>(s, i, num::kChains, count, sum);
  }
}

/// sum[r] = chains `chain`, chain + step, chain + 2 step, ... of row r, folded by halving as
/// ordered_sum.h says: a chain that is empty adds nothing. Further sums wait behind sum.
void fold_lines(const Lines& s, std::int64_t chain, std::int64_t step, float* sum) {
  const std::int64_t chains = std::min<std::int64_t>(num::kChains, s.count), right = chain + step;
  if (s.count <= num::kChains && chain + kLinesAtOnce * step >= chains)
    return sum_some<Terms::fold>(s, chain, step, (chains - chain + step - 1) / step, sum);
  if (right >= chains) return sum_chain(s, chain, sum);
  fold_lines(s, chain, 2 * step, sum);
  const float* other = sum + kRowsAtOnce;
  fold_lines(s, right, 2 * step, sum + kRowsAtOnce);
  sum_lines<Terms::go_on, 1>(&other, sum, s.rows);
}

/// Rows [begin, end): neighbours lie side by side, a vector sums as many rows as it has lanes.
void side_by_side_sums(const RowSums& s, std::int64_t begin, std::int64_t end) {
  float sum[8 * kRowsAtOnce];  // a fold halves 128 chains seven times
  const float* const folded = sum;
  for_pieces(s, begin, end, [&](const float* x, float* y, std::int64_t rows) FORNAX_LAMBDA {
    for (std::int64_t r = 0; r < rows; r += kRowsAtOnce) {
      Lines lines{x + r, s.walk.reduced, 0, 0, std::min(kRowsAtOnce, rows - r)};
      for (std::int64_t i = 0; i < lines.rows; ++i) y[r + i] = -0.0f;
      for (; lines.first < s.walk.columns; lines.first += num::kSumChunk) {
        lines.count = std::min(num::kSumChunk, s.walk.columns - lines.first);
        fold_lines(lines, 0, 1, sum);
        sum_lines<Terms::go_on, 1>(&folded, y + r, lines.rows);
      }
      for (std::int64_t i = 0; i < lines.rows; ++i) y[r + i] = y[r + i] / s.divisor;
    }
  });
}

/// The sums of the chunks [begin, end) of a row that threads share.
void chunk_sums(const RowSums& s, float* sums, std::int64_t begin, std::int64_t end) {
  num::ordered_chunk_sums<num::Vector, num::kLanes>(begin, end, s.walk.columns, num::Elements{s.x},
                                                    sums);
}

}  // namespace fornax::reduction::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::kernels {

namespace {

using reduction::RowSums;

std::int64_t chunk_count(std::int64_t elements, std::int64_t chunk) {
  return (elements + chunk - 1) / chunk;
}

/// Columns of a thread: whole cache lines, and strips of them, of every row that it reads.
constexpr std::int64_t kColumnsOfPart = 64;

std::int64_t round_up(std::int64_t a, std::int64_t b) { return chunk_count(a, b) * b; }

constexpr std::int64_t kLeastSideBySide = 16;  ///< rows: whole cache lines

RowSumWalk walk_of(const TensorType& x, const Attributes& attributes) {
  return row_sum_walk(x, static_cast<int>(attributes.integer("kept")));
}

/// A single long row is shared by chunk: its chunk sums are the workspace.
bool shares_row(const RowSumWalk& walk) {
  return walk.rows == 1 && walk.columns > numeric::kSumChunk;
}
std::int64_t chunk_sums_bytes(const RowSumWalk& walk) {
  return shares_row(walk) ? 4 * chunk_count(walk.columns, numeric::kSumChunk) : 0;
}

/// What launches go by: the walk of x, or of its copy.
std::shared_ptr<const void> bind_walk(const Signature& s, const Offer&, const DeviceModel&) {
  return std::make_shared<RowSumWalk>(walk_of(s.in[0], s.attributes));
}
std::shared_ptr<const void> bind_walk_of_copy(const Signature& s, const Offer&,
                                              const DeviceModel&) {
  return std::make_shared<RowSumWalk>(
      walk_of(TensorType(s.in[0].dtype, s.in[0].shape), s.attributes));
}

Offer refusal(std::string_view kernel, const char* needed) {
  Offer offer;
  offer.refusal = std::string(kernel) + ": " + needed + " needed";
  return offer;
}
Offer offer_row_sum(const Signature& s, const DeviceModel&) {
  const RowSumWalk walk = walk_of(s.in[0], s.attributes);
  if (!walk.rows_are_contiguous()) return refusal("row_sum_128_chains", "contiguous rows");
  return host::offer_f32(s, "row_sum_128_chains", chunk_sums_bytes(walk));
}
Offer offer_side_by_side(const Signature& s, const DeviceModel&) {
  if (walk_of(s.in[0], s.attributes).rows_side_by_side() < kLeastSideBySide)
    return refusal("row_sum_side_by_side", "16 or more rows side by side in memory");
  return host::offer_f32(s, "row_sum_side_by_side");
}
Offer offer_row_sum_of_copy(const Signature& s, const DeviceModel&) {
  const RowSumWalk walk = walk_of(s.in[0], s.attributes);
  return host::offer_f32(s, "row_sum_of_copy", copy_bytes(s.in[0]) + chunk_sums_bytes(walk));
}
RowSums row_sums_of(const KernelArgs& args) {
  return {args.in[0].as<float>(), *static_cast<const RowSumWalk*>(args.bound),
          static_cast<float>(number_or(*args.attributes, "divisor", 1)), args.out[0].as<float>()};
}

void launch_row_sum(const KernelArgs& args) {
  using namespace fornax::reduction;
  const RowSums task = row_sums_of(args);
  const RowSumWalk& walk = task.walk;
  if (!shares_row(walk)) {
    host::parallel_for(walk.rows, host::rows_of_part(walk.columns), args.threads,
                       [&](std::int64_t begin, std::int64_t end) {
                         FORNAX_DISPATCH(row_sums)(task, begin, end);
                       });
    return;
  }
  auto* sums = reinterpret_cast<float*>(args.workspace.data());
  const std::int64_t chunks = chunk_count(walk.columns, numeric::kSumChunk);
  host::parallel_for(chunks, numeric::kChunksAtOnce, args.threads,
                     [&](std::int64_t begin, std::int64_t end) {
                       FORNAX_DISPATCH(chunk_sums)(task, sums, begin, end);
                     });
  task.y[0] = numeric::ordered_sum_of_chunks(sums, chunks) / task.divisor;
}

void launch_side_by_side(const KernelArgs& args) {
  using namespace fornax::reduction;
  const RowSums task = row_sums_of(args);
  const std::int64_t grain = round_up(host::rows_of_part(task.walk.columns), kColumnsOfPart);
  host::parallel_for(task.walk.rows, grain, args.threads,
                     [&](std::int64_t begin, std::int64_t end) {
                       FORNAX_DISPATCH(side_by_side_sums)(task, begin, end);
                     });
}

void launch_row_sum_of_copy(const KernelArgs& args) {
  launch_on_copy(args, copy_contiguous_cpu, launch_row_sum);
}

const Kernel kKernels[] = {
    {"row_sum", "row_sum_side_by_side", offer_side_by_side, bind_walk, launch_side_by_side},
    {"row_sum", "row_sum_128_chains", offer_row_sum, bind_walk, launch_row_sum},
    {"row_sum", "row_sum_of_copy", offer_row_sum_of_copy, bind_walk_of_copy,
     launch_row_sum_of_copy},
    kColumnSumCpu,
};

}  // namespace

std::span<const Kernel> reduction_cpu_kernels() { return kKernels; }

}  // namespace fornax::kernels
#endif
