// planted as runtime/graph/planted.cpp.
// A layer looks down.
#include "kernels/op.h"
#include "runtime/device/backend.h"
#include "runtime/passes/fuse.h"  // FAULT
