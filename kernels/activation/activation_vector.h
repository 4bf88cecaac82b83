// activate() and activation_gradient() for vectors, over whole arrays. For kernel files: see
// kernels/host/dispatch.h; include it after vector.h.
#if defined(FORNAX_ACTIVATION_TOGGLE) == defined(HWY_TARGET_TOGGLE)
#ifdef FORNAX_ACTIVATION_TOGGLE
#undef FORNAX_ACTIVATION_TOGGLE
#else
#define FORNAX_ACTIVATION_TOGGLE
#endif
#include "kernels/activation/activation_functions.h"
#include "kernels/host/vector.h"

HWY_BEFORE_NAMESPACE();
#define FORNAX_NUMERIC_PER_TARGET
#include "kernels/activation/activation_functions.h"

namespace fornax::numeric::HWY_NAMESPACE {

/// A function for each kind: all in one are thousands of instructions, and a profile names none.
template <kernels::Activation kind, class Visit>
HWY_NOINLINE void visit_activation(const Visit& visit) {
  visit(std::integral_constant<kernels::Activation, kind>());
}

/// Calls visit(kind as a constant), so that the loop within has no switch.
template <class Visit>
FORNAX_NUMERIC_FN void with_activation(kernels::Activation kind, const Visit& visit) {
  using A = kernels::Activation;
  switch (kind) {
    case A::none: return visit_activation<A::none>(visit);
    case A::relu: return visit_activation<A::relu>(visit);
    case A::gelu: return visit_activation<A::gelu>(visit);
    case A::gelu_tanh: return visit_activation<A::gelu_tanh>(visit);
    case A::silu: return visit_activation<A::silu>(visit);
    case A::sigmoid: return visit_activation<A::sigmoid>(visit);
    case A::tanh: return visit_activation<A::tanh>(visit);
  }
}

/// out[i] = f(in[i]); in and out may be one array.
FORNAX_NUMERIC_FN void activate_array(kernels::Activation kind, const float* in, float* out,
                                      std::int64_t count, bool streamed) {
  with_activation(kind, [&](auto constant) FORNAX_LAMBDA {
    const auto function = [](auto x)
                              FORNAX_LAMBDA { return activate(decltype(constant)::value, x); };
    map(in, out, count, function, streamed);
  });
}

/// dx[i] from dy[i] and saved[i]; dx may be dy. Both: end_streams() after it.
FORNAX_NUMERIC_FN void activation_gradient_array(kernels::Activation kind, const float* dy,
                                                 const float* saved, float* dx, std::int64_t count,
                                                 bool streamed) {
  with_activation(kind, [&](auto constant) FORNAX_LAMBDA {
    constexpr kernels::Activation k = decltype(constant)::value;
    fill_array(
        dx, count, streamed,
        [=](auto i, auto zero) FORNAX_LAMBDA {
          return activation_gradient(k, load(dy + i, zero), load(saved + i, zero));
        },
        dy + kTwoFetchedAhead, saved + kTwoFetchedAhead);
  });
}

}  // namespace fornax::numeric::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#undef FORNAX_NUMERIC_PER_TARGET
#include "kernels/numeric/namespace.h"
#endif
