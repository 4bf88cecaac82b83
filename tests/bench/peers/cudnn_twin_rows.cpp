// The functions of the twin of cuDNN that sum over rows or columns: softmax and batch norm.
#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/bench/peers/cudnn_twin.h"

using fornax::twin::Blend;
using fornax::twin::floats;
using fornax::twin::for_each;

namespace {

bool is_row_of(const cudnnTensorStruct& row, const cudnnTensorStruct& x) {
  return row == cudnnTensorStruct{1, x.c, x.h, x.w};
}

}  // namespace

extern "C" {

cudnnStatus_t cudnnSoftmaxForward(cudnnHandle_t handle, cudnnSoftmaxAlgorithm_t algorithm,
                                  cudnnSoftmaxMode_t mode, const void* alpha,
                                  const cudnnTensorDescriptor_t x_is, const void* x,
                                  const void* beta, const cudnnTensorDescriptor_t y_is, void* y) {
  if (!handle || !(*x_is == *y_is) || mode != CUDNN_SOFTMAX_MODE_INSTANCE)
    return CUDNN_STATUS_BAD_PARAM;
  const Blend write{alpha, beta, y};
  const std::size_t width = x_is->row();
  for (std::size_t begin = 0; begin < x_is->elements(); begin += width) {
    const float* const row = floats(x) + begin;
    const double largest = *std::max_element(row, row + width);
    double sum = 0;
    for (std::size_t i = 0; i < width; ++i) sum += std::exp(row[i] - largest);
    for (std::size_t i = 0; i < width; ++i) {
      const double logarithm = row[i] - largest - std::log(sum);
      write(begin + i, algorithm == CUDNN_SOFTMAX_LOG ? logarithm : std::exp(logarithm));
    }
  }
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSoftmaxBackward(cudnnHandle_t handle, cudnnSoftmaxAlgorithm_t algorithm,
                                   cudnnSoftmaxMode_t mode, const void* alpha,
                                   const cudnnTensorDescriptor_t y_is, const void* y,
                                   const cudnnTensorDescriptor_t dy_is, const void* dy,
                                   const void* beta, const cudnnTensorDescriptor_t dx_is,
                                   void* dx) {
  if (!handle || !(*y_is == *dy_is && *y_is == *dx_is) || mode != CUDNN_SOFTMAX_MODE_INSTANCE)
    return CUDNN_STATUS_BAD_PARAM;
  const Blend write{alpha, beta, dx};
  const std::size_t width = y_is->row();
  const bool logarithm = algorithm == CUDNN_SOFTMAX_LOG;
  for (std::size_t begin = 0; begin < y_is->elements(); begin += width) {
    const float *const out = floats(y) + begin, *const gradient = floats(dy) + begin;
    double sum = 0;
    for (std::size_t i = 0; i < width; ++i) sum += gradient[i] * (logarithm ? 1.0 : out[i]);
    for (std::size_t i = 0; i < width; ++i)
      write(begin + i,
            logarithm ? gradient[i] - std::exp(out[i]) * sum : out[i] * (gradient[i] - sum));
  }
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBatchNormalizationForwardInference(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void* alpha, const void* beta,
    const cudnnTensorDescriptor_t x_is, const void* x, const cudnnTensorDescriptor_t y_is, void* y,
    const cudnnTensorDescriptor_t row_is, const void* scale, const void* shift, const void* mean,
    const void* variance, double epsilon) {
  if (!handle || mode != CUDNN_BATCHNORM_PER_ACTIVATION || !(*x_is == *y_is) ||
      !is_row_of(*row_is, *x_is))
    return CUDNN_STATUS_BAD_PARAM;
  const Blend write{alpha, beta, y};
  for_each(*x_is, *row_is, [&](std::size_t i, std::size_t c) {
    const double inverse = 1 / std::sqrt(floats(variance)[c] + epsilon);
    write(i, (floats(x)[i] - floats(mean)[c]) * inverse * floats(scale)[c] + floats(shift)[c]);
  });
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBatchNormalizationForwardTraining(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void* alpha, const void* beta,
    const cudnnTensorDescriptor_t x_is, const void* x, const cudnnTensorDescriptor_t y_is, void* y,
    const cudnnTensorDescriptor_t row_is, const void* scale, const void* shift, double factor,
    void* running_mean, void* running_variance, double epsilon, void* saved_mean,
    void* saved_inverse) {
  if (!handle || mode != CUDNN_BATCHNORM_PER_ACTIVATION || !is_row_of(*row_is, *x_is))
    return CUDNN_STATUS_BAD_PARAM;
  std::vector<double> mean(x_is->row()), variance(x_is->row());
  std::vector<float> mean_of_batch(x_is->row()), variance_of_batch(x_is->row());
  for_each(*x_is, *row_is, [&](std::size_t i, std::size_t c) { mean[c] += floats(x)[i]; });
  for (double& m : mean) m /= x_is->n;
  for_each(*x_is, *row_is, [&](std::size_t i, std::size_t c) {
    variance[c] += (floats(x)[i] - mean[c]) * (floats(x)[i] - mean[c]);
  });
  for (std::size_t c = 0; c < mean.size(); ++c) {
    const auto move = [&](void* running, double to) {
      float& value = static_cast<float*>(running)[c];
      value = static_cast<float>(value * (1 - factor) + to * factor);
    };
    move(running_mean, mean[c]), move(running_variance, variance[c] / (x_is->n - 1));
    mean_of_batch[c] = static_cast<float>(mean[c]);
    variance_of_batch[c] = static_cast<float>(variance[c] / x_is->n);
    static_cast<float*>(saved_mean)[c] = mean_of_batch[c];
    static_cast<float*>(saved_inverse)[c] =
        static_cast<float>(1 / std::sqrt(variance_of_batch[c] + epsilon));
  }
  return cudnnBatchNormalizationForwardInference(handle, mode, alpha, beta, x_is, x, y_is, y,
                                                 row_is, scale, shift, mean_of_batch.data(),
                                                 variance_of_batch.data(), epsilon);
}

cudnnStatus_t cudnnBatchNormalizationBackward(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void* alpha, const void* beta,
    const void* row_alpha, const void* row_beta, const cudnnTensorDescriptor_t x_is, const void* x,
    const cudnnTensorDescriptor_t dy_is, const void* dy, const cudnnTensorDescriptor_t dx_is,
    void* dx, const cudnnTensorDescriptor_t row_is, const void* scale, void* d_scale, void* d_shift,
    double, const void* mean, const void* inverse) {
  if (!handle || mode != CUDNN_BATCHNORM_PER_ACTIVATION || !(*x_is == *dy_is && *x_is == *dx_is) ||
      !is_row_of(*row_is, *x_is))
    return CUDNN_STATUS_BAD_PARAM;
  std::vector<double> sum(x_is->row()), product(x_is->row());
  const auto normal = [&](std::size_t i, std::size_t c) {
    return (floats(x)[i] - floats(mean)[c]) * floats(inverse)[c];
  };
  for_each(*x_is, *row_is, [&](std::size_t i, std::size_t c) {
    sum[c] += floats(dy)[i], product[c] += floats(dy)[i] * normal(i, c);
  });
  const Blend write{alpha, beta, dx};
  for_each(*x_is, *row_is, [&](std::size_t i, std::size_t c) {
    const double centered = floats(dy)[i] - (sum[c] + normal(i, c) * product[c]) / x_is->n;
    write(i, floats(scale)[c] * floats(inverse)[c] * centered);
  });
  const Blend write_scale{row_alpha, row_beta, d_scale}, write_shift{row_alpha, row_beta, d_shift};
  for (std::size_t c = 0; c < sum.size(); ++c) write_scale(c, product[c]), write_shift(c, sum[c]);
  return CUDNN_STATUS_SUCCESS;
}

}  // extern "C"
