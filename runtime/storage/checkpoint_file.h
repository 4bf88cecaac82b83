// The checkpoint format: a safetensors file that can tell any damage.
#pragma once
#include <fornax/storage.h>

#include <functional>
#include <string>
#include <vector>

#include "runtime/storage/safetensors_header.h"

namespace fornax {

/// write_checkpoint with tensors fetched one by one: `contents.tensors` is not used; `tensor` is
/// asked once for every entry, in the order of the file, so that one tensor at a time is held.
void write_checkpoint_file(const std::string& path, const Checkpoint& contents,
                           std::vector<SafetensorsEntry> entries,
                           const std::function<Tensor(const std::string&)>& tensor);

}  // namespace fornax
