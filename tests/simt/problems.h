// Inputs and expected values of the demonstration kernels.
#pragma once
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "runtime/cuda/simt/machine.h"
#include "tests/simt/kernels/linear.cuh"
#include "tests/simt/kernels/ring.cuh"
#include "tests/simt/kernels/softmax.cuh"
#include "tests/simt/kernels/ticket.cuh"

namespace fornax::simt_test {

inline device::Queue queue() { return {nullptr, &simt::launch_table(), nullptr}; }
inline std::size_t size_of(int rows, int columns) {
  return static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
}

struct LinearProblem {
  int m, n, k;
  std::vector<device::bf16> x, w, y;
  std::vector<float> bias;

  LinearProblem(int m_, int n_, int k_)
      : m(m_),
        n(n_),
        k(k_),
        x(size_of(m, k)),
        w(size_of(n, k)),
        y(size_of(m, n)),
        bias(size_of(n, 1)) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    for (auto& v : x) v = device::to_bf16(normal(random));
    for (auto& v : w) v = device::to_bf16(normal(random) / std::sqrt(static_cast<float>(k)));
    for (float& v : bias) v = normal(random);
  }

  LinearArguments arguments() { return {x.data(), w.data(), bias.data(), y.data(), m, n, k}; }

  double expected(int i, int j) const {
    double sum = bias[static_cast<std::size_t>(j)];
    for (std::size_t l = 0; l < static_cast<std::size_t>(k); ++l)
      sum += double{device::to_float(x[size_of(i, k) + l])} *
             double{device::to_float(w[size_of(j, k) + l])};
    return sum;
  }

  /// Every value within bf16's rounding bound.
  bool right() const {
    for (int i = 0; i < m; ++i)
      for (int j = 0; j < n; ++j) {
        const double want = expected(i, j);
        const double got = device::to_float(y[size_of(i, n) + static_cast<std::size_t>(j)]);
        if (!(std::fabs(got - want) <= std::fabs(want) / 256 + 1e-5)) return false;
      }
    return true;
  }

  template <LinearFault fault>
  static bool run(int m, int n, int k) {
    LinearProblem problem(m, n, k);
    linear<fault>(queue(), problem.arguments());
    return problem.right();
  }
};

template <SoftmaxFault fault>
bool run_softmax(int rows, int columns) {
  std::vector<float> x(size_of(rows, columns)), y(x.size());
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  for (float& v : x) v = 3.0f * normal(random);
  softmax<fault>(queue(), {x.data(), y.data(), rows, columns});
  for (int row = 0; row < rows; ++row) {
    const float* from = x.data() + size_of(row, columns);
    double sum = 0;
    for (int i = 0; i < columns; ++i) sum += std::exp(double{from[i]});
    for (int i = 0; i < columns; ++i) {
      const double got = y[size_of(row, columns) + static_cast<std::size_t>(i)];
      if (!(std::fabs(got - std::exp(double{from[i]}) / sum) <= 1e-6)) return false;
    }
  }
  return true;
}

template <RingFault fault>
bool run_ring(int blocks, int tiles) {
  std::vector<float> x(size_of(blocks * tiles, 64)), y(size_of(blocks, 64));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 97);
  sum_tiles<fault>(queue(), {x.data(), y.data(), blocks, tiles});
  for (int b = 0; b < blocks; ++b)
    for (std::size_t i = 0; i < 64; ++i) {
      float sum = 0;
      for (int t = 0; t < tiles; ++t) sum += x[size_of(b * tiles + t, 64) + i];
      if (y[size_of(b, 64) + i] != sum) return false;
    }
  return true;
}

template <TicketFault fault>
bool run_ticket(int blocks) {
  std::vector<int> x(size_of(blocks, 64)), partial(size_of(blocks, 1)), sum(1);
  int expected = 0;
  for (std::size_t i = 0; i < x.size(); ++i) expected += x[i] = static_cast<int>(i * i % 101);
  std::vector<unsigned> tickets(1);
  sum_by_ticket<fault>(queue(), {x.data(), partial.data(), sum.data(), tickets.data(), blocks});
  return sum[0] == expected;
}

}  // namespace fornax::simt_test
