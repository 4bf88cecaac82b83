// Reading safetensors headers (rules: the reference reader, safetensors/src/tensor.rs, and where
// it and the format's description differ, the stricter of the two).
#include "runtime/storage/safetensors_header.h"

#include <fornax/error.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>

#include "runtime/support/checked.h"
#include "runtime/support/json.h"

namespace fornax {

static_assert(std::endian::native == std::endian::little, "safetensors data are little-endian");

namespace {

struct ElementType {
  std::string_view name;
  std::int64_t bits;
  DType dtype;  ///< none: fornax has no such type
};

constexpr std::array<ElementType, 22> kElementTypes = {{
    {"F32", 32, DType::f32},
    {"F64", 64, DType::f64},
    {"BF16", 16, DType::bf16},
    {"F16", 16, DType::f16},
    {"I32", 32, DType::i32},
    {"I64", 64, DType::i64},
    {"U8", 8, DType::u8},
    {"BOOL", 8, DType::boolean},
    {"F4", 4, DType::none},
    {"F6_E2M3", 6, DType::none},
    {"F6_E3M2", 6, DType::none},
    {"I8", 8, DType::none},
    {"F8_E5M2", 8, DType::none},
    {"F8_E4M3", 8, DType::none},
    {"F8_E8M0", 8, DType::none},
    {"F8_E4M3FNUZ", 8, DType::none},
    {"F8_E5M2FNUZ", 8, DType::none},
    {"I16", 16, DType::none},
    {"U16", 16, DType::none},
    {"U32", 32, DType::none},
    {"U64", 64, DType::none},
    {"C64", 64, DType::none},
}};

/// The fields of one tensor as the header gives them.
struct Fields {
  std::optional<std::string> dtype;
  std::optional<std::vector<std::int64_t>> shape, offsets;
};

std::vector<std::int64_t> read_integers(JsonReader& reader, std::size_t limit, const char* what) {
  std::vector<std::int64_t> values;
  reader.begin_array();
  while (reader.next_element()) {
    if (values.size() == limit)
      reader.fail(std::string(what) + " has more than " + std::to_string(limit) + " numbers");
    const std::int64_t value = reader.integer();
    if (value < 0)
      reader.fail(std::string(what) + " has the negative number " + std::to_string(value));
    values.push_back(value);
  }
  return values;
}

Fields read_fields(JsonReader& reader) {
  constexpr std::size_t kMaxRank = Shape::kMaxRank;
  Fields fields;
  std::string key;
  reader.begin_object();
  while (reader.next_key(key)) {
    if (key == "dtype")
      fields.dtype = reader.string();
    else if (key == "shape")
      fields.shape = read_integers(reader, kMaxRank, "shape");
    else if (key == "data_offsets")
      fields.offsets = read_integers(reader, 2, "data_offsets");
    else
      reader.fail("field " + json_string(key.substr(0, 64)) +
                  " of a tensor; there are dtype, shape and data_offsets");
  }
  if (!fields.dtype || !fields.shape || !fields.offsets || fields.offsets->size() != 2)
    reader.fail("a tensor needs dtype, shape and two data_offsets");
  return fields;
}

const ElementType& element_type(const JsonReader& reader, const std::string& name) {
  for (const ElementType& type : kElementTypes)
    if (type.name == name) return type;
  reader.fail("dtype " + json_string(name.substr(0, 32)) + " is unknown");
}

SafetensorsEntry read_entry(JsonReader& reader, const std::string& path, std::string name) {
  const std::string quoted = "tensor " + json_string(name.substr(0, 256));
  const Fields fields = read_fields(reader);
  const ElementType& type = element_type(reader, *fields.dtype);
  std::int64_t bits = type.bits;
  for (const std::int64_t extent : *fields.shape)
    bits = checked_multiply(bits, extent, path + ": " + quoted + ": bits of its shape");
  const std::int64_t begin = (*fields.offsets)[0], end = (*fields.offsets)[1];
  if (bits % 8 != 0) reader.fail(quoted + " is no whole number of bytes");
  if (end < begin) reader.fail(quoted + " ends before it begins");
  if (end - begin != bits / 8)
    reader.fail(quoted + " has " + std::to_string(end - begin) + " bytes; its shape and dtype " +
                "need " + std::to_string(bits / 8));
  if (type.dtype == DType::none)
    throw Error(ErrorCode::unsupported, path + ": " + quoted + " has dtype " + *fields.dtype +
                                            "; fornax reads F32 F64 BF16 F16 I32 I64 U8 BOOL");
  try {
    return {std::move(name), type.dtype, Shape(*fields.shape), begin, end};
  } catch (const Error& error) {
    reader.fail(quoted + ": " + error.what());
  }
}

void read_metadata(JsonReader& reader, std::map<std::string, std::string>& metadata) {
  std::string key;
  reader.begin_object();
  while (reader.next_key(key)) {
    if (reader.peek() != JsonReader::Kind::string) reader.fail("metadata must be strings");
    metadata[key] = reader.string();
  }
}

/// Tensors must follow each other without holes and overlaps up to the end of the file.
void check_cover(const std::vector<SafetensorsEntry>& entries, std::int64_t data_bytes,
                 const std::string& path) {
  std::int64_t at = 0;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.begin != at)
      throw Error(ErrorCode::corrupt, path + ": tensor " + json_string(entry.name.substr(0, 256)) +
                                          " begins at byte " + std::to_string(entry.begin) +
                                          " of the data; " +
                                          (entry.begin > at ? "a hole" : "an overlap") +
                                          ", expected " + std::to_string(at));
    at = entry.end;
  }
  if (at != data_bytes)
    throw Error(ErrorCode::corrupt, path + ": the tensors end at byte " + std::to_string(at) +
                                        " of the data, the file at " + std::to_string(data_bytes) +
                                        (at > data_bytes ? "; it is cut off" : "; bytes follow"));
}

}  // namespace

std::string read_safetensors_header_text(const InputFile& file) {
  if (file.bytes() < 8)
    throw Error(ErrorCode::corrupt, file.path() + ": " + std::to_string(file.bytes()) +
                                        " bytes; a safetensors file begins with 8 bytes of length");
  std::uint64_t length = 0;
  file.read(0, &length, 8);
  if (length > static_cast<std::uint64_t>(kSafetensorsHeaderLimit))
    throw Error(ErrorCode::corrupt, file.path() + ": bytes 0..7: header length " +
                                        std::to_string(length) + " exceeds the limit of " +
                                        std::to_string(kSafetensorsHeaderLimit));
  if (static_cast<std::int64_t>(length) > file.bytes() - 8)
    throw Error(ErrorCode::corrupt, file.path() + ": bytes 0..7: header length " +
                                        std::to_string(length) + "; the file has " +
                                        std::to_string(file.bytes() - 8) + " bytes after it");
  std::string text(length, '\0');
  file.read(8, text.data(), static_cast<std::int64_t>(length));
  return text;
}

SafetensorsHeader parse_safetensors_header(std::string_view text, const InputFile& file) {
  SafetensorsHeader header;
  header.data_offset = 8 + static_cast<std::int64_t>(text.size());
  const std::size_t last = text.find_last_not_of(' ');
  const std::string_view object = text.substr(0, last == text.npos ? 0 : last + 1);
  JsonReader reader(object, file.path() + ": header", 8, 4);
  if (!object.starts_with('{') || !object.ends_with('}'))
    reader.fail("the header is '{' ... '}' and then spaces only");
  std::string key;
  reader.begin_object();
  while (reader.next_key(key)) {
    if (key == "__metadata__")
      read_metadata(reader, header.metadata);
    else
      header.entries.push_back(read_entry(reader, file.path(), key));
  }
  reader.finish();
  std::sort(header.entries.begin(), header.entries.end(), [](const auto& a, const auto& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  check_cover(header.entries, file.bytes() - header.data_offset, file.path());
  return header;
}

void lay_out(std::vector<SafetensorsEntry>& entries) {
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    const std::int64_t left = size_bytes(a.dtype), right = size_bytes(b.dtype);
    return left != right ? left > right : a.name < b.name;
  });
  std::int64_t at = 0;
  for (SafetensorsEntry& entry : entries) {
    entry.begin = at;
    at = checked_add(at, entry.shape.elements() * size_bytes(entry.dtype), "safetensors: size",
                     ErrorCode::invalid_argument);
    entry.end = at;
  }
}

std::string format_safetensors_header(
    const std::vector<SafetensorsEntry>& entries,
    const std::vector<std::pair<std::string, std::string>>& metadata, const std::string& path) {
  std::string text = "{";
  for (const auto& [key, value] : metadata)
    text += (text.size() > 1 ? "," : "\"__metadata__\":{") + json_string(key) + ':' +
            json_string(value);
  if (!metadata.empty()) text += '}';
  for (const SafetensorsEntry& entry : entries) {
    if (entry.dtype == DType::none || entry.name == "__metadata__")
      throw Error(ErrorCode::invalid_argument,
                  path + ": tensor '" + entry.name + "' " +
                      (entry.dtype == DType::none ? "is empty" : "has the name of the metadata"));
    const auto type = std::find_if(kElementTypes.begin(), kElementTypes.end(),
                                   [&](const auto& t) { return t.dtype == entry.dtype; });
    std::string shape;
    for (const std::int64_t extent : entry.shape)
      shape += (shape.empty() ? "" : ",") + std::to_string(extent);
    text += (text.size() > 1 ? "," : "") + json_string(entry.name) + ":{\"dtype\":\"";
    text += std::string(type->name) + "\",\"shape\":[" + shape + "],\"data_offsets\":[";
    text += std::to_string(entry.begin) + ',' + std::to_string(entry.end) + "]}";
  }
  text += '}';
  text.append((8 - text.size() % 8) % 8, ' ');
  const std::uint64_t length = text.size();
  if (length > static_cast<std::uint64_t>(kSafetensorsHeaderLimit))
    throw Error(ErrorCode::invalid_argument, path + ": a header of " + std::to_string(length) +
                                                 " bytes exceeds the limit of " +
                                                 std::to_string(kSafetensorsHeaderLimit));
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + text;
}

}  // namespace fornax
