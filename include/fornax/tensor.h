// Tensors in host memory: what goes into a step and comes out of it.
#pragma once
#include <fornax/dtype.h>
#include <fornax/shape.h>

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace fornax {

/// A row-major tensor in host memory that owns its elements (64-byte aligned). Copies are deep.
class FORNAX_API Tensor {
 public:
  Tensor() noexcept;
  /// Zero-filled. Throws Error{out_of_memory} when the system has not enough.
  Tensor(DType dtype, const Shape& shape);
  /// A copy of `values`. Throws Error{shape} when their number is not shape.elements().
  template <class T>
  Tensor(const Shape& shape, std::span<const T> values) : Tensor(dtype_of<T>, shape) {
    assign(values.data(), values.size());
  }
  template <class T>
  Tensor(const Shape& shape, std::initializer_list<T> values)
      : Tensor(shape, std::span<const T>(values.begin(), values.size())) {}
  Tensor(const Tensor& other);
  Tensor(Tensor&& other) noexcept;
  Tensor& operator=(const Tensor& other);
  Tensor& operator=(Tensor&& other) noexcept;
  ~Tensor();

  DType dtype() const noexcept { return dtype_; }
  const Shape& shape() const noexcept { return shape_; }
  bool empty() const noexcept { return dtype_ == DType::none; }
  std::span<std::byte> bytes() noexcept;
  std::span<const std::byte> bytes() const noexcept;

  /// The elements as T. Throws Error{dtype} when the tensor's dtype is another.
  template <class T>
  std::span<T> as() {
    expect(dtype_of<T>);
    return {reinterpret_cast<T*>(bytes().data()), static_cast<std::size_t>(shape_.elements())};
  }
  template <class T>
  std::span<const T> as() const {
    expect(dtype_of<T>);
    return {reinterpret_cast<const T*>(bytes().data()),
            static_cast<std::size_t>(shape_.elements())};
  }
  /// The only element, as double. Throws Error{shape} unless there is exactly one.
  double scalar() const;

 private:
  struct Free {
    void operator()(std::byte* bytes) const noexcept;
  };
  void expect(DType dtype) const;
  void assign(const void* values, std::size_t count);

  DType dtype_ = DType::none;
  Shape shape_;
  std::unique_ptr<std::byte[], Free> bytes_;
};

}  // namespace fornax
