// planted as runtime/execution/program.cpp.
// Vendor headers stay in runtime/cuda.
#include <cublasLt.h>  // FAULT
#include <cstdio>
