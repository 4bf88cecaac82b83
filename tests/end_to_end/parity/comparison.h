// Our numbers beside PyTorch's: files of PyTorch, relative differences, and their bounds.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "tests/end_to_end/parity/training.h"

namespace fornax::parity {

/// What fornax is held to: relative L2 of each gradient of the first step, and the relative
/// difference of each loss. Norms and final values are held to the bound of losses.
struct Bounds {
  double gradient, loss;
};
inline constexpr Bounds kF64Bounds{1e-9, 1e-8}, kF32Bounds{1e-5, 1e-4};

/// Where a device's numbers are compared, and with which of PyTorch's two runs.
struct Side {
  std::string name;
  Device device;
  std::string precision;  ///< "f64" or "f32"
  Bounds bounds;
};
/// reference:f64, reference and cpu.
std::vector<Side> sides();

/// A file that torch_trace.py wrote.
struct TorchTrace {
  Trace trace;
  double evaluate_loss = 0;  ///< of the values in `trace`
  TensorMap middle;          ///< f64 only: values and moments after half of the steps
  TextMap metadata;
};
TorchTrace load_torch_trace(const std::string& path, const std::string& precision);

/// |a - b| / |b| of all elements; 0 when both are zeros. Throws Error{shape} when shapes differ.
double relative_difference(const Tensor& a, const Tensor& b);
double relative_difference(double a, double b);

/// The worst of several.
struct Worst {
  std::string what;  ///< a tensor's name, or "step 17"
  double difference = -1;
  void add(const std::string& name, double value);
};
struct Comparison {
  Worst gradient, loss, norm, value;
  bool holds(const Bounds& bounds) const;
};
/// Throws Error{not_found} unless both have the same steps and tensors, and at least one of each.
Comparison compare(const Trace& ours, const Trace& theirs);

/// The table that docs/numerics.md shows.
std::string table_heading();
std::string table_row(const std::string& model, const Side& side, const Comparison& comparison);

}  // namespace fornax::parity
