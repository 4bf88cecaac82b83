// What a Trainer holds.
#pragma once
#include <fornax/training.h>

#include <map>
#include <utility>

namespace fornax {

// Its members are no part of the library's interface.
struct __attribute__((visibility("hidden"))) Trainer::Content {
  struct Step {
    Program program;
    Value output, loss;
  };

  Sequential model;
  TrainerOptions options;
  State state;
  Arena arena;  ///< of all Programs: one runs after another
  std::map<std::pair<Mode, std::int64_t>, Step> steps;
  Shape feature_shape, target_shape;
  DType feature_dtype = DType::none, target_dtype = DType::none;

  enum class Targets { needed, optional };
  /// The first data that a State was made for fix shapes and dtypes; later data must fit them.
  void meet(const Dataset& data, Targets targets = Targets::needed);
  /// The Program for batches of `rows`; made when it is not there yet.
  Step& step(Mode mode, std::int64_t rows);
  /// The model's output for all rows, and the sum over rows of the loss.
  Tensor sweep(const Dataset& data, double* loss);

 private:
  void optimize(Graph graph, const Gradients& gradients) const;
  Value loss_of(Value output, Value target) const;
  Step build(Mode mode, std::int64_t rows);
};

}  // namespace fornax
