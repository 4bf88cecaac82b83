// The product that the twin of cublasLt computes: column-major, f32 sums in order of k, epilogue.
// What relu saves is a bit for each element, the lowest of a byte first.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/numeric/convert.h"

namespace fornax::twin {

/// Bits of cublasLtEpilogue_t.
enum Epilogue : unsigned {
  kRelu = 2,
  kBias = 4,
  kReluGradient = 8,
  kBiasGradient = 16,
  kGelu = 32,
  kGeluGradient = 64,
  kSaved = 128
};

enum class Type { bf16, f16, f32 };

/// A column-major matrix.
struct Matrix {
  void* x;
  std::int64_t ld;
  bool transposed;
  std::int64_t at(std::int64_t row, std::int64_t column) const {
    return transposed ? column + row * ld : row + column * ld;
  }
};

/// d [m, n] = epilogue(alpha op(a) [m, k] op(b) [k, n] + beta c). Plain data: a kernel's arguments.
struct Product {
  Type type;
  std::int64_t m, n, k;
  Matrix a, b, c, d, saved;
  void* bias;  ///< [m]: added, or the sums over columns of d
  unsigned epilogue;
  float alpha, beta;
  void* workspace;
  std::uint64_t workspace_bytes;  ///< all of them are overwritten

  float read(const void* x, std::int64_t at) const {
    if (type == Type::f32) return static_cast<const float*>(x)[at];
    const std::uint16_t half = static_cast<const std::uint16_t*>(x)[at];
    return type == Type::bf16 ? numeric::from_bf16(half) : numeric::from_f16(half);
  }
  void write(void* x, std::int64_t at, float value) const {
    if (type == Type::f32)
      static_cast<float*>(x)[at] = value;
    else
      static_cast<std::uint16_t*>(x)[at] =
          type == Type::bf16 ? numeric::to_bf16(value) : numeric::to_f16(value);
  }

  static constexpr float kRootTwoOverPi = 0.7978845608f, kCubic = 0.044715f;
  static float gelu(float x) {
    return 0.5f * x * (1 + std::tanh(kRootTwoOverPi * (x + kCubic * x * x * x)));
  }
  static float gelu_gradient(float x) {
    const float t = std::tanh(kRootTwoOverPi * (x + kCubic * x * x * x));
    return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * kRootTwoOverPi * (1 + 3 * kCubic * x * x);
  }

  /// max(x, 0), which saves whether x is above 0 if it saves.
  float relu(float x, std::int64_t i, std::int64_t j) const {
    const bool passes = x > 0;
    if (epilogue & kSaved) {
      const unsigned bit = 1u << saved.at(i, j) % 8;
      auto& byte = static_cast<std::uint8_t*>(saved.x)[saved.at(i, j) / 8];
      byte = static_cast<std::uint8_t>((byte & ~bit) | (passes ? bit : 0));
    }
    return passes ? x : 0;
  }
  float relu_gradient(float dy, std::int64_t i, std::int64_t j) const {
    const std::uint8_t byte = static_cast<const std::uint8_t*>(saved.x)[saved.at(i, j) / 8];
    return byte >> saved.at(i, j) % 8 & 1 ? dy : 0;
  }

  float finished(float value, std::int64_t i, std::int64_t j) const {
    if (epilogue & kBias) value += read(bias, i);
    if (epilogue & kRelu) return relu(value, i, j);
    if (epilogue & kReluGradient) return relu_gradient(value, i, j);
    if (epilogue & kGeluGradient) return value * gelu_gradient(read(saved.x, saved.at(i, j)));
    if (epilogue & kSaved) write(saved.x, saved.at(i, j), value);
    return epilogue & kGelu ? gelu(value) : value;
  }

  void compute() const {
    std::memset(workspace, 0xa5, workspace_bytes);
    for (std::int64_t i = 0; i < m; ++i) {
      float total = 0;
      for (std::int64_t j = 0; j < n; ++j) {
        float sum = 0;
        for (std::int64_t p = 0; p < k; ++p)
          sum = std::fma(read(a.x, a.at(i, p)), read(b.x, b.at(p, j)), sum);
        sum *= alpha;
        if (beta != 0) sum += beta * read(c.x, c.at(i, j));
        const float value = finished(sum, i, j);
        write(d.x, d.at(i, j), value);
        total += value;
      }
      if (epilogue & kBiasGradient) write(bias, i, total);
    }
  }

  /// A kernel of one thread.
  static void run(const void* product) { static_cast<const Product*>(product)->compute(); }
};

}  // namespace fornax::twin
