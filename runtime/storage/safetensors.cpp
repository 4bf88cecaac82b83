// Loading and saving safetensors files.
#include <fornax/storage.h>

#include "runtime/storage/safetensors_header.h"
#include "runtime/storage/tensor_data.h"
#include "runtime/support/atomic_file.h"

namespace fornax {

TensorMap load_safetensors(const std::string& path) {
  const InputFile file(path);
  return read_tensors(file, parse_safetensors_header(read_safetensors_header_text(file), file));
}

TextMap load_safetensors_metadata(const std::string& path) {
  const InputFile file(path);
  return parse_safetensors_header(read_safetensors_header_text(file), file).metadata;
}

void save_safetensors(const std::string& path, const TensorMap& tensors, const TextMap& metadata) {
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, tensor] : tensors)
    entries.push_back({name, tensor.dtype(), tensor.shape(), 0, 0});
  lay_out(entries);
  const std::string header =
      format_safetensors_header(entries, {metadata.begin(), metadata.end()}, path);
  AtomicFile file(path);
  file.write(header);
  for (const SafetensorsEntry& entry : entries) {
    const auto bytes = tensors.at(entry.name).bytes();
    file.write(bytes.data(), bytes.size());
  }
  file.commit();
}

}  // namespace fornax
