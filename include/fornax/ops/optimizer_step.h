// Optimizers: updates of all parameters, and clipping by global norm.
#pragma once
#include <fornax/graph.h>

#include <optional>
#include <vector>

namespace fornax {

/// Parameters with settings of their own; what is absent is taken from the options.
struct ParameterGroup {
  std::vector<Value> parameters = {};
  std::optional<double> weight_decay = {};
  std::optional<double> learning_rate_scale = {};  ///< multiplies the learning rate; else 1
};

struct SgdOptions {
  double learning_rate = 1e-2;  ///< initial value of the step scalar "learning_rate"
  double momentum = 0.0;        ///< in [0, 1); 0 keeps no moments
  double weight_decay = 0.0;    ///< added to the gradient (L2)
  bool nesterov = false;        ///< needs momentum
  std::vector<ParameterGroup> groups = {};
};

/// Stochastic gradient descent with momentum (Sutskever et al. 2013), as in PyTorch:
///   d = scale g + weight_decay p;  m = momentum m + d;  d = m (Nesterov: d + momentum m)
///   p = p - learning_rate d
/// Parameters and gradients f32. Keeps the state "<parameter>.moment1" (zeros) when momentum > 0.
/// One node for all tensors, on CUDA one launch for up to 256 of them; but without a scale tensors
/// of at least 128 Ki elements have a node each, which runs as soon as its gradient is there. The
/// host changes the learning rate between steps through the step scalar "learning_rate".
/// Throws Error{invalid_argument} for an option outside its range, or a group's parameter that has
/// no gradient here or stands in two groups.
FORNAX_API void sgd(Graph graph, const Gradients& gradients, const SgdOptions& options = {});

struct AdamWOptions {
  double learning_rate = 1e-3;  ///< initial value of the step scalar "learning_rate"
  double beta1 = 0.9;           ///< in [0, 1)
  double beta2 = 0.999;         ///< in [0, 1)
  double epsilon = 1e-8;        ///< > 0
  double weight_decay = 0.01;
  std::vector<ParameterGroup> groups = {};
};

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101), t = step + 1:
///   g = scale g;  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
///   p = p - learning_rate weight_decay p
///   p = p - learning_rate / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
/// beta^t is taken in double by squaring. Keeps "<parameter>.moment1" and "<parameter>.moment2".
/// Otherwise as sgd.
FORNAX_API void adamw(Graph graph, const Gradients& gradients, const AdamWOptions& options = {});

/// Sets gradients.scale to min(1, max_norm / (norm + 1e-6)), norm = sqrt(sum of all g^2), and
/// gradients.norm to norm (Pascanu, Mikolov, Bengio 2013, arXiv:1211.5063). A scale already there
/// is part of both. Squares are summed per tensor in the order of ordered_sum.h, then the tensors
/// in order. Throws Error{invalid_argument} unless max_norm > 0 and there is a gradient.
FORNAX_API Gradients clip_by_global_norm(Gradients gradients, double max_norm);

}  // namespace fornax
