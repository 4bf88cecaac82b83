// How a CPU kernel works row by row, so that a run of launches goes depth-first: all of them on one
// band of rows, whose values stay in cache, then on the next. Bits are those of whole launches.
// Source: Weber et al. 2018 (arXiv 1804.08378).
#pragma once
#include "kernels/op.h"

namespace fornax::host {

/// Rows of a task, which one thread computes, and what its bands are multiples of. Every chunk of a
/// sum over rows divides one of them.
inline constexpr std::int64_t kTaskRows = 512, kBandRows = 128;

/// How an operand takes part in a run.
enum class RowAccess : std::uint8_t {
  rows,   ///< row-major with `rows` rows: a band touches its own alone
  whole,  ///< an input that bands read whole; an output that finish() writes
  begin,  ///< an input by rows that begin() reads whole, too; an output that begin() writes
};

/// What a launch needs, in bytes that begin at a cache line.
struct RowPlan {
  std::int64_t rows = 0;
  std::vector<RowAccess> in, out;
  std::int64_t lane_bytes = 0;     ///< of each thread, kept from band to band of a step
  std::int64_t partial_bytes = 0;  ///< of a task, for add()
  std::int64_t kept_bytes = 0;     ///< of the launch, for add() and finish()
};

struct RowBand {
  std::int64_t first, count, rows;  ///< `count` rows from `first` on, of `rows` in all
  bool begins_lane;                 ///< the thread's first band of this step
  std::byte *lane, *partial, *kept;

  bool begins_task() const { return first % kTaskRows == 0; }
};

/// The parts of a launch by rows. Operands are whole but in band(), where those by rows are cut to
/// the band: [band.count, ...].
struct RowKernel {
  /// Fills the plan; false: these operands are not taken row by row.
  bool (*plan)(const kernels::Signature&, RowPlan& plan);
  /// Optional; before all bands.
  void (*begin)(const kernels::KernelArgs&);
  void (*band)(const kernels::KernelArgs&, const RowBand&);
  /// With partial_bytes: once for each task, in their order.
  void (*add)(const kernels::KernelArgs&, const std::byte* partial, bool first, std::byte* kept);
  /// Optional; after all bands.
  void (*finish)(const kernels::KernelArgs&, std::byte* kept);
};

/// Rows of the last axis of `shape`; false where there are none.
inline bool plan_rows_of(const Shape& shape, RowPlan& plan) {
  if (shape.rank() == 0 || shape.elements() == 0) return false;
  plan.rows = shape.elements() / shape[-1];
  return true;
}

/// The plan where a row of the result needs the same row of every operand, all of one shape.
inline bool plan_elementwise(const kernels::Signature& signature, RowPlan& plan) {
  const Shape& shape = signature.out[0].shape;
  for (const kernels::TensorType& type : signature.in)
    if (type.shape != shape) return false;
  plan.in.assign(signature.in.size(), RowAccess::rows);
  plan.out = {RowAccess::rows};
  return plan_rows_of(shape, plan);
}

/// band() of a kernel whose launch on a band's operands is all there is to do.
template <void (*launch)(const kernels::KernelArgs&)>
void launch_on_band(const kernels::KernelArgs& args, const RowBand&) {
  launch(args);
}
template <void (*launch)(const kernels::KernelArgs&)>
inline constexpr RowKernel kElementwiseByRows{plan_elementwise, nullptr, launch_on_band<launch>,
                                              nullptr, nullptr};

}  // namespace fornax::host
