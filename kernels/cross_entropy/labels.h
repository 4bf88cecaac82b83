// Logits and their labels as the CPU kernels and the reference see them; bad labels are flagged.
#pragma once
#include "kernels/cross_entropy/cross_entropy_row.h"
#include "kernels/op.h"

namespace fornax::kernels {

struct LabelledRows {
  const float* logits;
  const std::int32_t* labels;
  std::int64_t count, classes, ignore_index;

  bool valid(std::int64_t row) const {
    return numeric::label_kind(labels[row], ignore_index, classes) == numeric::LabelKind::valid;
  }
};

/// `operand` is the input that holds logits; labels follow it.
inline LabelledRows labelled_rows(const KernelArgs& args, std::size_t operand) {
  return {args.in[operand].as<float>(), args.in[operand + 1].as<std::int32_t>(),
          args.in[operand + 1].elements(), args.in[operand].shape()[-1],
          args.attributes->integer("ignore_index")};
}

struct RowGradient {
  float log_sum_exp, weight, on, off;
};

/// Remembers the smallest position with a label out of range.
inline void flag_bad_label(StepState& step, std::int64_t row, std::int64_t label) {
  if (step.bad_index != 0 && step.bad_index <= row + 1) return;
  step.bad_index = row + 1;
  step.bad_value = label;
}

/// How many rows count; flags the first label out of range.
inline std::int32_t count_labels(const LabelledRows& rows, StepState& step) {
  std::int32_t counted = 0;
  for (std::int64_t row = 0; row < rows.count; ++row) {
    const auto kind = numeric::label_kind(rows.labels[row], rows.ignore_index, rows.classes);
    counted += kind == numeric::LabelKind::valid;
    if (kind == numeric::LabelKind::bad) flag_bad_label(step, row, rows.labels[row]);
  }
  return counted;
}

}  // namespace fornax::kernels
