// Look-up of ops and kernels.
#include "kernels/op.h"

#include <map>
#include <mutex>

#include "kernels/op_table.h"

namespace fornax::kernels {

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

}  // namespace fornax::kernels
