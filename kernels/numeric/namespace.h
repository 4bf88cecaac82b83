// How the templates of kernels/numeric are included: plainly (float; host, CUDA, simt), and once
// more per instruction set by kernels/host/vector.h, which defines FORNAX_NUMERIC_PER_TARGET around
// it. A vector type needs its callers compiled for its own instruction set, hence the second
// inclusion.
#undef FORNAX_NUMERIC_NAMESPACE
#if defined(FORNAX_NUMERIC_PER_TARGET)
#define FORNAX_NUMERIC_NAMESPACE fornax::numeric::HWY_NAMESPACE
#else
#define FORNAX_NUMERIC_NAMESPACE fornax::numeric::inline plain
#endif

#ifndef FORNAX_NUMERIC_FN
#if defined(__FAST_MATH__)
#error "kernels/numeric needs IEEE arithmetic: no -ffast-math, no -Ofast"
#endif
#if defined(__CUDACC__)
#define FORNAX_NUMERIC_FN __host__ __device__ __forceinline__
#else
#define FORNAX_NUMERIC_FN inline __attribute__((always_inline))
#endif
#endif
