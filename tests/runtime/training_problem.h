// Small data and models that trainers are tested with.
#pragma once
#include <fornax/fornax.h>

#include <cmath>
#include <vector>

namespace fornax {

/// Three classes around three centres in four dimensions; a row's noise comes from its number.
inline Dataset three_clouds(std::int64_t rows, double noise = 0.5) {
  Dataset data{Tensor(DType::f32, {rows, 4}), Tensor(DType::i32, {rows}), {}, {"a", "b", "c"}};
  const auto features = data.features.as<float>();
  const auto labels = data.targets.as<std::int32_t>();
  for (std::size_t row = 0; row < labels.size(); ++row) {
    labels[row] = static_cast<std::int32_t>(row % 3);
    for (std::size_t k = 0; k < 4; ++k) {
      const double centre = k == row % 3 ? 1.5 : 0;
      const double angle = static_cast<double>((row * 4 + k) * (row + 7) % 997);
      features[row * 4 + k] = static_cast<float>(centre + noise * std::sin(angle));
    }
  }
  return data;
}

inline Sequential small_model(double drop_p = 0.2) {
  return {Linear(4, 13), Gelu(), Dropout(drop_p), Linear(13, 3)};
}

/// Row i is the i-th unit vector with target 1: each sample moves a weight of its own.
inline Dataset unit_vectors(std::int64_t rows) {
  Dataset data{Tensor(DType::f32, {rows, rows}), Tensor(DType::f32, {rows, 1}), {}, {}};
  for (std::int64_t row = 0; row < rows; ++row) {
    data.features.as<float>()[static_cast<std::size_t>(row * rows + row)] = 1;
    data.targets.as<float>()[static_cast<std::size_t>(row)] = 1;
  }
  return data;
}

/// One weight per unit vector, from zero.
inline Trainer unit_trainer(std::int64_t rows, double learning_rate) {
  return Trainer({Linear(rows, 1, {.bias = false, .weight = zeros()})},
                 {.loss = Loss::mean_squared_error,
                  .optimizer = Sgd{.learning_rate = learning_rate, .momentum = 0},
                  .device = Device::cpu(1)});
}

}  // namespace fornax
