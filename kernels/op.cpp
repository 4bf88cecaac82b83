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

/// Kernel lists of the modules that were loaded, in order of loading.
struct ModuleKernels {
  std::string module;
  KernelLists lists;
};
std::mutex modules_mutex;
std::vector<ModuleKernels>& modules() {
  static std::vector<ModuleKernels> list;
  return list;
}

std::vector<const Kernel*> pick(const KernelLists& lists, std::string_view op) {
  const auto found = lists.find(op);
  return found == lists.end() ? std::vector<const Kernel*>() : found->second;
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

std::vector<const Kernel*> find_kernels(std::string_view op, const DeviceModel& model) {
  static const auto cpu = [] {
    KernelLists lists;
    for (auto family : cpu_kernels_table()) add_kernels(lists, family);
    return lists;
  }();
  if (model.backend == Backend::cpu) return pick(cpu, op);
  if (model.backend == Backend::reference) return {};
  const std::lock_guard lock(modules_mutex);
  for (const ModuleKernels& loaded : modules())
    if (model.module.empty() || model.module == loaded.module) return pick(loaded.lists, op);
  return {};
}

std::vector<const Kernel*> find_kernels(std::string_view op, Backend backend) {
  DeviceModel model;
  model.backend = backend;
  return find_kernels(op, model);
}

void register_cuda_kernels(std::string_view module, std::span<const Kernel> kernels) {
  const std::lock_guard lock(modules_mutex);
  for (ModuleKernels& loaded : modules())
    if (loaded.module == module) return add_kernels(loaded.lists, kernels);
  modules().push_back({std::string(module), {}});
  add_kernels(modules().back().lists, kernels);
}

}  // namespace fornax::kernels
