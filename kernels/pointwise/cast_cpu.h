// The CPU kernels of fill and cast.
#pragma once
#include "kernels/op.h"

namespace fornax::kernels {

extern const Kernel kFillCpu, kCastCpu;

}  // namespace fornax::kernels
