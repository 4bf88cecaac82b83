// Operand types, and the look-up of ops and kernels.
#include "kernels/op.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "kernels/op_table.h"

namespace fornax::kernels {

TensorType::TensorType(DType dtype_, const Shape& shape_) : dtype(dtype_), shape(shape_) {
  std::int64_t step = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    strides[static_cast<std::size_t>(axis)] = step;
    step *= std::max<std::int64_t>(shape[axis], 1);
  }
}

bool TensorType::contiguous() const noexcept {
  std::int64_t step = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    const std::int64_t extent = shape.begin()[axis];
    if (extent != 1 && strides[static_cast<std::size_t>(axis)] != step) return false;
    step *= std::max<std::int64_t>(extent, 1);
  }
  return true;
}

std::string to_string(const TensorType& type) {
  if (!type.present()) return "absent";
  return std::string(name(type.dtype)) + ' ' + to_string(type.shape);
}

namespace {

const std::map<std::string_view, const OpDefinition*>& ops_by_name() {
  static const auto table = [] {
    std::map<std::string_view, const OpDefinition*> ops;
    for (auto family : ops_table())
      for (const OpDefinition& op : family)
        require(ops.emplace(op.name, &op).second, ErrorCode::internal,
                "op table: '" + std::string(op.name) + "' stands twice");
    return ops;
  }();
  return table;
}

using KernelLists = std::map<std::string_view, std::vector<const Kernel*>>;

void add_kernels(KernelLists& lists, std::span<const Kernel> kernels) {
  for (const Kernel& kernel : kernels) lists[kernel.op].push_back(&kernel);
}

std::mutex cuda_mutex;
KernelLists& cuda_kernels() {
  static KernelLists lists;
  return lists;
}

}  // namespace

const OpDefinition& find_op(std::string_view name) {
  const auto found = ops_by_name().find(name);
  require(found != ops_by_name().end(), ErrorCode::not_found,
          "op '" + std::string(name) + "' is not in the op table");
  return *found->second;
}

std::span<const OpDefinition* const> all_ops() {
  static const auto list = [] {
    std::vector<const OpDefinition*> ops;
    for (const auto& [op_name, op] : ops_by_name()) ops.push_back(op);
    return ops;
  }();
  return list;
}

std::vector<const Kernel*> find_kernels(std::string_view op, Backend backend) {
  static const auto cpu = [] {
    KernelLists lists;
    for (auto family : cpu_kernels_table()) add_kernels(lists, family);
    return lists;
  }();
  const auto pick = [&](const KernelLists& lists) {
    const auto found = lists.find(op);
    return found == lists.end() ? std::vector<const Kernel*>() : found->second;
  };
  if (backend == Backend::cpu) return pick(cpu);
  if (backend == Backend::reference) return {};
  const std::lock_guard lock(cuda_mutex);
  return pick(cuda_kernels());
}

void register_cuda_kernels(std::span<const Kernel> kernels) {
  const std::lock_guard lock(cuda_mutex);
  add_kernels(cuda_kernels(), kernels);
}

Cost streaming_cost(const Signature& signature, double flops_per_element) {
  Cost cost;
  for (const TensorType& type : signature.in) cost.read_bytes += type.bytes();
  for (const TensorType& type : signature.out) cost.write_bytes += type.bytes();
  if (!signature.out.empty())
    cost.flops = flops_per_element * static_cast<double>(signature.out[0].shape.elements());
  return cost;
}

}  // namespace fornax::kernels
