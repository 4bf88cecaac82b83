// A twin of cublasLt for machines without a GPU: a shared library with the functions that
// linear_cublaslt.cpp opens by name and the benchmarks' peer calls. It checks every description
// strictly and puts a product that it accepts on the launch's queue, where a machine that executes
// nothing or the simt machine takes it as a kernel of one thread. Tests steer it through this
// struct.
#pragma once
#include "kernels/device/launch_table.h"

namespace fornax {

struct CublasLtTwin {
  /// What arrives spoiled, or what the heuristic answers.
  enum class Fault {
    none,
    transposed_a,
    short_leading_dimension,
    no_bias_pointer,
    no_saved_pointer,
    no_algorithm,
    no_algorithm_anywhere,  ///< only for operands at multiples of 16 bytes
  };
  Fault fault = Fault::none;
  const char* failing_call = "";         ///< this function returns CUBLAS_STATUS_INTERNAL_ERROR
  const device::Queue* queue = nullptr;  ///< of the launch under way
  int objects = 0;                       ///< made and not destroyed
  int products = 0;                      ///< accepted
  const char* problem = "";              ///< why the last call returned CUBLAS_STATUS_INVALID_VALUE
};

}  // namespace fornax

/// The library's only function that cublasLt does not have.
extern "C" fornax::CublasLtTwin* cublaslt_twin();
