// Cases that are a few ops on operands: the graph is compiled twice, to check and to time.
#pragma once
#include <fornax/storage.h>

#include "tests/bench/server.h"

namespace fornax::bench {

/// Operands are parameters or states of the graph, so that a step copies none of them.
struct OperandCase {
  Graph graph;
  std::vector<Value> results;  ///< what the ops give, f32 or bf16 or i32
  TensorMap operands;          ///< by name; what the peer reads from data=FILE
  /// On the CPU a step may as well return smaller results whole.
  std::int64_t returned_bytes = 65536;
};

/// What a tensor of f32, bf16 or i32 is compared by: the mean of its magnitudes and up to 64 of its
/// elements, evenly spaced.
std::vector<double> digest(const Tensor& tensor);

/// Case::check holds the digest of every result. The program that is timed returns the first rows
/// alone: all is computed and little is copied. Throws std::runtime_error when these rows differ
/// from those of the program that returns all.
Case load_operand_case(OperandCase operand_case, const Settings& settings);

}  // namespace fornax::bench
