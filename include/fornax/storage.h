// Tensors and training states in files.
#pragma once
#include <fornax/export.h>
#include <fornax/state.h>
#include <fornax/tensor.h>

#include <cstdint>
#include <map>
#include <string>

namespace fornax {

using TensorMap = std::map<std::string, Tensor>;
using TextMap = std::map<std::string, std::string>;

/// The tensors of a safetensors file (github.com/huggingface/safetensors), read strictly: the
/// header begins with '{', is UTF-8 without duplicate keys and at most 100 000 000 bytes; tensors
/// cover the rest of the file without holes, overlaps or trailing bytes; bytes equal shape x dtype.
/// Needs memory for the tensors plus a multiple of the header, whatever the header says.
/// Throws Error{io}; Error{corrupt} with path, byte and field; Error{unsupported} for element types
/// and ranks (above 8) that fornax has not. Any number of threads.
FORNAX_API TensorMap load_safetensors(const std::string& path);

/// The file's `__metadata__`. The header is read and checked as above, the data are not.
FORNAX_API TextMap load_safetensors_metadata(const std::string& path);

/// Writes a safetensors file that any reader takes: tensors by descending element size, then by
/// name; header padded with spaces to 8 bytes. Atomic and durable: on failure the old file stays.
/// Throws Error{io}; Error{invalid_argument} for a tensor without elements' type (empty()), a
/// tensor called "__metadata__", text that is not UTF-8, or a header above the limit.
FORNAX_API void save_safetensors(const std::string& path, const TensorMap& tensors,
                                 const TextMap& metadata = {});

/// What a checkpoint file holds.
struct Checkpoint {
  std::int64_t step = 0;
  std::uint64_t seed = 0;
  std::map<std::string, double> scalars;
  TextMap notes;
  std::map<std::string, int> op_versions;  ///< of the build that wrote it
  TensorMap tensors;
};

/// Writes a checkpoint: a safetensors file whose metadata begin with a SHA-256 over the header and
/// the file's size, and hold a CRC-32C of every MiB of data. Atomic and durable like
/// save_safetensors. Throws as save_safetensors.
FORNAX_API void write_checkpoint(const std::string& path, const Checkpoint& checkpoint);

/// Reads and verifies all of a checkpoint. Throws as load_safetensors; Error{corrupt} names the
/// byte range that is not what was written, for any damage; Error{unsupported} when a later version
/// of the format wrote it.
FORNAX_API Checkpoint read_checkpoint(const std::string& path);

/// write_checkpoint of a State: entries, step, seed, scalars, notes, and this build's op versions.
FORNAX_API void save_checkpoint(const std::string& path, const State& state);

/// Brings `state` to what the checkpoint holds. Names, dtypes and shapes must be those of `state`
/// (f32 may be read into f64); notes that the file has not become empty.
/// When an op's version differs from the one that wrote the file, a warning says that training will
/// not go on bit for bit. Throws as read_checkpoint, Error{not_found}, Error{shape} or Error{dtype}
/// naming the entry that does not fit; `state` is unchanged then.
FORNAX_API void load_checkpoint(const std::string& path, State& state);

}  // namespace fornax
