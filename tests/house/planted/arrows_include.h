// planted as include/fornax/planted.h.
// A public header looks at the public headers only.
#include <fornax/graph.h>
#include "kernels/op.h"  // FAULT
