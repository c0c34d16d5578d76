#include "lab/planted/heads.h"

#include <cmath>

#include "base/error.h"

namespace moescope::lab {
namespace {

using files::TensorKind;

constexpr int kHalf = PlantedWeights::kHeadDim / 2;
// Pairs 0 to 8 turn by 1 to 0.003 radians a position: no distance but 1 suits all of them.
constexpr int kPreviousPairs = 9;
constexpr double kPreviousScore = 40;

int64_t Row(PlantedHead head, int dimension) {
  return int64_t{head.head} * PlantedWeights::kHeadDim + dimension;
}

// Scores are divided by sqrt(head_dim).
double QueryOf(double score) {
  return score * std::sqrt(PlantedWeights::kHeadDim);
}

}  // namespace

void LookAtPrevious(PlantedWeights& weights, PlantedHead head) {
  constexpr int kConstant = PlantedWeights::kConstant;
  const double theta = weights.config().rope_theta;
  for (int pair = 0; pair < kPreviousPairs; ++pair) {
    const double frequency = std::pow(theta, -2.0 * pair / PlantedWeights::kHeadDim);
    // A query turned back by one position.
    const double query = QueryOf(kPreviousScore);
    weights.Read({TensorKind::kQuery, head.layer}, Row(head, pair), kConstant,
                 query * std::cos(frequency));
    weights.Read({TensorKind::kQuery, head.layer}, Row(head, pair + kHalf), kConstant,
                 -query * std::sin(frequency));
    weights.Read({TensorKind::kKey, head.layer}, Row(head, pair), kConstant, 1);
  }
}

void LookFor(PlantedWeights& weights, PlantedHead head, int pair, int query, int key,
             double score) {
  MOESCOPE_CHECK(pair >= 0 && pair < kHalf - kPreviousPairs);
  const int64_t row = Row(head, kHalf - 1 - pair);
  weights.Read({TensorKind::kQuery, head.layer}, row, query, QueryOf(score));
  weights.Read({TensorKind::kKey, head.layer}, row, key, 1);
}

void AlsoKey(PlantedWeights& weights, PlantedHead head, int pair, int key, double factor) {
  weights.Read({TensorKind::kKey, head.layer}, Row(head, kHalf - 1 - pair), key, factor);
}

void Carry(PlantedWeights& weights, PlantedHead head, int dimension, int from, int to,
           double factor) {
  const int64_t row = Row(head, dimension);
  weights.Read({TensorKind::kValue, head.layer}, row, from, 1);
  weights.Set({TensorKind::kAttentionOutput, head.layer}, to, row, factor);
}

void Silence(PlantedWeights& weights, PlantedHead head) {
  for (int to = 0; to < weights.config().model_dim; ++to) {
    for (int dimension = 0; dimension < PlantedWeights::kHeadDim; ++dimension) {
      weights.Set({TensorKind::kAttentionOutput, head.layer}, to, Row(head, dimension), 0);
    }
  }
}

}  // namespace moescope::lab
