// See reference_run.h.
#include "tests/kernels/reference_run.h"

#include <fornax/error.h>

#include <algorithm>

#include "kernels/numeric/convert.h"

namespace fornax {

using kernels::Alias;
using kernels::TensorType;

double rounded_to(DType dtype, double x) {
  const auto single = static_cast<float>(x);
  if (dtype == DType::f32) return single;
  if (dtype == DType::bf16) return numeric::from_bf16(numeric::to_bf16(single));
  if (dtype == DType::f16) return numeric::from_f16(numeric::to_f16(single));
  return x;
}

double element_of(const void* bytes, DType dtype, std::int64_t i) {
  const auto as = [&]<class T>(T) { return static_cast<double>(static_cast<const T*>(bytes)[i]); };
  switch (dtype) {
    case DType::f32: return as(float());
    case DType::f64: return as(double());
    case DType::bf16: return numeric::from_bf16(static_cast<const std::uint16_t*>(bytes)[i]);
    case DType::f16: return numeric::from_f16(static_cast<const std::uint16_t*>(bytes)[i]);
    case DType::i32: return as(std::int32_t());
    case DType::i64: return as(std::int64_t());
    default: return as(std::uint8_t());
  }
}

namespace {

void set_element(void* bytes, DType dtype, std::int64_t i, double value) {
  const auto as = [&]<class T>(T) { static_cast<T*>(bytes)[i] = static_cast<T>(value); };
  switch (dtype) {
    case DType::f32: return as(float());
    case DType::f64: return as(double());
    case DType::i32: return as(std::int32_t());
    case DType::i64: return as(std::int64_t());
    default: return as(std::uint8_t());
  }
}

/// Offset in elements of row-major index i.
std::int64_t offset_of(const TensorType& type, std::int64_t i) {
  std::int64_t offset = 0;
  for (int axis = type.shape.rank() - 1; axis >= 0; --axis) {
    offset += i % type.shape.begin()[axis] * type.strides[static_cast<std::size_t>(axis)];
    i /= type.shape.begin()[axis];
  }
  return offset;
}

}  // namespace

void NodeOperands::make_views() {
  in_views.clear(), out_views.clear();
  for (const StoredValue& value : in) in_views.push_back({value.data(), &value.type});
  for (const StoredValue& value : out) out_views.push_back({value.data(), &value.type});
}

void NodeOperands::share(const Alias& alias) {
  const StoredValue& from = in[static_cast<std::size_t>(alias.in)];
  StoredValue& to = out[static_cast<std::size_t>(alias.out)];
  if (!to.memory) return;
  std::memcpy(to.data(), from.data(), to.memory->bytes());
  in_views[static_cast<std::size_t>(alias.in)].data = to.data();
}

ReferenceRun::ReferenceRun(const GraphData& graph, DType storage, int prefill)
    : graph_(graph), storage_(storage), prefill_(prefill), values_(graph.values.size()) {}

StoredValue ReferenceRun::allocate(const TensorType& type) const {
  StoredValue value;
  value.type = type;
  if (is_floating(type.dtype)) value.type.dtype = storage_;
  value.memory = std::make_shared<GuardedMemory>(value.type.bytes(), prefill_);
  return value;
}

void ReferenceRun::feed(int id, const std::vector<double>& elements) {
  const TensorType& type = graph_.values[static_cast<std::size_t>(id)].type;
  StoredValue value = allocate(type);
  for (std::size_t i = 0; i < elements.size(); ++i)
    set_element(value.data(), value.type.dtype, static_cast<std::int64_t>(i), elements[i]);
  values_[static_cast<std::size_t>(id)] = std::move(value);
}

/// True when all outputs are views of inputs: then nothing runs.
bool ReferenceRun::make_views(const NodeData& node) {
  bool all = false;
  for (const Alias& alias : aliases_of(graph_, node)) {
    if (alias.kind != Alias::Kind::view) continue;
    const int id = node.out[static_cast<std::size_t>(alias.out)];
    StoredValue view = stored(node.in[static_cast<std::size_t>(alias.in)]);
    const DType dtype = view.type.dtype;
    view.type = graph_.type_of(id);
    view.type.dtype = dtype;
    view.offset_elements += alias.offset_elements;
    values_[static_cast<std::size_t>(id)] = view;
    all = true;
  }
  return all;
}

NodeOperands ReferenceRun::operands_of(const NodeData& node) {
  NodeOperands operands;
  for (const int id : node.in) operands.in.push_back(id == kAbsent ? StoredValue() : stored(id));
  for (const int id : node.out)
    operands.out.push_back(id == kAbsent ? StoredValue() : allocate(graph_.type_of(id)));
  operands.make_views();
  // In place, as the executor runs it, but on a copy: the old content is kept.
  for (const Alias& alias : aliases_of(graph_, node))
    if (alias.kind == Alias::Kind::updates_state) operands.share(alias);
  return operands;
}

void ReferenceRun::round_outputs(const NodeData& node) {
  for (const int id : node.out) {
    if (id == kAbsent || storage_ == DType::f64) continue;
    const DType dtype = graph_.type_of(id).dtype;
    if (dtype != DType::bf16 && dtype != DType::f16) continue;
    float* x = static_cast<float*>(stored(id).data());
    for (std::int64_t i = 0; i < stored(id).type.shape.elements(); ++i)
      x[i] = static_cast<float>(rounded_to(dtype, x[i]));
  }
}

StoredValue ReferenceRun::in_own_dtype(int id, const StoredValue& value) const {
  if (id == kAbsent) return value;
  const DType dtype = graph_.type_of(id).dtype;
  if (storage_ != DType::f32 || (dtype != DType::bf16 && dtype != DType::f16)) return value;
  StoredValue narrow = value;  // same strides and offset within half the bytes
  narrow.type.dtype = dtype;
  const std::size_t elements = value.memory->bytes() / sizeof(float);
  narrow.memory = std::make_shared<GuardedMemory>(static_cast<std::int64_t>(2 * elements));
  const auto* from = reinterpret_cast<const float*>(value.memory->data());
  auto* to = reinterpret_cast<std::uint16_t*>(narrow.memory->data());
  for (std::size_t i = 0; i < elements; ++i)
    to[i] = dtype == DType::bf16 ? numeric::to_bf16(from[i]) : numeric::to_f16(from[i]);
  return narrow;
}

NodeOperands ReferenceRun::in_own_dtypes(const NodeData& node, const NodeOperands& operands) const {
  NodeOperands shown = operands;
  for (std::size_t i = 0; i < node.in.size(); ++i)
    shown.in[i] = in_own_dtype(node.in[i], operands.in[i]);
  for (std::size_t i = 0; i < node.out.size(); ++i)
    shown.out[i] = in_own_dtype(node.out[i], operands.out[i]);
  shown.make_views();
  return shown;
}

void ReferenceRun::run(std::size_t nodes, const Visit& visit) {
  for (std::size_t n = 0; n < nodes; ++n) {
    const NodeData& node = graph_.nodes[n];
    if (make_views(node)) continue;
    NodeOperands operands = operands_of(node);
    kernels::KernelArgs args;
    args.in = operands.in_views, args.out = operands.out_views;
    args.attributes = &node.attributes;
    args.step = node.op->uses_step ? &step : nullptr;
    const auto reference = storage_ == DType::f64 ? node.op->reference_f64 : node.op->reference_f32;
    kernels::require(reference != nullptr, ErrorCode::internal,
                     std::string(node.op->name) + ": no reference");
    reference(args);
    for (std::size_t i = 0; i < node.out.size(); ++i) {
      if (node.out[i] == kAbsent) continue;
      kernels::require(
          operands.out[i].memory->intact(), ErrorCode::internal,
          std::string(node.op->name) + ": the reference wrote past output " + std::to_string(i));
      values_[static_cast<std::size_t>(node.out[i])] = operands.out[i];
    }
    round_outputs(node);
    if (!visit) continue;
    NodeOperands shown = in_own_dtypes(node, operands);
    visit(node, shown);
  }
}

std::vector<double> ReferenceRun::elements(int id) const {
  const StoredValue& value = stored(id);
  std::vector<double> result(static_cast<std::size_t>(value.type.shape.elements()));
  for (std::size_t i = 0; i < result.size(); ++i)
    result[i] = element_of(value.data(), value.type.dtype,
                           offset_of(value.type, static_cast<std::int64_t>(i)));
  return result;
}

}  // namespace fornax
