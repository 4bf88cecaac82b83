// Element types.
#pragma once
#include <fornax/export.h>

#include <cstdint>

namespace fornax {

/// Element type of a tensor. `none` marks an absent tensor.
enum class DType : std::uint8_t { none, f32, f64, bf16, f16, i32, i64, u8, boolean };

/// Bytes of one element; 0 for `none`.
constexpr std::int64_t size_bytes(DType dtype) noexcept {
  switch (dtype) {
    case DType::none: return 0;
    case DType::f64:
    case DType::i64: return 8;
    case DType::f32:
    case DType::i32: return 4;
    case DType::bf16:
    case DType::f16: return 2;
    case DType::u8:
    case DType::boolean: return 1;
  }
  return 0;
}

constexpr bool is_floating(DType dtype) noexcept {
  return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::bf16 || dtype == DType::f16;
}

/// "f32", "i64", ...
FORNAX_API const char* name(DType dtype) noexcept;

/// The DType of a C++ element type (bf16 and f16 have none: they are read as std::uint16_t bits).
template <class T>
inline constexpr DType dtype_of = DType::none;
template <>
inline constexpr DType dtype_of<float> = DType::f32;
template <>
inline constexpr DType dtype_of<double> = DType::f64;
template <>
inline constexpr DType dtype_of<std::int32_t> = DType::i32;
template <>
inline constexpr DType dtype_of<std::int64_t> = DType::i64;
template <>
inline constexpr DType dtype_of<std::uint8_t> = DType::u8;
template <>
inline constexpr DType dtype_of<bool> = DType::boolean;

}  // namespace fornax
