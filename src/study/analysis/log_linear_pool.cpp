#include "study/analysis/log_linear_pool.h"

#include <algorithm>
#include <cmath>

namespace moescope::study {
namespace {

constexpr int kMaxSteps = 30;
constexpr double kSmallGain = 1e-7;  // relative; losses are sums of thousands of rows

// Loss with its first and second derivatives by the weights.
struct Curvature {
  double loss = 0;
  std::vector<double> gradient;  // [n]
  std::vector<double> hessian;   // [n, n]
};

Curvature Evaluate(std::span<const PooledRow> rows, int n_experts, const LiftPool& pool) {
  const size_t n = pool.lifts.size();
  Curvature at = {0, std::vector<double>(n), std::vector<double>(n * n)};
  std::vector<float> odds(n_experts);
  std::vector<double> means(n), products(n * n);
  for (const PooledRow& row : rows) {
    at.loss += PooledLoss(pool, row, odds);
    float sum = 0;
    for (float one : odds) sum += one;
    std::fill(means.begin(), means.end(), 0.0);
    std::fill(products.begin(), products.end(), 0.0);
    for (int e = 0; e < n_experts; ++e) {
      for (size_t i = 0; i < n; ++i) {
        const double lift = odds[e] / sum * row.lifts[pool.lifts[i]][e];
        means[i] += lift;
        for (size_t j = 0; j <= i; ++j) products[i * n + j] += lift * row.lifts[pool.lifts[j]][e];
      }
    }
    for (size_t i = 0; i < n; ++i) {
      at.gradient[i] += means[i] - row.lifts[pool.lifts[i]][row.expert];
      for (size_t j = 0; j <= i; ++j) {
        at.hessian[i * n + j] += products[i * n + j] - means[i] * means[j];
      }
    }
  }
  for (size_t i = 0; i < n; ++i) {
    at.loss += pool.weights[i] * pool.weights[i] / 2;
    at.gradient[i] += pool.weights[i];
    at.hessian[i * n + i] += 1;
    for (size_t j = 0; j < i; ++j) at.hessian[j * n + i] = at.hessian[i * n + j];
  }
  return at;
}

// Solves hessian x = gradient by elimination. The hessian is positive definite: 1 is added to its
// diagonal.
std::vector<double> Solve(std::vector<double> matrix, std::vector<double> x) {
  const size_t n = x.size();
  for (size_t pivot = 0; pivot < n; ++pivot) {
    for (size_t row = pivot + 1; row < n; ++row) {
      const double factor = matrix[row * n + pivot] / matrix[pivot * n + pivot];
      for (size_t c = pivot; c < n; ++c) matrix[row * n + c] -= factor * matrix[pivot * n + c];
      x[row] -= factor * x[pivot];
    }
  }
  for (size_t row = n; row-- > 0;) {
    for (size_t c = row + 1; c < n; ++c) x[row] -= matrix[row * n + c] * x[c];
    x[row] /= matrix[row * n + row];
  }
  return x;
}

}  // namespace

double PooledLoss(const LiftPool& pool, const PooledRow& row, std::span<float> odds) {
  const size_t n_experts = odds.size();
  float* __restrict out = odds.data();
  std::copy_n(row.log_base, n_experts, out);
  for (size_t i = 0; i < pool.lifts.size(); ++i) {
    const auto weight = static_cast<float>(pool.weights[i]);
    const float* __restrict lift = row.lifts[pool.lifts[i]];
    for (size_t e = 0; e < n_experts; ++e) out[e] += weight * lift[e];
  }
  const float chosen = out[row.expert];
  float largest = out[0];
  for (size_t e = 1; e < n_experts; ++e) largest = out[e] > largest ? out[e] : largest;
  float sum = 0;
  for (size_t e = 0; e < n_experts; ++e) sum += out[e] = std::exp(out[e] - largest);
  return static_cast<double>(std::log(sum)) + static_cast<double>(largest - chosen);
}

void FitWeights(std::span<const PooledRow> rows, int n_experts, LiftPool& pool) {
  pool.weights.assign(pool.lifts.size(), 0);
  if (pool.lifts.empty()) return;
  Curvature at = Evaluate(rows, n_experts, pool);
  for (int step = 0; step < kMaxSteps; ++step) {
    const std::vector<double> direction = Solve(at.hessian, at.gradient);
    LiftPool next = pool;
    Curvature there;
    double length = 1;
    for (; length > 1e-3; length /= 2) {
      for (size_t i = 0; i < direction.size(); ++i) {
        next.weights[i] = pool.weights[i] - length * direction[i];
      }
      there = Evaluate(rows, n_experts, next);
      if (there.loss < at.loss) break;
    }
    if (!(there.loss < at.loss)) return;
    const double gain = at.loss - there.loss;
    pool = std::move(next);
    at = std::move(there);
    if (gain < kSmallGain * at.loss) return;
  }
}

}  // namespace moescope::study
