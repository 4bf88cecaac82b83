// The one switch over elementwise arithmetic, for float, double, vectors and CUDA. Included again
// per instruction set by pointwise_cpu.cpp.
#if !defined(FORNAX_POINTWISE_FUNCTIONS_H) || defined(FORNAX_NUMERIC_PER_TARGET)
#define FORNAX_POINTWISE_FUNCTIONS_H
#if !defined(FORNAX_NUMERIC_PER_TARGET)
#include <fornax/error.h>

#include <string>
#include <string_view>

#include "kernels/numeric/elementary.h"
#include "kernels/numeric/judge.h"

namespace fornax::kernels {

/// gate_*: the first operand where second compares to third, else +0.
enum class Pointwise {
  add,
  subtract,
  multiply,
  divide,
  maximum,
  minimum,  // two operands
  negate,
  exp,
  log,
  sqrt,
  square,  // one
  gate_greater_equal,
  gate_less,
  gate_less_equal,
  gate_greater  // three
};

inline constexpr int kPointwiseCount = 15;
inline constexpr std::string_view kPointwiseNames[kPointwiseCount] = {
    "add",         "subtract",
    "multiply",    "divide",
    "maximum",     "minimum",
    "negate",      "exp",
    "log",         "sqrt",
    "square",      "gate_greater_equal",
    "gate_less",   "gate_less_equal",
    "gate_greater"};

constexpr int operand_count(Pointwise function) {
  return function < Pointwise::negate ? 2 : function < Pointwise::gate_greater_equal ? 1 : 3;
}

}  // namespace fornax::kernels
#endif
#include "kernels/numeric/namespace.h"

namespace FORNAX_NUMERIC_NAMESPACE {

/// a, b, c beyond the function's operands are ignored.
template <class T>
FORNAX_NUMERIC_FN T pointwise(kernels::Pointwise function, T a, T b, T c) {
  using P = kernels::Pointwise;
  switch (function) {
    case P::add: return a + b;
    case P::subtract: return a - b;
    case P::multiply: return a * b;
    case P::divide: return a / b;
    case P::maximum: return max(a, b);
    case P::minimum: return min(a, b);
    case P::negate: return T(-0.0f) - a;
    case P::exp: return exp(a);
    case P::log: return log(a);
    case P::sqrt: return sqrt(a);
    case P::square: return a * a;
    case P::gate_greater_equal: return select(b >= c, a, T(0));
    case P::gate_less: return select(b < c, a, T(0));
    case P::gate_less_equal: return select(b <= c, a, T(0));
    case P::gate_greater: return select(b > c, a, T(0));
  }
  return a;
}

}  // namespace FORNAX_NUMERIC_NAMESPACE
#endif
