// A twin of the functions of cuDNN that cudnn_ops.cpp calls, for machines without a GPU: formulas
// in f64 on the host. It refuses descriptors that do not fit, with CUDNN_STATUS_BAD_PARAM.
#include "tests/bench/peers/cudnn_twin.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

using namespace fornax::twin;

namespace {

constexpr std::size_t kScratchBytes = 64;  // what a sum and the states of dropout ask for

cudnnStatus_t done(bool fits) { return fits ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM; }

template <class T>
cudnnStatus_t create(T** made) {
  *made = new T{};
  return CUDNN_STATUS_SUCCESS;
}
template <class T>
cudnnStatus_t destroy(T* old) {
  delete old;
  return CUDNN_STATUS_SUCCESS;
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

double activate(const cudnnActivationStruct& f, double x) {
  switch (f.mode) {
    case CUDNN_ACTIVATION_RELU: return std::max(x, 0.0);
    case CUDNN_ACTIVATION_SIGMOID: return sigmoid(x);
    case CUDNN_ACTIVATION_TANH: return std::tanh(x);
    case CUDNN_ACTIVATION_SWISH: return x * sigmoid(f.beta * x);
    default: return NAN;
  }
}

/// f'(x), where y = f(x).
double slope(const cudnnActivationStruct& f, double x, double y) {
  const double s = sigmoid(f.beta * x);
  switch (f.mode) {
    case CUDNN_ACTIVATION_RELU: return y > 0 ? 1 : 0;
    case CUDNN_ACTIVATION_SIGMOID: return y * (1 - y);
    case CUDNN_ACTIVATION_TANH: return 1 - y * y;
    case CUDNN_ACTIVATION_SWISH: return s + f.beta * x * s * (1 - s);
    default: return NAN;
  }
}

double combined(cudnnOpTensorOp_t op, double a, double b) {
  switch (op) {
    case CUDNN_OP_TENSOR_ADD: return a + b;
    case CUDNN_OP_TENSOR_MUL: return a * b;
    case CUDNN_OP_TENSOR_MIN: return std::min(a, b);
    case CUDNN_OP_TENSOR_MAX: return std::max(a, b);
    case CUDNN_OP_TENSOR_SQRT: return std::sqrt(a);
    default: return NAN;
  }
}

}  // namespace

extern "C" {

std::size_t cudnnGetVersion() { return CUDNN_VERSION; }
const char* cudnnGetErrorString(cudnnStatus_t) { return "refused by the twin"; }
cudnnStatus_t cudnnCreate(cudnnHandle_t* made) { return create(made); }
cudnnStatus_t cudnnDestroy(cudnnHandle_t old) { return destroy(old); }

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* made) { return create(made); }
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t old) { return destroy(old); }
cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t tensor, cudnnTensorFormat_t format,
                                         cudnnDataType_t type, int n, int c, int h, int w) {
  *tensor = {n, c, h, w};
  return done(format == CUDNN_TENSOR_NCHW && type == CUDNN_DATA_FLOAT &&
              std::min({n, c, h, w}) >= 1);
}

cudnnStatus_t cudnnCreateActivationDescriptor(cudnnActivationDescriptor_t* made) {
  return create(made);
}
cudnnStatus_t cudnnDestroyActivationDescriptor(cudnnActivationDescriptor_t old) {
  return destroy(old);
}
cudnnStatus_t cudnnSetActivationDescriptor(cudnnActivationDescriptor_t f,
                                           cudnnActivationMode_t mode, cudnnNanPropagation_t,
                                           double) {
  *f = {mode, 0};
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetActivationDescriptorSwishBeta(cudnnActivationDescriptor_t f, double beta) {
  f->beta = beta;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnActivationForward(cudnnHandle_t handle, cudnnActivationDescriptor_t f,
                                     const void* alpha, const cudnnTensorDescriptor_t x_is,
                                     const void* x, const void* beta,
                                     const cudnnTensorDescriptor_t y_is, void* y) {
  if (!handle || !(*x_is == *y_is)) return CUDNN_STATUS_BAD_PARAM;
  const Blend write{alpha, beta, y};
  for (std::size_t i = 0; i < x_is->elements(); ++i) write(i, activate(*f, floats(x)[i]));
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnActivationBackward(cudnnHandle_t handle, cudnnActivationDescriptor_t f,
                                      const void* alpha, const cudnnTensorDescriptor_t y_is,
                                      const void* y, const cudnnTensorDescriptor_t dy_is,
                                      const void* dy, const cudnnTensorDescriptor_t x_is,
                                      const void* x, const void* beta,
                                      const cudnnTensorDescriptor_t dx_is, void* dx) {
  if (!handle || !(*x_is == *y_is && *x_is == *dy_is && *x_is == *dx_is))
    return CUDNN_STATUS_BAD_PARAM;
  const Blend write{alpha, beta, dx};
  for (std::size_t i = 0; i < x_is->elements(); ++i)
    write(i, floats(dy)[i] * slope(*f, floats(x)[i], floats(y)[i]));
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateOpTensorDescriptor(cudnnOpTensorDescriptor_t* made) {
  return create(made);
}
cudnnStatus_t cudnnDestroyOpTensorDescriptor(cudnnOpTensorDescriptor_t old) { return destroy(old); }
cudnnStatus_t cudnnSetOpTensorDescriptor(cudnnOpTensorDescriptor_t description,
                                         cudnnOpTensorOp_t op, cudnnDataType_t type,
                                         cudnnNanPropagation_t) {
  description->op = op;
  return done(type == CUDNN_DATA_FLOAT);
}

cudnnStatus_t cudnnOpTensor(cudnnHandle_t handle, const cudnnOpTensorDescriptor_t description,
                            const void* a_times, const cudnnTensorDescriptor_t a_is, const void* a,
                            const void* b_times, const cudnnTensorDescriptor_t b_is, const void* b,
                            const void* beta, const cudnnTensorDescriptor_t c_is, void* c) {
  if (!handle || !(*a_is == *c_is) || !broadcasts(*b_is, *c_is)) return CUDNN_STATUS_BAD_PARAM;
  const float one = 1;
  const Blend write{&one, beta, c};
  for_each(*c_is, *b_is, [&](std::size_t i, std::size_t j) {
    write(i, combined(description->op, number(a_times) * floats(a)[i],
                      number(b_times) * floats(b)[j]));
  });
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateReduceTensorDescriptor(cudnnReduceTensorDescriptor_t* made) {
  return create(made);
}
cudnnStatus_t cudnnDestroyReduceTensorDescriptor(cudnnReduceTensorDescriptor_t old) {
  return destroy(old);
}
cudnnStatus_t cudnnSetReduceTensorDescriptor(cudnnReduceTensorDescriptor_t description,
                                             cudnnReduceTensorOp_t op, cudnnDataType_t type,
                                             cudnnNanPropagation_t,
                                             cudnnReduceTensorIndices_t indices,
                                             cudnnIndicesType_t) {
  description->op = op;
  return done(op == CUDNN_REDUCE_TENSOR_NORM2 && type == CUDNN_DATA_FLOAT &&
              indices == CUDNN_REDUCE_TENSOR_NO_INDICES);
}
cudnnStatus_t cudnnGetReductionWorkspaceSize(cudnnHandle_t handle,
                                             const cudnnReduceTensorDescriptor_t,
                                             const cudnnTensorDescriptor_t a_is,
                                             const cudnnTensorDescriptor_t c_is,
                                             std::size_t* bytes) {
  *bytes = kScratchBytes;
  return done(handle && broadcasts(*c_is, *a_is));
}

cudnnStatus_t cudnnReduceTensor(cudnnHandle_t handle, const cudnnReduceTensorDescriptor_t, void*,
                                std::size_t, void* workspace, std::size_t workspace_bytes,
                                const void* alpha, const cudnnTensorDescriptor_t a_is,
                                const void* a, const void* beta, const cudnnTensorDescriptor_t c_is,
                                void* c) {
  if (!handle || !broadcasts(*c_is, *a_is) || !workspace || workspace_bytes < kScratchBytes)
    return CUDNN_STATUS_BAD_PARAM;
  std::vector<double> sums(c_is->elements());
  for_each(*a_is, *c_is, [&](std::size_t i, std::size_t j) {
    sums[j] += static_cast<double>(floats(a)[i]) * floats(a)[i];
  });
  const Blend write{alpha, beta, c};
  for (std::size_t j = 0; j < sums.size(); ++j) write(j, std::sqrt(sums[j]));
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateDropoutDescriptor(cudnnDropoutDescriptor_t* made) { return create(made); }
cudnnStatus_t cudnnDestroyDropoutDescriptor(cudnnDropoutDescriptor_t old) { return destroy(old); }
cudnnStatus_t cudnnDropoutGetStatesSize(cudnnHandle_t handle, std::size_t* bytes) {
  *bytes = kScratchBytes;
  return done(handle);
}
cudnnStatus_t cudnnDropoutGetReserveSpaceSize(cudnnTensorDescriptor_t x_is, std::size_t* bytes) {
  *bytes = x_is->elements();
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetDropoutDescriptor(cudnnDropoutDescriptor_t description, cudnnHandle_t handle,
                                        float p, void* states, std::size_t bytes,
                                        unsigned long long) {
  description->p = p;
  return done(handle && states && bytes >= kScratchBytes);
}

/// The reserve space has a byte for each element: whether it is kept.
cudnnStatus_t cudnnDropoutBackward(cudnnHandle_t handle, const cudnnDropoutDescriptor_t description,
                                   const cudnnTensorDescriptor_t dy_is, const void* dy,
                                   const cudnnTensorDescriptor_t dx_is, void* dx, void* reserve,
                                   std::size_t bytes) {
  if (!handle || !(*dy_is == *dx_is) || !reserve || bytes < dy_is->elements())
    return CUDNN_STATUS_BAD_PARAM;
  for (std::size_t i = 0; i < dy_is->elements(); ++i)
    static_cast<float*>(dx)[i] = static_cast<float>(
        static_cast<const bool*>(reserve)[i] ? floats(dy)[i] / (1 - description->p) : 0);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDropoutForward(cudnnHandle_t handle, const cudnnDropoutDescriptor_t description,
                                  const cudnnTensorDescriptor_t x_is, const void* x,
                                  const cudnnTensorDescriptor_t y_is, void* y, void* reserve,
                                  std::size_t bytes) {
  if (!reserve || bytes < x_is->elements()) return CUDNN_STATUS_BAD_PARAM;
  static std::mt19937 engine(1);
  std::bernoulli_distribution is_kept(1 - description->p);
  for (std::size_t i = 0; i < x_is->elements(); ++i)
    static_cast<bool*>(reserve)[i] = is_kept(engine);
  return cudnnDropoutBackward(handle, description, x_is, x, y_is, y, reserve, bytes);
}

}  // extern "C"
