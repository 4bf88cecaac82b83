// The kernels of vendor libraries as tests can run them without a GPU: on twins of the libraries.
#pragma once
#include "kernels/op.h"
#include "tests/kernels/cublaslt_twin.h"

namespace fornax {

/// linear_cublaslt.cpp on the twin of cublasLt; empty where the headers of cublasLt or the simt
/// machine were absent when the tests were built. FORNAX_CUBLASLT, if set, names another library.
std::span<const kernels::Kernel> library_kernels();

/// The twin that they use. Only where library_kernels() is not empty.
CublasLtTwin& library_twin();

}  // namespace fornax
