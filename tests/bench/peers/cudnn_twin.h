// What the functions of the twin of cuDNN share: its objects, and how results are written.
#pragma once
#include <cudnn.h>

#include <functional>

struct cudnnContext {};
struct cudnnTensorStruct {
  int n = 0, c = 0, h = 0, w = 0;
  bool operator==(const cudnnTensorStruct&) const = default;
  std::size_t row() const { return static_cast<std::size_t>(c) * static_cast<std::size_t>(h * w); }
  std::size_t elements() const { return static_cast<std::size_t>(n) * row(); }
};
struct cudnnActivationStruct {
  cudnnActivationMode_t mode;
  double beta;
};
struct cudnnOpTensorStruct {
  cudnnOpTensorOp_t op;
};
struct cudnnReduceTensorStruct {
  cudnnReduceTensorOp_t op;
};
struct cudnnDropoutStruct {
  double p;
};

namespace fornax::twin {

inline double number(const void* scalar) { return *static_cast<const float*>(scalar); }
inline const float* floats(const void* data) { return static_cast<const float*>(data); }

/// What every function does with its result: to = alpha result + beta to.
struct Blend {
  const void *alpha, *beta;
  void* to;
  void operator()(std::size_t i, double result) const {
    float& element = static_cast<float*>(to)[i];
    const double old = number(beta) == 0 ? 0 : number(beta) * element;  // NaN is not read
    element = static_cast<float>(number(alpha) * result + old);
  }
};

inline bool broadcasts(const cudnnTensorStruct& from, const cudnnTensorStruct& to) {
  const auto fits = [](int a, int b) { return a == b || a == 1; };
  return fits(from.n, to.n) && fits(from.c, to.c) && fits(from.h, to.h) && fits(from.w, to.w);
}

/// Calls `body` with the place of every element of `whole` and where it is in `part`, whose axes of
/// extent 1 repeat.
inline void for_each(const cudnnTensorStruct& whole, const cudnnTensorStruct& part,
                     const std::function<void(std::size_t, std::size_t)>& body) {
  std::size_t at = 0;
  const auto in = [](int index, int extent) { return extent == 1 ? 0 : index; };
  for (int n = 0; n < whole.n; ++n)
    for (int c = 0; c < whole.c; ++c)
      for (int hw = 0; hw < whole.h * whole.w; ++hw) {
        const int h = hw / whole.w, w = hw % whole.w;
        const int there =
            ((in(n, part.n) * part.c + in(c, part.c)) * part.h + in(h, part.h)) * part.w +
            in(w, part.w);
        body(at++, static_cast<std::size_t>(there));
      }
}

}  // namespace fornax::twin
