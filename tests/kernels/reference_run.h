// Runs a graph node by node with the references of its ops, in f32 or f64, without a planner.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/graph/graph_data.h"
#include "tests/kernels/guarded_memory.h"

namespace fornax {

/// A value's bytes: floating dtypes are stored as f32 or f64, the others as they are.
struct StoredValue {
  std::shared_ptr<GuardedMemory> memory;
  kernels::TensorType type;
  std::int64_t offset_elements = 0;
  void* data() const {
    return memory ? memory->data() + offset_elements * size_bytes(type.dtype) : nullptr;
  }
};

/// The operands of one node's launch.
struct NodeOperands {
  std::vector<StoredValue> in, out;
  std::vector<kernels::ConstTensorView> in_views;
  std::vector<kernels::TensorView> out_views;
  void make_views();
  /// The input's view becomes the output's bytes, which take its content: a launch in place.
  void share(const kernels::Alias& alias);
};

class ReferenceRun {
 public:
  /// `storage` is f32 or f64; outputs are filled with `prefill` before they are written.
  ReferenceRun(const GraphData& graph, DType storage, int prefill = 0xff);

  /// Row-major elements of an input, parameter or state, by id.
  void feed(int value, const std::vector<double>& elements);

  /// Runs the first `nodes` nodes. A value of dtype bf16 or f16 is rounded to it after its node.
  /// `visit`, if given, sees every node with bytes after it ran.
  /// Operands of dtype bf16 and f16 are shown as such, not as the f32 that the reference had.
  using Visit = std::function<void(const NodeData&, NodeOperands&)>;
  void run(std::size_t nodes, const Visit& visit = {});

  std::vector<double> elements(int value) const;
  const StoredValue& stored(int value) const { return values_[static_cast<std::size_t>(value)]; }
  kernels::StepState step{};

 private:
  StoredValue allocate(const kernels::TensorType& type) const;
  bool make_views(const NodeData& node);
  NodeOperands operands_of(const NodeData& node);
  void round_outputs(const NodeData& node);
  NodeOperands in_own_dtypes(const NodeData& node, const NodeOperands& operands) const;
  StoredValue in_own_dtype(int value, const StoredValue& stored) const;

  const GraphData& graph_;
  DType storage_;
  int prefill_;
  std::vector<StoredValue> values_;
};

/// x as the dtype holds it: rounded to f32, bf16 or f16; integers unchanged.
double rounded_to(DType dtype, double x);

/// Reads element `index` of row-major bytes of that dtype.
double element_of(const void* bytes, DType dtype, std::int64_t index);

}  // namespace fornax
