// Writing and reading checkpoints. The header opens with
//   {"__metadata__":{"fornax.sha256":"64 hex digits", "fornax.format":"1", ...
// The digest covers the length, the header with these digits as 0, and the file's size.
#include "runtime/storage/checkpoint_file.h"

#include <fornax/error.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "runtime/storage/tensor_data.h"
#include "runtime/support/atomic_file.h"
#include "runtime/support/json.h"
#include "runtime/support/sha256.h"

namespace fornax {

namespace {

constexpr std::string_view kPrefix = "{\"__metadata__\":{\"fornax.sha256\":\"";
constexpr std::string_view kFormat = "1";
constexpr std::size_t kHexDigits = 64;

template <class T>
std::string text_of(T value) {
  char text[40];
  return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
}

std::string hex_of(std::uint32_t crc) {
  std::uint8_t bytes[4];
  for (int i = 0; i < 4; ++i) bytes[i] = static_cast<std::uint8_t>(crc >> (24 - 8 * i));
  return hex(bytes, 4);
}

std::string ranged(const std::string& path, std::int64_t first, std::int64_t last) {
  return path + ": bytes " + std::to_string(first) + ".." + std::to_string(last) + ": ";
}

/// `header` is length and text.
std::string header_digest(std::string header, std::int64_t file_bytes) {
  header.replace(8 + kPrefix.size(), kHexDigits, kHexDigits, '0');
  return Sha256().update(header).update(&file_bytes, sizeof file_bytes).hex();
}

std::size_t chunk_count(std::int64_t data_bytes) {
  return static_cast<std::size_t>((data_bytes + kChunkBytes - 1) / kChunkBytes);
}

std::string format_op_versions(const std::map<std::string, int>& versions) {
  std::string text(1, '{');
  for (const auto& [op, version] : versions)
    text += (text.size() > 1 ? "," : "") + json_string(op) + ':' + std::to_string(version);
  return text += '}';
}

using Metadata = std::vector<std::pair<std::string, std::string>>;

Metadata metadata_of(const Checkpoint& contents, const std::string& digest,
                     const std::string& chunks) {
  Metadata metadata = {{"fornax.sha256", digest},
                       {"fornax.format", std::string(kFormat)},
                       {"fornax.crc32c_per_mib", chunks},
                       {"fornax.step", text_of(contents.step)},
                       {"fornax.seed", text_of(contents.seed)},
                       {"fornax.ops", format_op_versions(contents.op_versions)}};
  for (const auto& [key, value] : contents.scalars)
    metadata.emplace_back("fornax.scalar." + key, text_of(value));
  for (const auto& [key, value] : contents.notes)
    metadata.emplace_back("fornax.note." + key, value);
  return metadata;
}

/// Length and text, verified against the digest before anything is parsed.
std::string read_verified_header(const InputFile& file) {
  const std::string text = read_safetensors_header_text(file);
  const auto last = 7 + static_cast<std::int64_t>(text.size());
  if (!text.starts_with(kPrefix) || text.size() < kPrefix.size() + kHexDigits)
    throw Error(ErrorCode::corrupt, ranged(file.path(), 8, last) +
                                        "no checkpoint of fornax, or a damaged one: it begins with "
                                        "\"fornax.sha256\" in its metadata");
  const std::string expected = text.substr(kPrefix.size(), kHexDigits);
  std::string header(8, '\0');
  const std::uint64_t length = text.size();
  std::memcpy(header.data(), &length, 8);
  const std::string found = header_digest(header += text, file.bytes());
  if (found != expected)
    throw Error(ErrorCode::corrupt,
                ranged(file.path(), 0, last) + "SHA-256 of header and size is " + found +
                    ", which is not what the file says; the header is damaged or the file cut off");
  return text;
}

/// Looks up and parses metadata of a header whose digest was right.
class MetadataReader {
 public:
  MetadataReader(const TextMap& metadata, const std::string& path)
      : metadata_(metadata), path_(path) {}

  const std::string& text(const std::string& key) const {
    const auto found = metadata_.find(key);
    if (found == metadata_.end())
      throw Error(ErrorCode::corrupt, path_ + ": metadata '" + key + "' is absent");
    return found->second;
  }
  template <class T>
  T number(const std::string& key) const {
    const std::string& value = text(key);
    T number{};
    const char* end = value.data() + value.size();
    const auto [stop, error] = std::from_chars(value.data(), end, number);
    if (error != std::errc() || stop != end)
      throw Error(ErrorCode::corrupt,
                  path_ + ": metadata '" + key + "' is '" + value.substr(0, 64) + "', no number");
    return number;
  }

 private:
  const TextMap& metadata_;
  const std::string& path_;
};

std::map<std::string, int> parse_op_versions(const std::string& text, const std::string& path) {
  std::map<std::string, int> versions;
  JsonReader reader(text, path + ": metadata 'fornax.ops'");
  std::string key;
  reader.begin_object();
  while (reader.next_key(key)) versions[key] = static_cast<int>(reader.integer());
  reader.finish();
  return versions;
}

Checkpoint parse_contents(const SafetensorsHeader& header, const std::string& path) {
  const MetadataReader metadata(header.metadata, path);
  if (metadata.text("fornax.format") != kFormat)
    throw Error(ErrorCode::unsupported, path + ": format " + metadata.text("fornax.format") +
                                            " of checkpoints; this build reads format " +
                                            std::string(kFormat));
  Checkpoint contents;
  contents.step = metadata.number<std::int64_t>("fornax.step");
  if (contents.step < 0)
    throw Error(ErrorCode::corrupt, path + ": step " + std::to_string(contents.step));
  contents.seed = metadata.number<std::uint64_t>("fornax.seed");
  contents.op_versions = parse_op_versions(metadata.text("fornax.ops"), path);
  constexpr std::string_view kScalar = "fornax.scalar.", kNote = "fornax.note.";
  for (const auto& [key, value] : header.metadata) {
    if (key.starts_with(kScalar))
      contents.scalars[key.substr(kScalar.size())] = metadata.number<double>(key);
    else if (key.starts_with(kNote))
      contents.notes[key.substr(kNote.size())] = value;
  }
  return contents;
}

}  // namespace

void write_checkpoint_file(const std::string& path, const Checkpoint& contents,
                           std::vector<SafetensorsEntry> entries,
                           const std::function<Tensor(const std::string&)>& tensor) {
  lay_out(entries);
  const std::int64_t data_bytes = entries.empty() ? 0 : entries.back().end;
  const std::string no_digest(kHexDigits, '0'), no_chunks(8 * chunk_count(data_bytes), '0');
  // The checksums have a fixed width, so the header's place is known before they are.
  std::string header =
      format_safetensors_header(entries, metadata_of(contents, no_digest, no_chunks), path);
  AtomicFile file(path);
  file.write(header);
  std::string chunks;
  ChunkDigests digests([&](std::size_t, std::uint32_t crc) { chunks += hex_of(crc); });
  for (const SafetensorsEntry& entry : entries) {
    const Tensor value = tensor(entry.name);
    if (value.dtype() != entry.dtype || value.shape() != entry.shape)
      throw Error(ErrorCode::internal, path + ": tensor '" + entry.name +
                                           "' changed while it was "
                                           "saved");
    digests.update(value.bytes());
    file.write(value.bytes().data(), value.bytes().size());
  }
  digests.finish();
  header = format_safetensors_header(entries, metadata_of(contents, no_digest, chunks), path);
  const auto file_bytes = static_cast<std::int64_t>(header.size()) + data_bytes;
  header.replace(8 + kPrefix.size(), kHexDigits, header_digest(header, file_bytes));
  file.rewrite(0, header);
  file.commit([](const std::string& temporary) { read_verified_header(InputFile(temporary)); });
}

void write_checkpoint(const std::string& path, const Checkpoint& checkpoint) {
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, tensor] : checkpoint.tensors)
    entries.push_back({name, tensor.dtype(), tensor.shape(), 0, 0});
  write_checkpoint_file(path, checkpoint, std::move(entries),
                        [&](const std::string& name) { return checkpoint.tensors.at(name); });
}

Checkpoint read_checkpoint(const std::string& path) {
  const InputFile file(path);
  const SafetensorsHeader header = parse_safetensors_header(read_verified_header(file), file);
  Checkpoint contents = parse_contents(header, path);
  const std::string& chunks = MetadataReader(header.metadata, path).text("fornax.crc32c_per_mib");
  const std::int64_t data_bytes = file.bytes() - header.data_offset;
  if (chunks.size() != 8 * chunk_count(data_bytes))
    throw Error(ErrorCode::corrupt, path + ": " + std::to_string(chunks.size() / 8) +
                                        " checksums for " + std::to_string(data_bytes) + " bytes");
  ChunkDigests digests([&](std::size_t chunk, std::uint32_t crc) {
    const std::string expected = chunks.substr(8 * chunk, 8);
    if (hex_of(crc) == expected) return;
    const std::int64_t first = static_cast<std::int64_t>(chunk) * kChunkBytes;
    const std::int64_t last = std::min(first + kChunkBytes, data_bytes) - 1;
    throw Error(ErrorCode::corrupt,
                ranged(path, header.data_offset + first, header.data_offset + last) +
                    "CRC-32C is " + hex_of(crc) + ", expected " + expected);
  });
  contents.tensors = read_tensors(file, header, &digests);
  return contents;
}

}  // namespace fornax
