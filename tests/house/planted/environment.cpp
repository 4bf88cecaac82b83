// planted as kernels/host/parallel.cpp.
// A getenv in a comment or in "getenv" is no fault.
#include "runtime/support/environment.h"
const auto threads = fornax::environment("FORNAX_NUM_THREADS");
const char* text = std::getenv("FORNAX_NUM_THREADS");  // FAULT
const char* same = secure_getenv("FORNAX_NUM_THREADS");  // FAULT
