// Where initial values come from.
#pragma once
#include <fornax/export.h>

#include <cstdint>

namespace fornax {

/// How the elements of a parameter or of state start. Random values are drawn on the host in f32,
/// keyed by (seed, name, element): the same bits on every device. Uniform: the upper 24 bits of the
/// element's Philox word are u in [0, 1), and the value is fma(high - low, u, low). Normal: Box and
/// Muller 1958 on the words of elements 2k and 2k + 1, then fma(deviation, drawn, mean).
struct Initializer {
  enum class Kind { constant, uniform, normal, he_normal, xavier_uniform };
  Kind kind = Kind::constant;
  double a = 0;  ///< constant: the value; uniform: low; normal: mean
  double b = 0;  ///< uniform: high; normal: standard deviation
};

inline Initializer zeros() { return {}; }
inline Initializer ones() { return {Initializer::Kind::constant, 1, 0}; }
inline Initializer constant(double value) { return {Initializer::Kind::constant, value, 0}; }
/// U(low, high).
inline Initializer uniform(double low, double high) {
  return {Initializer::Kind::uniform, low, high};
}
/// N(mean, deviation^2).
inline Initializer normal(double mean = 0, double deviation = 1) {
  return {Initializer::Kind::normal, mean, deviation};
}
/// N(0, 2 / fan_in); fan_in is the product of all extents but the first. He et al. 2015,
/// arXiv:1502.01852.
inline Initializer he_normal() { return {Initializer::Kind::he_normal, 0, 0}; }
/// U(-a, a), a = sqrt(6 / (fan_in + fan_out)). Glorot and Bengio 2010.
inline Initializer xavier_uniform() { return {Initializer::Kind::xavier_uniform, 0, 0}; }

}  // namespace fornax
