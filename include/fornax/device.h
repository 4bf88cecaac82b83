// Devices: where a program runs.
#pragma once
#include <fornax/dtype.h>
#include <fornax/export.h>

#include <string>
#include <string_view>

namespace fornax {

/// Where a State lives and its Programs run.
struct FORNAX_API Device {
  enum class Kind { automatic, cpu, reference, cuda, simt };
  Kind kind = Kind::automatic;
  int index = 0;                       ///< cuda: which one
  int threads = 0;                     ///< cpu: at most so many; 0: FORNAX_NUM_THREADS or all
  DType reference_dtype = DType::f32;  ///< reference: f32 (the definition of the bits) or f64

  /// FORNAX_DEVICE if set, else the first CUDA device, else the CPU.
  static Device automatic() { return {}; }
  static Device cpu(int threads = 0) { return {Kind::cpu, 0, threads, DType::f32}; }
  static Device reference(DType dtype = DType::f32) { return {Kind::reference, 0, 0, dtype}; }
  static Device cuda(int index = 0) { return {Kind::cuda, index, 0, DType::f32}; }
  static Device simt() { return {Kind::simt, 0, 0, DType::f32}; }
  /// "automatic", "cpu", "cpu:2" (threads), "reference", "reference:f64", "cuda:1", "simt".
  /// Throws Error{invalid_argument} for anything else.
  static Device parse(std::string_view text);
};

FORNAX_API std::string to_string(const Device& device);

}  // namespace fornax
