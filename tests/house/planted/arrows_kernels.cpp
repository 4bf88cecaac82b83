// planted as kernels/linear/linear_cpu.cpp.
// Kernels know support, the toolboxes and each other's headers.
#include <fornax/graph.h>
#include "kernels/activation/activation_kind.h"
#include "kernels/host/gemm.h"
#include "runtime/support/checked.h"
#include "runtime/graph/graph_data.h"  // FAULT
#include "kernels/activation/activation.cpp"  // FAULT
