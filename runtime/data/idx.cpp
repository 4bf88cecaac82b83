// IDX files (big-endian; yann.lecun.com/exdb/mnist): 00 00 TYPE RANK, extents u32, elements.
#include <fornax/data.h>
#include <fornax/error.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "runtime/support/checked.h"
#include "runtime/support/input_file.h"

namespace fornax {

namespace {

struct IdxType {
  std::uint8_t code;
  std::int64_t bytes;
  DType dtype;
};
constexpr std::array<IdxType, 6> kTypes = {{{0x08, 1, DType::u8},
                                            {0x09, 1, DType::i32},
                                            {0x0b, 2, DType::i32},
                                            {0x0c, 4, DType::i32},
                                            {0x0d, 4, DType::f32},
                                            {0x0e, 8, DType::f64}}};

[[noreturn]] void refuse(const InputFile& file, std::int64_t byte, const std::string& what) {
  throw Error(ErrorCode::corrupt, file.path() + ": byte " + std::to_string(byte) + ": " + what);
}

std::uint64_t big_endian(const std::uint8_t* bytes, std::int64_t count) noexcept {
  std::uint64_t value = 0;
  for (std::int64_t i = 0; i < count; ++i) value = value << 8 | bytes[i];
  return value;
}

struct IdxHeader {
  IdxType type;
  Shape shape;
  std::int64_t bytes;
};

IdxHeader read_header(const InputFile& file) {
  std::array<std::uint8_t, 4> magic{};
  if (file.bytes() < 4)
    refuse(file, 0, std::to_string(file.bytes()) + " bytes; an IDX file has 4 and more");
  file.read(0, magic.data(), 4);
  if (magic[0] == 0x1f && magic[1] == 0x8b) refuse(file, 0, "gzip; unpack the file first");
  if (magic[0] != 0 || magic[1] != 0) refuse(file, 0, "an IDX file begins with two zero bytes");
  const auto type = std::find_if(kTypes.begin(), kTypes.end(),
                                 [&](const IdxType& t) { return t.code == magic[2]; });
  if (type == kTypes.end()) refuse(file, 2, "type code " + std::to_string(magic[2]));
  const std::int64_t rank = magic[3];
  if (rank < 1 || rank > Shape::kMaxRank)
    refuse(file, 3, "rank " + std::to_string(rank) + "; 1 to 8 are read");
  const std::int64_t header_bytes = 4 + 4 * rank;
  if (file.bytes() < header_bytes) refuse(file, 4, "the file ends inside the extents");
  std::array<std::uint8_t, 4 * Shape::kMaxRank> raw{};
  file.read(4, raw.data(), 4 * rank);
  std::vector<std::int64_t> extents;
  std::int64_t bytes = type->bytes;
  for (std::int64_t axis = 0; axis < rank; ++axis) {
    extents.push_back(static_cast<std::int64_t>(big_endian(raw.data() + 4 * axis, 4)));
    bytes = checked_multiply(bytes, extents.back(), file.path() + ": byte 4: size of the extents");
  }
  if (bytes != file.bytes() - header_bytes)
    refuse(file, 4,
           "the extents need " + std::to_string(bytes) + " bytes after byte " +
               std::to_string(header_bytes) + ", there are " +
               std::to_string(file.bytes() - header_bytes));
  return {*type, Shape(extents), header_bytes};
}

void store(const IdxType& type, const std::uint8_t* from, std::byte* to) noexcept {
  const std::uint64_t word = big_endian(from, type.bytes);
  std::int32_t value = static_cast<std::int32_t>(word);
  if (type.code == 0x09) value = static_cast<std::int8_t>(word);
  if (type.code == 0x0b) value = static_cast<std::int16_t>(word);
  if (type.bytes == 8)
    std::memcpy(to, &word, 8);
  else
    std::memcpy(to, &value, 4);
}

}  // namespace

Tensor load_idx(const std::string& path) {
  const InputFile file(path);
  const IdxHeader header = read_header(file);
  Tensor tensor(header.type.dtype, header.shape);
  if (header.type.dtype == DType::u8) {
    file.read(header.bytes, tensor.bytes().data(), header.shape.elements());
    return tensor;
  }
  constexpr std::int64_t kPiece = 1 << 16;  // elements
  std::vector<std::uint8_t> raw(static_cast<std::size_t>(kPiece * header.type.bytes));
  const std::int64_t element_bytes = size_bytes(header.type.dtype);
  for (std::int64_t at = 0; at < header.shape.elements(); at += kPiece) {
    const std::int64_t count = std::min(kPiece, header.shape.elements() - at);
    file.read(header.bytes + at * header.type.bytes, raw.data(), count * header.type.bytes);
    for (std::int64_t i = 0; i < count; ++i)
      store(header.type, raw.data() + i * header.type.bytes,
            tensor.bytes().data() + (at + i) * element_bytes);
  }
  return tensor;
}

Dataset read_idx(const std::string& images, const std::string& labels, double scale) {
  const Tensor pixels = load_idx(images), classes = load_idx(labels);
  if (pixels.dtype() != DType::u8 || pixels.shape().rank() < 2)
    throw Error(ErrorCode::corrupt, images + ": images are u8 of rank 2 or more; this is " +
                                        name(pixels.dtype()) + ' ' + to_string(pixels.shape()));
  if (classes.dtype() != DType::u8 || classes.shape().rank() != 1)
    throw Error(ErrorCode::corrupt, labels + ": labels are u8 of rank 1; this is " +
                                        name(classes.dtype()) + ' ' + to_string(classes.shape()));
  if (pixels.shape()[0] != classes.shape()[0])
    throw Error(ErrorCode::shape, images + ": " + std::to_string(pixels.shape()[0]) +
                                      " images, but " + std::to_string(classes.shape()[0]) +
                                      " labels in " + labels);
  Dataset dataset;
  dataset.features = Tensor(DType::f32, pixels.shape());
  dataset.targets = Tensor(DType::i32, classes.shape());
  std::transform(pixels.as<std::uint8_t>().begin(), pixels.as<std::uint8_t>().end(),
                 dataset.features.as<float>().begin(),
                 [scale](std::uint8_t pixel) { return static_cast<float>(pixel * scale); });
  int largest = -1;
  for (std::size_t i = 0; i < classes.as<std::uint8_t>().size(); ++i) {
    dataset.targets.as<std::int32_t>()[i] = classes.as<std::uint8_t>()[i];
    largest = std::max<int>(largest, classes.as<std::uint8_t>()[i]);
  }
  for (int label = 0; label <= largest; ++label)
    dataset.class_names.push_back(std::to_string(label));
  return dataset;
}

}  // namespace fornax
