// Reads PyTorch's traces and measures how far ours are from them.
#include "tests/end_to_end/parity/comparison.h"

#include <cmath>
#include <cstdio>

namespace fornax::parity {

namespace {

std::vector<double> elements(const Tensor& tensor) {
  std::vector<double> result;
  if (tensor.dtype() == DType::f64)
    result.assign(tensor.as<double>().begin(), tensor.as<double>().end());
  else
    result.assign(tensor.as<float>().begin(), tensor.as<float>().end());
  return result;
}

/// The tensors whose names begin with `prefix`, without it.
TensorMap below(const TensorMap& tensors, const std::string& prefix) {
  TensorMap result;
  for (const auto& [name, tensor] : tensors)
    if (name.starts_with(prefix)) result.emplace(name.substr(prefix.size()), tensor);
  return result;
}

void require(bool condition, const std::string& what) {
  if (!condition) throw Error(ErrorCode::not_found, "parity: " + what);
}

double ratio(double difference, double size) {
  return difference == 0 ? 0 : difference / size;  // NaN stays NaN, size 0 gives infinity
}

Worst compare_tensors(const char* what, const TensorMap& ours, const TensorMap& theirs) {
  require(!ours.empty() && ours.size() == theirs.size(),
          std::string(what) + ": " + std::to_string(ours.size()) + " of ours, " +
              std::to_string(theirs.size()) + " of PyTorch's");
  Worst worst;
  for (const auto& [name, tensor] : ours) {
    require(theirs.contains(name), std::string(what) + " '" + name + "' is not among PyTorch's");
    worst.add(name, relative_difference(tensor, theirs.at(name)));
  }
  return worst;
}

Worst compare_steps(const char* what, const std::vector<double>& ours,
                    const std::vector<double>& theirs) {
  require(ours.size() == theirs.size(), std::string(what) + ": " + std::to_string(ours.size()) +
                                            " steps of ours, " + std::to_string(theirs.size()) +
                                            " of PyTorch's");
  Worst worst;
  for (std::size_t i = 0; i < ours.size(); ++i)
    worst.add("step " + std::to_string(i + 1), relative_difference(ours[i], theirs[i]));
  return worst;
}

std::string cells(const Worst& worst, double bound) {
  if (worst.difference < 0) return " |";
  char text[80];
  std::snprintf(text, sizeof text, "%s: %.1e%s |", worst.what.c_str(), worst.difference,
                worst.difference <= bound ? "" : " ABOVE");
  return ' ' + std::string(text);
}

}  // namespace

std::vector<Side> sides() {
  return {{"reference f64", Device::reference(DType::f64), "f64", kF64Bounds},
          {"reference f32", Device::reference(), "f32", kF32Bounds},
          {"cpu f32", Device::cpu(), "f32", kF32Bounds}};
}

TorchTrace load_torch_trace(const std::string& path, const std::string& precision) {
  const TensorMap tensors = below(load_safetensors(path), precision + '/');
  require(tensors.contains("losses") && tensors.contains("evaluate_loss"),
          path + " has no " + precision + " run");
  TorchTrace torch;
  torch.trace.losses = elements(tensors.at("losses"));
  require(torch.trace.losses.size() == kSteps, path + ": losses of another number of steps");
  if (tensors.contains("norms")) torch.trace.norms = elements(tensors.at("norms"));
  torch.trace.gradients = below(tensors, "gradient/");
  torch.trace.values = below(tensors, "final/");
  torch.middle = below(tensors, "middle/");
  torch.evaluate_loss = elements(tensors.at("evaluate_loss")).at(0);
  torch.metadata = load_safetensors_metadata(path);
  return torch;
}

double relative_difference(double a, double b) { return ratio(std::abs(a - b), std::abs(b)); }

double relative_difference(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape())
    throw Error(ErrorCode::shape,
                "parity: shapes " + to_string(a.shape()) + " and " + to_string(b.shape()));
  const std::vector<double> ours = elements(a), theirs = elements(b);
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    difference += (ours[i] - theirs[i]) * (ours[i] - theirs[i]);
    size += theirs[i] * theirs[i];
  }
  return ratio(std::sqrt(difference), std::sqrt(size));
}

void Worst::add(const std::string& name, double value) {
  if (std::isnan(difference)) return;  // nothing is worse
  if (!(value <= difference)) what = name, difference = value;
}

bool Comparison::holds(const Bounds& bounds) const {
  return gradient.difference <= bounds.gradient && loss.difference <= bounds.loss &&
         norm.difference <= bounds.loss && value.difference <= bounds.loss;
}

Comparison compare(const Trace& ours, const Trace& theirs) {
  require(!ours.losses.empty(), "no step was taken");
  return {compare_tensors("gradient", ours.gradients, theirs.gradients),
          compare_steps("losses", ours.losses, theirs.losses),
          compare_steps("norms", ours.norms, theirs.norms),
          compare_tensors("final value", ours.values, theirs.values)};
}

std::string table_heading() {
  return "| model | fornax | worst gradient of step 1 | bound | worst loss | worst norm | "
         "worst final value | bound |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n";
}

std::string table_row(const std::string& model, const Side& side, const Comparison& comparison) {
  char gradient_bound[16], loss_bound[16];
  std::snprintf(gradient_bound, sizeof gradient_bound, " %.0e |", side.bounds.gradient);
  std::snprintf(loss_bound, sizeof loss_bound, " %.0e |", side.bounds.loss);
  return "| " + model + " | " + side.name + " |" +
         cells(comparison.gradient, side.bounds.gradient) + gradient_bound +
         cells(comparison.loss, side.bounds.loss) + cells(comparison.norm, side.bounds.loss) +
         cells(comparison.value, side.bounds.loss) + loss_bound + '\n';
}

}  // namespace fornax::parity
