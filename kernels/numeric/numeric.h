// All of kernels/numeric: scalar functions and their derivatives, ordered sums, Philox,
// conversions. In namespace fornax::numeric for float and double; kernels/host/vector.h adds the
// forms for vectors.
#pragma once
#include "kernels/numeric/activations.h"
#include "kernels/numeric/convert.h"
#include "kernels/numeric/elementary.h"
#include "kernels/numeric/judge.h"
#include "kernels/numeric/ordered_sum.h"
#include "kernels/numeric/philox.h"
#include "kernels/numeric/scalar.h"
#include "kernels/numeric/trigonometry.h"
