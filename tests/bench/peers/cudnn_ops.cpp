// cuDNN's side of op_bench: the same words, the same lines in and out, for the benchmarks that its
// functions do whole. Those of its graphs (gelu, exp, ...) are not among them.
#include <cudnn.h>

#include <array>
#include <functional>
#include <memory>
#include <stdexcept>
#include <type_traits>

#include "tests/bench/peers/device_tensors.h"

namespace {

using namespace fornax;
using bench::DeviceBuffer;

void check(const char* what, cudnnStatus_t status) {
  if (status != CUDNN_STATUS_SUCCESS)
    throw std::runtime_error(std::string("cuDNN: ") + what + ": " + cudnnGetErrorString(status));
}

template <class T>
using Owned = std::shared_ptr<std::remove_pointer_t<T>>;

template <class T>
Owned<T*> make(cudnnStatus_t (*create)(T**), cudnnStatus_t (*destroy)(T*)) {
  T* made = nullptr;
  check("making a handle", create(&made));
  return {made, destroy};
}

/// N, C, H, W of a row-major tensor.
using Extents = std::array<int, 4>;

Owned<cudnnTensorDescriptor_t> describe(const Extents& e) {
  auto made = make(cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor);
  check("describing a tensor",
        cudnnSetTensor4dDescriptor(made.get(), CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, e[0], e[1],
                                   e[2], e[3]));
  return made;
}

Extents extents_of(const Shape& shape) {
  Extents e{1, 1, 1, 1};
  for (int axis = 0; axis < shape.rank(); ++axis)
    e.at(static_cast<std::size_t>(axis)) = static_cast<int>(shape[axis]);
  return e;
}

constexpr float kZero = 0, kOne = 1, kTwo = 2, kMinusOne = -1;

/// The calls of one benchmark, in order, and what they give.
class Op {
 public:
  explicit Op(const bench::Settings& settings)
      : tensors_(settings),
        name_(settings.text("name", "")),
        backward_(settings.text("part", "forward") == "backward"),
        shape_(tensors_.shape("input0")),
        x_(tensors_.at("input0")),
        whole_(describe(extents_of(shape_))) {
    if (!activation() && !softmax() && !batch_norm() && !arithmetic() && !sum() && !dropout())
      throw std::runtime_error("cuDNN: no function does " + name_ +
                               (backward_ ? " backward" : " forward"));
    const std::size_t gradients = settings.list("wanted").size();
    if (backward_ && results_.size() != 1 + gradients)
      throw std::runtime_error(name_ + ": " + std::to_string(gradients) + " gradients are wanted");
  }

  void run() const {
    for (const auto& call : calls_) call();
  }
  std::vector<std::vector<double>> digests() const {
    std::vector<std::vector<double>> all;
    for (const std::string& name : results_) all.push_back(tensors_.digest(name));
    return all;
  }
  std::int64_t bytes() const { return tensors_.bytes() + scratch_.bytes() + states_.bytes(); }

 private:
  /// Adds a call; what its arguments point to stays as long as this.
  template <class... P>
  void call(const char* what, cudnnStatus_t (*function)(cudnnHandle_t, P...),
            std::type_identity_t<P>... arguments) {
    calls_.push_back([=, handle = handle_.get()] { check(what, function(handle, arguments...)); });
  }
  float* result(const std::string& name, const Shape& shape) {
    results_.push_back(name);
    return tensors_.add(name, shape);
  }
  template <class T>
  T* kept(const std::shared_ptr<T>& descriptor) {
    kept_.push_back(descriptor);
    return descriptor.get();
  }

  bool activation();
  bool softmax();
  bool batch_norm();
  bool arithmetic();
  bool sum();
  bool dropout();
  void combine(cudnnOpTensorOp_t op, const float* x_times, const float* other_times,
               const Owned<cudnnTensorDescriptor_t>& other, const float* data, float* to);
  void batch_norm_gradient(cudnnTensorDescriptor_t channels, const float* mean,
                           const float* deviation);

  bench::DeviceTensors tensors_;
  std::string name_;
  bool backward_;
  Shape shape_;
  float* x_;
  Owned<cudnnHandle_t> handle_ = make(cudnnCreate, cudnnDestroy);
  Owned<cudnnTensorDescriptor_t> whole_;
  std::vector<std::shared_ptr<void>> kept_;
  DeviceBuffer scratch_, states_;
  std::vector<std::function<void()>> calls_;
  std::vector<std::string> results_;
};

bool Op::activation() {
  const std::map<std::string, cudnnActivationMode_t> modes = {{"relu", CUDNN_ACTIVATION_RELU},
                                                              {"sigmoid", CUDNN_ACTIVATION_SIGMOID},
                                                              {"tanh", CUDNN_ACTIVATION_TANH},
                                                              {"silu", CUDNN_ACTIVATION_SWISH}};
  if (modes.count(name_) == 0) return false;
  auto* const f = kept(make(cudnnCreateActivationDescriptor, cudnnDestroyActivationDescriptor));
  check("describing a function",
        cudnnSetActivationDescriptor(f, modes.at(name_), CUDNN_PROPAGATE_NAN, 0));
  if (name_ == "silu") check("describing a function", cudnnSetActivationDescriptorSwishBeta(f, 1));
  auto* const whole = whole_.get();
  float* const y = result("y", shape_);
  call("activation", cudnnActivationForward, f, &kOne, whole, x_, &kZero, whole, y);
  if (backward_)
    call("its gradient", cudnnActivationBackward, f, &kOne, whole, y, whole, tensors_.at("seed0"),
         whole, x_, &kZero, whole, result("dx", shape_));
  return true;
}

bool Op::softmax() {
  if (name_ != "softmax" && name_ != "log_softmax") return false;
  const auto algorithm = name_ == "softmax" ? CUDNN_SOFTMAX_ACCURATE : CUDNN_SOFTMAX_LOG;
  const auto mode = CUDNN_SOFTMAX_MODE_INSTANCE;
  auto* const whole = whole_.get();
  float* const y = result("y", shape_);
  call("softmax", cudnnSoftmaxForward, algorithm, mode, &kOne, whole, x_, &kZero, whole, y);
  if (backward_)
    call("its gradient", cudnnSoftmaxBackward, algorithm, mode, &kOne, whole, y, whole,
         tensors_.at("seed0"), &kZero, whole, result("dx", shape_));
  return true;
}

constexpr double kEpsilon = 1e-5, kMomentum = 0.25;  // of the OpCase

bool Op::batch_norm() {
  const bool train = name_ == "batch_norm";
  if (!train && (name_ != "batch_norm_evaluate" || backward_)) return false;
  const Shape channels{shape_[-1]};
  auto* const whole = whole_.get();
  auto* const row = kept(describe({1, static_cast<int>(shape_[-1]), 1, 1}));
  const auto mode = CUDNN_BATCHNORM_PER_ACTIVATION;  // rows of channels have no places
  float* const y = result("y", shape_);
  const float *scale = tensors_.at("input1"), *shift = tensors_.at("input2");
  float *running_mean = tensors_.at("input3"), *running_variance = tensors_.at("input4");
  if (!train) {
    call("batch norm", cudnnBatchNormalizationForwardInference, mode, &kOne, &kZero, whole, x_,
         whole, y, row, scale, shift, running_mean, running_variance, kEpsilon);
    return true;
  }
  float *mean = tensors_.add("mean", channels), *deviation = tensors_.add("deviation", channels);
  call("batch norm", cudnnBatchNormalizationForwardTraining, mode, &kOne, &kZero, whole, x_, whole,
       y, row, scale, shift, kMomentum, running_mean, running_variance, kEpsilon, mean, deviation);
  if (backward_) batch_norm_gradient(row, mean, deviation);
  return true;
}

void Op::batch_norm_gradient(cudnnTensorDescriptor_t row, const float* mean,
                             const float* deviation) {
  const Shape channels{shape_[-1]};
  auto* const whole = whole_.get();
  float *const dx = result("dx", shape_), *const d_scale = result("d_scale", channels);
  call("its gradient", cudnnBatchNormalizationBackward, CUDNN_BATCHNORM_PER_ACTIVATION, &kOne,
       &kZero, &kOne, &kZero, whole, x_, whole, tensors_.at("seed0"), whole, dx, row,
       tensors_.at("input1"), d_scale, result("d_shift", channels), kEpsilon, mean, deviation);
}

/// to = op(x_times x, other_times data).
void Op::combine(cudnnOpTensorOp_t op, const float* x_times, const float* other_times,
                 const Owned<cudnnTensorDescriptor_t>& other, const float* data, float* to) {
  auto* const combined = kept(make(cudnnCreateOpTensorDescriptor, cudnnDestroyOpTensorDescriptor));
  check("describing an operation",
        cudnnSetOpTensorDescriptor(combined, op, CUDNN_DATA_FLOAT, CUDNN_PROPAGATE_NAN));
  call("arithmetic", cudnnOpTensor, combined, x_times, whole_.get(), x_, other_times, kept(other),
       data, &kZero, whole_.get(), to);
}

bool Op::arithmetic() {
  struct Form {
    cudnnOpTensorOp_t op;
    const float* other_times;
  };
  const std::map<std::string, Form> forms = {
      {"add", {CUDNN_OP_TENSOR_ADD, &kOne}},           {"add_row", {CUDNN_OP_TENSOR_ADD, &kOne}},
      {"subtract", {CUDNN_OP_TENSOR_ADD, &kMinusOne}}, {"multiply", {CUDNN_OP_TENSOR_MUL, &kOne}},
      {"maximum", {CUDNN_OP_TENSOR_MAX, &kOne}},       {"minimum", {CUDNN_OP_TENSOR_MIN, &kOne}},
      {"sqrt", {CUDNN_OP_TENSOR_SQRT, &kOne}},         {"square", {CUDNN_OP_TENSOR_MUL, &kOne}}};
  if (backward_ || forms.count(name_) == 0) return false;
  const bool two = tensors_.contains("input1");  // else both are x
  const auto other =
      name_ == "add_row" ? describe({1, static_cast<int>(shape_[-1]), 1, 1}) : whole_;
  const Form& form = forms.at(name_);
  combine(form.op, &kOne, form.other_times, other, two ? tensors_.at("input1") : x_,
          result("y", shape_));
  return true;
}

/// The sum of squares is the square of the 2-norm, which one function reads x once for.
bool Op::sum() {
  Extents e{1, 1, 1, 1};
  if (name_ == "row_sum") e[0] = static_cast<int>(shape_[0]);
  if (name_ == "column_sum") e[1] = static_cast<int>(shape_[1]);
  if (name_ != "sum" && name_ != "row_sum" && name_ != "column_sum") return false;
  const Shape shape = name_ == "sum" ? Shape{} : Shape{e[0] * e[1]};
  const auto reduced = describe(e);
  auto* const norm =
      kept(make(cudnnCreateReduceTensorDescriptor, cudnnDestroyReduceTensorDescriptor));
  check("describing a sum",
        cudnnSetReduceTensorDescriptor(norm, CUDNN_REDUCE_TENSOR_NORM2, CUDNN_DATA_FLOAT,
                                       CUDNN_PROPAGATE_NAN, CUDNN_REDUCE_TENSOR_NO_INDICES,
                                       CUDNN_32BIT_INDICES));
  std::size_t workspace = 0;
  check("describing a sum", cudnnGetReductionWorkspaceSize(handle_.get(), norm, whole_.get(),
                                                           reduced.get(), &workspace));
  scratch_ = DeviceBuffer(workspace);
  float *const root = tensors_.add("norm", shape), *const y = result("y", shape);
  call("a sum", cudnnReduceTensor, norm, nullptr, 0, scratch_.data(), workspace, &kOne,
       whole_.get(), x_, &kZero, kept(reduced), root);
  auto* const product = kept(make(cudnnCreateOpTensorDescriptor, cudnnDestroyOpTensorDescriptor));
  check("describing an operation",
        cudnnSetOpTensorDescriptor(product, CUDNN_OP_TENSOR_MUL, CUDNN_DATA_FLOAT,
                                   CUDNN_PROPAGATE_NAN));
  call("a square", cudnnOpTensor, product, &kOne, reduced.get(), root, &kOne, reduced.get(), root,
       &kZero, reduced.get(), y);
  if (backward_)
    combine(CUDNN_OP_TENSOR_MUL, &kTwo, &kOne, reduced, tensors_.at("seed0"), result("dx", shape_));
  return true;
}

bool Op::dropout() {
  if (name_ != "dropout") return false;
  constexpr float kDropped = 0.3f;  // of the OpCase
  auto* const drop = kept(make(cudnnCreateDropoutDescriptor, cudnnDestroyDropoutDescriptor));
  std::size_t states = 0, mask = 0;
  auto* const whole = whole_.get();
  check("describing dropout", cudnnDropoutGetStatesSize(handle_.get(), &states));
  check("describing dropout", cudnnDropoutGetReserveSpaceSize(whole, &mask));
  states_ = DeviceBuffer(states), scratch_ = DeviceBuffer(mask);
  check("describing dropout",
        cudnnSetDropoutDescriptor(drop, handle_.get(), kDropped, states_.data(), states, 1));
  call("dropout", cudnnDropoutForward, drop, whole, x_, whole, result("y", shape_), scratch_.data(),
       mask);
  if (backward_)
    call("its gradient", cudnnDropoutBackward, drop, whole, tensors_.at("seed0"), whole,
         result("dx", shape_), scratch_.data(), mask);
  return true;
}

bench::Case load(const std::string& kind, const bench::Settings& settings) {
  if (kind != "op") throw std::runtime_error(kind + ": cuDNN is a peer of ops only");
  return bench::queued_case(std::make_shared<Op>(settings), std::to_string(cudnnGetVersion()));
}

}  // namespace

int main(int count, char** words) { return bench::serve(count, words, load); }
