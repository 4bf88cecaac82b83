// The cudart filling: a card.
#pragma once
#include "runtime/cuda/driver_table.h"

namespace fornax::cuda {

DriverCalls make_cudart_driver();

}  // namespace fornax::cuda
