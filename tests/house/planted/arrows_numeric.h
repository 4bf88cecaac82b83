// planted as kernels/numeric/planted.h.
// Numeric code stands alone.
#include "kernels/numeric/scalar.h"
#include "kernels/host/vector.h"  // FAULT
