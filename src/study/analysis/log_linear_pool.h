// Several predictions of an expert put together: the logarithms of their lifts over a base are
// weighted and summed. The loss is convex in the weights, so there is one optimum.
// Definition: docs/analyses.md, figure explained.
#pragma once

#include <array>
#include <span>
#include <vector>

namespace moescope::study {

inline constexpr int kMaxLifts = 8;

// One decision. Each lift is ln(share given the predictor's value / base share) of every expert;
// pointers are to [n_experts] values that the caller owns.
struct PooledRow {
  const float* log_base = nullptr;
  std::array<const float*, kMaxLifts> lifts = {};
  int expert = 0;  // what was chosen
};

// A model: which of a row's lifts take part, and their weights.
struct LiftPool {
  std::vector<int> lifts;
  std::vector<double> weights;
};

// -ln of the pooled share of row.expert: exp(log_base + sum of weight x lift), normalised over
// experts. `odds` [n_experts] is filled with the pooled shares of all over the largest.
double PooledLoss(const LiftPool& pool, const PooledRow& row, std::span<float> odds);

// Sets the weights to those with the smallest summed loss on `rows` plus half the sum of their
// squares, which decides where rows cannot: Newton's method with halved steps, from 0.
void FitWeights(std::span<const PooledRow> rows, int n_experts, LiftPool& pool);

}  // namespace moescope::study
