// The product that the twin of cublasLt computes: column-major, f32 sums in order of k, epilogue.
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
  kBiasGradient = 16,
  kGelu = 32,
  kGeluGradient = 64,
  kSaved = 128
};

/// A column-major matrix of bf16 or f16.
struct Matrix {
  std::uint16_t* x;
  std::int64_t ld;
  bool transposed;
  std::int64_t at(std::int64_t row, std::int64_t column) const {
    return transposed ? column + row * ld : row + column * ld;
  }
};

/// d [m, n] = epilogue(alpha op(a) [m, k] op(b) [k, n] + beta c). Plain data: a kernel's arguments.
struct Product {
  bool bf16;
  std::int64_t m, n, k;
  Matrix a, b, c, d, saved;
  std::uint16_t* bias;  ///< [m]: added, or the sums over columns of d
  unsigned epilogue;
  float alpha, beta;
  void* workspace;
  std::uint64_t workspace_bytes;  ///< all of them are overwritten

  float read(const std::uint16_t* x) const {
    return bf16 ? numeric::from_bf16(*x) : numeric::from_f16(*x);
  }
  void write(std::uint16_t* x, float value) const {
    *x = bf16 ? numeric::to_bf16(value) : numeric::to_f16(value);
  }

  static constexpr float kRootTwoOverPi = 0.7978845608f, kCubic = 0.044715f;
  static float gelu(float x) {
    return 0.5f * x * (1 + std::tanh(kRootTwoOverPi * (x + kCubic * x * x * x)));
  }
  static float gelu_gradient(float x) {
    const float t = std::tanh(kRootTwoOverPi * (x + kCubic * x * x * x));
    return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * kRootTwoOverPi * (1 + 3 * kCubic * x * x);
  }

  float finished(float value, std::int64_t i, std::int64_t j) const {
    if (epilogue & kBias) value += read(bias + i);
    if (epilogue & kGeluGradient) return value * gelu_gradient(read(saved.x + saved.at(i, j)));
    if (epilogue & kSaved) write(saved.x + saved.at(i, j), value);
    if (epilogue & kRelu) return value > 0 ? value : 0;
    return epilogue & kGelu ? gelu(value) : value;
  }

  void compute() const {
    std::memset(workspace, 0xa5, workspace_bytes);
    for (std::int64_t i = 0; i < m; ++i) {
      float total = 0;
      for (std::int64_t j = 0; j < n; ++j) {
        float sum = 0;
        for (std::int64_t p = 0; p < k; ++p)
          sum = std::fma(read(a.x + a.at(i, p)), read(b.x + b.at(p, j)), sum);
        sum *= alpha;
        if (beta != 0) sum += beta * read(c.x + c.at(i, j));
        const float value = finished(sum, i, j);
        write(d.x + d.at(i, j), value);
        total += value;
      }
      if (epilogue & kBiasGradient) write(bias + i, total);
    }
  }

  /// A kernel of one thread.
  static void run(const void* product) { static_cast<const Product*>(product)->compute(); }
};

}  // namespace fornax::twin
