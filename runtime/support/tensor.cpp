// Tensors in host memory.
#include <fornax/error.h>
#include <fornax/tensor.h>

#include <cstring>
#include <new>
#include <string>

namespace fornax {

namespace {
constexpr std::align_val_t kAlignment{64};
}

void Tensor::Free::operator()(std::byte* bytes) const noexcept {
  ::operator delete[](bytes, kAlignment);
}

Tensor::Tensor() noexcept = default;
Tensor::~Tensor() = default;
Tensor::Tensor(Tensor&& other) noexcept
    : dtype_(other.dtype_), shape_(other.shape_), bytes_(std::move(other.bytes_)) {
  other.dtype_ = DType::none;
}
Tensor& Tensor::operator=(Tensor&& other) noexcept {
  dtype_ = other.dtype_, shape_ = other.shape_, bytes_ = std::move(other.bytes_);
  if (this != &other) other.dtype_ = DType::none;
  return *this;
}

Tensor::Tensor(DType dtype, const Shape& shape) : dtype_(dtype), shape_(shape) {
  const auto bytes = static_cast<std::size_t>(shape.elements() * size_bytes(dtype));
  auto* memory = static_cast<std::byte*>(::operator new[](bytes + 1, kAlignment, std::nothrow));
  if (!memory)
    throw Error(ErrorCode::out_of_memory, "tensor: " + std::to_string(bytes) + " bytes for " +
                                              name(dtype) + ' ' + to_string(shape));
  bytes_.reset(memory);
  std::memset(memory, 0, bytes + 1);
}

Tensor::Tensor(const Tensor& other) {
  if (!other.empty()) *this = Tensor(other.dtype_, other.shape_);
  if (!other.empty()) std::memcpy(bytes_.get(), other.bytes_.get(), bytes().size());
}

Tensor& Tensor::operator=(const Tensor& other) {
  if (this != &other) *this = Tensor(other);
  return *this;
}

std::span<std::byte> Tensor::bytes() noexcept {
  return {bytes_.get(), static_cast<std::size_t>(shape_.elements() * size_bytes(dtype_))};
}
std::span<const std::byte> Tensor::bytes() const noexcept {
  return {bytes_.get(), static_cast<std::size_t>(shape_.elements() * size_bytes(dtype_))};
}

void Tensor::expect(DType dtype) const {
  if (dtype != dtype_)
    throw Error(ErrorCode::dtype, std::string("tensor: read as ") + name(dtype) + ", but it is " +
                                      name(dtype_) + ' ' + to_string(shape_));
}

void Tensor::assign(const void* values, std::size_t count) {
  if (static_cast<std::int64_t>(count) != shape_.elements())
    throw Error(ErrorCode::shape,
                "tensor: " + std::to_string(count) + " values for shape " + to_string(shape_));
  if (count) std::memcpy(bytes_.get(), values, bytes().size());
}

double Tensor::scalar() const {
  if (empty() || shape_.elements() != 1)
    throw Error(ErrorCode::shape,
                "tensor: scalar() of shape " + to_string(shape_) + "; it needs one element");
  switch (dtype_) {
    case DType::f32: return static_cast<double>(as<float>()[0]);
    case DType::f64: return as<double>()[0];
    case DType::i32: return static_cast<double>(as<std::int32_t>()[0]);
    case DType::i64: return static_cast<double>(as<std::int64_t>()[0]);
    case DType::u8: return static_cast<double>(as<std::uint8_t>()[0]);
    case DType::boolean: return as<bool>()[0] ? 1.0 : 0.0;
    default: break;
  }
  throw Error(ErrorCode::dtype, std::string("tensor: scalar() of dtype ") + name(dtype_));
}

}  // namespace fornax
