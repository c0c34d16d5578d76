#include "study/analysis/coactivation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "study/analysis/planted_routes.h"

namespace moescope::study {
namespace {

CoactivationCell Compute(const PlantedRoutes& planted, bool as_published = false) {
  ThreadPool pool(2);
  CoactivationOptions options;
  options.as_published = as_published;
  return ComputeCoactivation(planted.rows, planted.layer, options, pool)[0];
}

const CoactivationPair& PairOf(const CoactivationCell& cell, int expert, int other) {
  return *std::find_if(cell.pairs.begin(), cell.pairs.end(), [&](const CoactivationPair& pair) {
    return pair.expert == expert && pair.other == other;
  });
}

PlantedRoutes ThreeOfFour(std::vector<int16_t> experts) {
  PlantedRoutes planted;
  RowColumnsBuilder builder;
  builder.BeginDocument(0, "d", "u");
  builder.BeginSequence();
  for (size_t row = 0; row < experts.size() / 3; ++row) {
    builder.AddRow(1, static_cast<int32_t>(row), false);
  }
  planted.rows = builder.Finish();
  planted.layer.n_experts = 4;
  planted.layer.experts_per_token = 3;
  planted.layer.experts = std::move(experts);
  return planted;
}

TEST(Coactivation, CountsATinyCaseByHand) {
  const auto planted = ThreeOfFour({0, 1, 2, 2, 0, 3, 1, -1, 0});
  const CoactivationCell all = Compute(planted);
  EXPECT_EQ(all.pairs.size(), 12u);
  EXPECT_EQ(all.chosen, (std::vector<int64_t>{3, 2, 2, 1}));
  EXPECT_DOUBLE_EQ(PairOf(all, 0, 1).share, 2.0 / 3);
  EXPECT_DOUBLE_EQ(PairOf(all, 1, 0).share, 1);
  EXPECT_DOUBLE_EQ(PairOf(all, 0, 2).share, 2.0 / 3);
  EXPECT_DOUBLE_EQ(PairOf(all, 3, 1).share, 0);
  // Neighbours in rank: 0-1, 1-2; 2-0, 0-3; a dropped slot is nobody's neighbour.
  const CoactivationCell near = Compute(planted, true);
  EXPECT_EQ(PairOf(near, 0, 1).together, 1);
  EXPECT_EQ(PairOf(near, 0, 2).together, 1);
  EXPECT_EQ(PairOf(near, 2, 3).together, 0);
  EXPECT_EQ(PairOf(near, 3, 0).together, 1);
}

TEST(Coactivation, QuasiIndependenceKeepsTotalsAndTheDiagonalEmpty) {
  const std::vector<double> totals = {5, 3, 2, 2, 0};
  const auto pairs = QuasiIndependentPairs(totals);
  for (size_t a = 0; a < 5; ++a) {
    double sum = 0;
    for (size_t b = 0; b < 5; ++b) {
      sum += pairs[a * 5 + b];
      EXPECT_DOUBLE_EQ(pairs[a * 5 + b], pairs[b * 5 + a]);
    }
    EXPECT_NEAR(sum, totals[a], 1e-7);
    EXPECT_EQ(pairs[a * 5 + a], 0);
  }
  // Even totals: everybody's partners are spread evenly.
  const auto even = QuasiIndependentPairs({6, 6, 6, 6});
  EXPECT_NEAR(even[1], 2, 1e-8);
  EXPECT_EQ(QuasiIndependentPairs({0, 0}), std::vector<double>(4));
  // An expert in every row is everybody's only partner, as far as iteration gets.
  EXPECT_NEAR(QuasiIndependentPairs({8, 4, 4})[1], 4, 0.05);
}

// Pairs drawn with probability proportional to weight x weight, so that partners are independent.
PlantedRoutes IndependentPairs() {
  PlantedText text;
  text.n_documents = 200;
  text.rows_per_document = 500;
  PlantedRoutes planted = {MakePlantedText(text), {}};
  planted.layer.n_experts = 6;
  planted.layer.experts_per_token = 2;
  const std::vector<double> shares = {0.3, 0.2, 0.2, 0.1, 0.1, 0.1};
  Random random(8);
  for (int64_t row = 0; row < planted.rows.n_rows();) {
    const int a = DrawExpert(shares, random), b = DrawExpert(shares, random);
    if (a == b) continue;
    planted.layer.experts.push_back(static_cast<int16_t>(a));
    planted.layer.experts.push_back(static_cast<int16_t>(b));
    ++row;
  }
  return planted;
}

TEST(Coactivation, IndependentPartnersAreAsExpected) {
  const CoactivationCell cell = Compute(IndependentPairs());
  for (const CoactivationPair& pair : cell.pairs) {
    const double error = std::sqrt(pair.expected * (1 - pair.expected) /
                                   static_cast<double>(cell.chosen[pair.expert]));
    EXPECT_NEAR(pair.share, pair.expected, 4.5 * error) << pair.expert << " " << pair.other;
    EXPECT_LT(pair.interval->low, pair.expected + 3 * error);
    EXPECT_GT(pair.interval->high, pair.expected - 3 * error);
  }
}

TEST(Coactivation, ExpertsThatCallEachOtherLieAboveTheirExpectation) {
  PlantedRoutes planted = IndependentPairs();
  Random random(9);
  for (int64_t row = 0; row < planted.rows.n_rows(); ++row) {
    if (planted.layer.experts[row * 2] == 4 && random.Uniform() < 0.5) {
      planted.layer.experts[row * 2 + 1] = 5;
    }
  }
  const CoactivationCell cell = Compute(planted);
  EXPECT_GT(PairOf(cell, 4, 5).interval->low, PairOf(cell, 4, 5).expected);
  EXPECT_GT(PairOf(cell, 5, 4).interval->low, PairOf(cell, 5, 4).expected);
  EXPECT_GT(PairOf(cell, 4, 5).share, 0.3);
}

}  // namespace
}  // namespace moescope::study
