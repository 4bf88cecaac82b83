// Checkpoints of a State.
#include <fornax/error.h>
#include <fornax/storage.h>

#include "kernels/op.h"
#include "runtime/storage/checkpoint_file.h"
#include "runtime/support/log.h"

namespace fornax {

namespace {

std::map<std::string, int> op_versions() {
  std::map<std::string, int> versions;
  for (const kernels::OpDefinition* op : kernels::all_ops())
    versions[std::string(op->name)] = op->version;
  return versions;
}

void warn_of_other_versions(const Checkpoint& checkpoint, const std::string& path) {
  const auto here = op_versions();
  for (const auto& [op, version] : checkpoint.op_versions) {
    const auto found = here.find(op);
    if (found != here.end() && found->second == version) continue;
    log("storage", LogLevel::warning,
        path + ": written with version " + std::to_string(version) + " of op " + op +
            ", this build has " +
            (found == here.end() ? std::string("none") : std::to_string(found->second)) +
            "; training will not go on bit for bit");
  }
}

[[noreturn]] void refuse(ErrorCode code, const std::string& path, const std::string& what) {
  throw Error(code, path + ": the checkpoint does not fit the state: " + what);
}

void check_entry(const std::string& path, const StateEntry& entry, const TensorMap& tensors) {
  const auto found = tensors.find(entry.name);
  if (found == tensors.end())
    refuse(ErrorCode::not_found, path, "the file has no '" + entry.name + "'");
  const Tensor& tensor = found->second;
  if (tensor.shape() != entry.shape)
    refuse(ErrorCode::shape, path,
           "'" + entry.name + "' has shape " + to_string(tensor.shape()) + " in the file and " +
               to_string(entry.shape) + " in the state");
  const bool widens = tensor.dtype() == DType::f32 && entry.dtype == DType::f64;
  if (tensor.dtype() != entry.dtype && !widens)
    refuse(ErrorCode::dtype, path,
           "'" + entry.name + "' is " + name(tensor.dtype()) + " in the file and " +
               name(entry.dtype) + " in the state");
}

void check_fit(const std::string& path, const Checkpoint& checkpoint, const State& state) {
  for (const StateEntry& entry : state.entries()) check_entry(path, entry, checkpoint.tensors);
  for (const auto& [name, tensor] : checkpoint.tensors)
    if (!state.has(name)) refuse(ErrorCode::not_found, path, "the state has no '" + name + "'");
  const auto scalars = state.scalars();
  for (const auto& [name, value] : checkpoint.scalars)
    if (!scalars.contains(name))
      refuse(ErrorCode::not_found, path, "the state has no step scalar '" + name + "'");
}

}  // namespace

void save_checkpoint(const std::string& path, const State& state) {
  std::vector<SafetensorsEntry> entries;
  for (const StateEntry& entry : state.entries())
    entries.push_back({entry.name, entry.dtype, entry.shape, 0, 0});
  const Checkpoint contents{state.step(),  state.seed(),  state.scalars(),
                            state.notes(), op_versions(), {}};
  write_checkpoint_file(path, contents, std::move(entries),
                        [&](const std::string& name) { return state.get(name); });
}

void load_checkpoint(const std::string& path, State& state) {
  const Checkpoint checkpoint = read_checkpoint(path);
  check_fit(path, checkpoint, state);
  warn_of_other_versions(checkpoint, path);
  for (const auto& [name, tensor] : checkpoint.tensors) state.set(name, tensor);
  for (const auto& [name, value] : checkpoint.scalars) state.set_scalar(name, value);
  for (const auto& [key, value] : state.notes()) state.set_note(key, {});
  for (const auto& [key, value] : checkpoint.notes) state.set_note(key, value);
  state.set_step(checkpoint.step);
  state.set_seed(checkpoint.seed);
}

}  // namespace fornax
