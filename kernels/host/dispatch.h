// FORNAX_DISPATCH(function)(arguments...): calls the form of `function` compiled for active_isa().
//
// Recipe of a kernel file, kernels/softmax/softmax_cpu.cpp say:
//
//   // clang-format off
//   #undef HWY_TARGET_INCLUDE
//   #define HWY_TARGET_INCLUDE "kernels/softmax/softmax_cpu.cpp"  // this file, from the root
//   #include "hwy/foreach_target.h"                               // includes it once per target
//   #include "kernels/host/dispatch.h"
//   #include "kernels/host/vector.h"
//   // clang-format on
//   ... other headers, all of them, before any HWY_BEFORE_NAMESPACE
//
//   HWY_BEFORE_NAMESPACE();
//   namespace fornax::softmax::HWY_NAMESPACE {                   // N_AVX2, then N_AVX3, ...
//   namespace num = numeric::HWY_NAMESPACE;                      // Vector, exp, ordered_sum, ...
//   void exp_of(const float* in, float* out, std::int64_t count) {
//     num::map(in, out, count, [](auto x) FORNAX_LAMBDA { return num::exp(x); });
//   }
//   }  // namespace fornax::softmax::HWY_NAMESPACE
//   HWY_AFTER_NAMESPACE();
//
//   #if HWY_ONCE                                                 // what exists once
//   namespace fornax::softmax {
//   void launch(...) { FORNAX_DISPATCH(exp_of)(in, out, count); }
//   }
//   #endif
//
// Rules: a dispatched function is a plain function, no template or overload. Lambdas in the target
// region carry FORNAX_LAMBDA after their parameters. Types that cross FORNAX_DISPATCH are declared
// outside the target namespaces, under their own #ifndef guard or in a header. Nothing static, no
// Vector in a global, no std:: algorithm over Vectors (it would be compiled for the baseline). Of
// libhwy only headers are used.
#pragma once
#include "hwy/highway.h"
#include "kernels/host/isa.h"

#if HWY_ARCH_X86 && !(HWY_TARGETS & HWY_AVX2)
#error "the AVX2 form is missing: compile with FORNAX_NUMERIC_FLAGS (cmake/compiler.cmake)"
#endif

#if HWY_ARCH_X86 && (HWY_TARGETS & HWY_AVX3)
#define FORNAX_DISPATCH(function)                                                    \
  (*(::fornax::host::active_isa() == ::fornax::host::Isa::avx512 ? &N_AVX3::function \
                                                                 : &N_AVX2::function))
#else
#define FORNAX_DISPATCH(function) (*(&HWY_STATIC_DISPATCH(function)))
#endif

// Compiled for the target of its file, and always inlined: a call would hand vectors over in
// memory.
#define FORNAX_LAMBDA HWY_ATTR __attribute__((always_inline))
