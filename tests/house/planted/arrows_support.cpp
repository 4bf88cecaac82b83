// planted as runtime/support/planted.cpp.
// Support stands below kernels.
#include <fornax/error.h>
#include "runtime/support/checked.h"
#include "kernels/op.h"  // FAULT
#include "runtime/graph/graph_data.h"  // FAULT
