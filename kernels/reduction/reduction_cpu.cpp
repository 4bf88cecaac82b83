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
#include "kernels/host/row_kernel.h"
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

/// Rows that lie side by side and are summed at once: long pieces of memory at a time.
constexpr std::int64_t kRowsAtOnce = 1024;
/// What waits of them is so far apart, so that it uses different sets of L1.
constexpr std::int64_t kSumsApart = kRowsAtOnce + 5 * numeric::kLine;
constexpr int kLinesAtOnce = 4;
/// A group is chains far apart, of so many lines, which are folded at once; the next group is the
/// neighbours of these. So memory is read in order, in kLinesOfGroup streams, as hardware is quick
/// at. The sums of groups wait in L2.
constexpr int kLinesOfGroup = 8, kMostGroups = 2 * num::kChains / kLinesOfGroup;

/// One chunk of their sums: element i of all of them is a line of memory, x + offset(first + i).
struct Lines {
  const float* x;
  const kernels::StridedWalk<1>& walk;
  std::int64_t first, count, rows;
  const float* line(std::int64_t i) const { return x + RowSumWalk::offset(walk, first + i); }
  std::int64_t chains() const { return std::min<std::int64_t>(num::kChains, count); }
  bool has_short_chains() const { return count <= 2 * num::kChains; }
  /// A power of 2.
  int groups() const {
    const std::int64_t lines = has_short_chains() ? count : num::kChains;
    int groups = 1;
    while (groups * kLinesOfGroup < lines) groups *= 2;
    return groups;
  }
};

/// sum[r] = the elements of row r in `count` lines, in order; go_on: after what the sum holds.
template <bool go_on, int count>
void sum_lines(const float* const* line, float* sum, std::int64_t rows) {
  num::for_vectors(0, rows, [&](std::int64_t i, auto zero) FORNAX_LAMBDA {
    auto total = decltype(zero)(-0.0f);
    if constexpr (go_on) total = num::load(sum + i, zero);
    for (int k = 0; k < count; ++k) total = total + num::load(line[k] + i, zero);
    num::store(total, sum + i);
  });
}

/// sum[r] = the elements chain, chain + 128, ... of row r in order.
void sum_chain(const Lines& s, std::int64_t chain, float* sum) {
  using Sum = void (*)(const float* const*, float*, std::int64_t);
  constexpr Sum begin[] = {sum_lines<false, 1>, sum_lines<false, 2>, sum_lines<false, 3>,
                           sum_lines<false, kLinesAtOnce>};
  constexpr Sum go_on[] = {sum_lines<true, 1>, sum_lines<true, 2>, sum_lines<true, 3>,
                           sum_lines<true, kLinesAtOnce>};
  for (std::int64_t i = chain; i < s.count; i += kLinesAtOnce * num::kChains) {
    const std::int64_t left = (s.count - i + num::kChains - 1) / num::kChains;
    const auto count = std::min<std::int64_t>(kLinesAtOnce, left);
    const float* line[kLinesAtOnce];
    for (std::int64_t k = 0; k < count; ++k) line[k] = s.line(i + k * num::kChains);
    (i == chain ? begin : go_on)[count - 1](line, sum, s.rows);
  }
}

/// Chains of a group, the first of which have a second line that is added to their first.
struct Group {
  const float *line[kLinesOfGroup], *second[kLinesOfGroup];
  int chains = 0, seconds = 0;
};

/// Chains first, first + step, ... of `count`, folded by halving: one that is missing adds nothing.
template <int count, int first, int step, class T>
FORNAX_NUMERIC_FN T folded(const T* chain) {
  if constexpr (first + step < count)
    return folded<count, first, 2 * step>(chain) + folded<count, first + step, 2 * step>(chain);
  else
    return chain[first];
}

template <int chains>
void fold_group(const Group& group, float* sum, std::int64_t rows) {
  num::for_vectors(0, rows, [&](std::int64_t i, auto zero) FORNAX_LAMBDA {
    decltype(zero) chain[chains];
    for (int c = 0; c < chains; ++c) {
      chain[c] = decltype(zero)(-0.0f) + num::load(group.line[c] + i, zero);
      if (c < group.seconds) chain[c] = chain[c] + num::load(group.second[c] + i, zero);
    }
    num::store(folded<chains, 0, 1>(chain), sum + i);
  });
}

/// sum[r] = chains first, first + step, ... of row r. `room` is for as many sums, where chains are
/// long.
void sum_group(const Lines& s, std::int64_t first, int step, float* sum, float* room) {
  using Fold = void (*)(const Group&, float*, std::int64_t);
  constexpr Fold folds[] = {fold_group<1>, fold_group<2>, fold_group<3>, fold_group<4>,
                            fold_group<5>, fold_group<6>, fold_group<7>, fold_group<8>};
  static_assert(std::size(folds) == kLinesOfGroup);
  Group group;
  for (std::int64_t c = first; c < s.chains(); c += step) {
    if (s.has_short_chains()) {
      if (c + num::kChains < s.count) group.second[group.seconds++] = s.line(c + num::kChains);
      group.line[group.chains++] = s.line(c);
    } else {
      float* whole = room + group.chains * kSumsApart;
      sum_chain(s, c, whole);
      group.line[group.chains++] = whole;
    }
  }
  folds[group.chains - 1](group, sum, s.rows);
}

/// sum[r] = the elements of row r, folded as ordered_sum.h says. Further sums wait behind it.
void sum_chunk(const Lines& s, float* sum) {
  const int groups = s.groups();
  const auto begun = static_cast<int>(std::min<std::int64_t>(groups, s.count));
  for (int g = 0; g < begun; ++g)
    sum_group(s, g, groups, sum + g * kSumsApart, sum + groups * kSumsApart);
  for (int half = groups / 2; half > 0; half /= 2)
    for (int g = 0; g < half && g + half < begun; ++g) {
      const float* right = sum + (g + half) * kSumsApart;
      sum_lines<true, 1>(&right, sum + g * kSumsApart, s.rows);
    }
}

/// Rows [begin, end): neighbours lie side by side, a vector sums as many rows as it has lanes.
void side_by_side_sums(const RowSums& s, std::int64_t begin, std::int64_t end) {
  alignas(64) float sum[kMostGroups * kSumsApart];
  const float* const total = sum;
  for_pieces(s, begin, end, [&](const float* x, float* y, std::int64_t rows) FORNAX_LAMBDA {
    for (std::int64_t r = 0; r < rows; r += kRowsAtOnce) {
      Lines lines{x + r, s.walk.reduced, 0, 0, std::min(kRowsAtOnce, rows - r)};
      for (std::int64_t i = 0; i < lines.rows; ++i) y[r + i] = -0.0f;
      for (; lines.first < s.walk.columns; lines.first += num::kSumChunk) {
        lines.count = std::min(num::kSumChunk, s.walk.columns - lines.first);
        sum_chunk(lines, sum);
        sum_lines<true, 1>(&total, y + r, lines.rows);
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
RowSums row_sums_of(const KernelArgs& args, const RowSumWalk& walk) {
  return {args.in[0].as<float>(), walk,
          static_cast<float>(number_or(*args.attributes, "divisor", 1)), args.out[0].as<float>()};
}

void launch_row_sum(const KernelArgs& args) {
  using namespace fornax::reduction;
  const RowSums task = row_sums_of(args, *static_cast<const RowSumWalk*>(args.bound));
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
  const RowSums task = row_sums_of(args, *static_cast<const RowSumWalk*>(args.bound));
  const std::int64_t grain = round_up(host::rows_of_part(task.walk.columns), kColumnsOfPart);
  host::parallel_for(task.walk.rows, grain, args.threads,
                     [&](std::int64_t begin, std::int64_t end) {
                       FORNAX_DISPATCH(side_by_side_sums)(task, begin, end);
                     });
}

/// Whether the rows that are summed are those of the last axis, as bands have them.
bool sums_every_row(const RowSumWalk& walk, const TensorType& x) {
  return walk.columns == x.shape[-1];
}

/// Rows of the last axis, each summed; or all of them as one row, of whose chunks every band has
/// whole ones.
bool plan_row_sum(const Signature& s, host::RowPlan& plan) {
  const RowSumWalk walk = walk_of(s.in[0], s.attributes);
  if (!host::plan_rows_of(s.in[0].shape, plan)) return false;
  const std::int64_t width = s.in[0].shape[-1];
  const bool every_row = sums_every_row(walk, s.in[0]);
  plan.in = {host::RowAccess::rows};
  plan.out = {every_row ? host::RowAccess::rows : host::RowAccess::whole};
  if (!every_row) plan.kept_bytes = 4 * chunk_count(walk.columns, numeric::kSumChunk);
  return every_row || (walk.rows == 1 && host::kBandRows * width % numeric::kSumChunk == 0);
}
void row_sum_band(const KernelArgs& args, const host::RowBand& band) {
  using namespace fornax::reduction;
  const TensorType& x = *args.in[0].type;
  const bool every_row = sums_every_row(*static_cast<const RowSumWalk*>(args.bound), x);
  const RowSumWalk walk = row_sum_walk(x, every_row ? 1 : 0);
  const RowSums task = row_sums_of(args, walk);
  if (every_row) return FORNAX_DISPATCH(row_sums)(task, 0, band.count);
  const std::int64_t first = band.first * x.shape[-1] / numeric::kSumChunk;
  FORNAX_DISPATCH(chunk_sums)
  (task, reinterpret_cast<float*>(band.kept) + first, 0,
   chunk_count(walk.columns, numeric::kSumChunk));
}
void finish_row_sum(const KernelArgs& args, std::byte* kept) {
  const auto& walk = *static_cast<const RowSumWalk*>(args.bound);
  if (sums_every_row(walk, *args.in[0].type)) return;
  const reduction::RowSums task = row_sums_of(args, walk);
  task.y[0] = numeric::ordered_sum_of_chunks(reinterpret_cast<const float*>(kept),
                                             chunk_count(walk.columns, numeric::kSumChunk)) /
              task.divisor;
}
constexpr host::RowKernel kRowSumByRows{plan_row_sum, nullptr, row_sum_band, nullptr,
                                        finish_row_sum};

void launch_row_sum_of_copy(const KernelArgs& args) {
  launch_on_copy(args, copy_contiguous_cpu, launch_row_sum);
}

const Kernel kKernels[] = {
    {"row_sum", "row_sum_side_by_side", offer_side_by_side, bind_walk, launch_side_by_side},
    {"row_sum", "row_sum_128_chains", offer_row_sum, bind_walk, launch_row_sum, false,
     &kRowSumByRows},
    {"row_sum", "row_sum_of_copy", offer_row_sum_of_copy, bind_walk_of_copy,
     launch_row_sum_of_copy},
    kColumnSumCpu,
};

}  // namespace

std::span<const Kernel> reduction_cpu_kernels() { return kKernels; }

}  // namespace fornax::kernels
#endif
