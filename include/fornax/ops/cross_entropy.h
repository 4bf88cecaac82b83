// Classification losses and counts over labels.
#pragma once
#include <fornax/graph.h>

#include <cstdint>

namespace fornax {

struct CrossEntropyOptions {
  std::int64_t ignore_index = -100;  ///< rows with this label count nowhere
  double label_smoothing = 0.0;      ///< in [0, 1]; Szegedy et al. 2016, arXiv:1512.00567
};

/// Mean over the rows that are not ignored of -sum_c t[c] log softmax(logits)[c], where
/// t = (1 - e) onehot(label) + e / C and e the label smoothing.
/// logits [..., C] floating, labels [...] i32; the result is a scalar of the dtype of logits.
/// Without a row to count the loss is 0 and so are its gradients. A label outside [0, C) that is
/// not ignore_index contributes nothing and is reported at the next read of the step's results.
/// Per row: maximum, ordered sum of e^(x - maximum), logarithm; the rows' losses are an ordered
/// sum. Saves log(sum e^x) of each row and the number of rows counted.
/// Throws Error{shape} unless labels have the shape of logits without the last axis, Error{dtype}
/// unless logits float and labels are i32, Error{invalid_argument} when label_smoothing is outside
/// [0, 1].
FORNAX_API Value cross_entropy(Value logits, Value labels, CrossEntropyOptions options = {});

/// How many rows have their label as arg-max (the smallest index wins ties; a NaN wins over
/// numbers), and how many rows count at all: those whose label is in [0, C).
struct CorrectCount {
  Value correct, counted;  ///< [] i32 each
};
/// logits [..., C] floating, labels [...] i32. No gradient. A label out of range that is not
/// ignore_index is reported as in cross_entropy. Throws as cross_entropy does.
FORNAX_API CorrectCount correct_count(Value logits, Value labels, std::int64_t ignore_index = -100);

}  // namespace fornax
