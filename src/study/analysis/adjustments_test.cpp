// p-value adjustments, proportions and odds ratios by hand; against SciPy: tests/statistics_*.
#include <gtest/gtest.h>

#include <cmath>

#include "study/analysis/multiple_testing.h"
#include "study/analysis/odds_ratio.h"
#include "study/analysis/proportion.h"

namespace moescope::study {
namespace {

TEST(MultipleTesting, AdjustsByBenjaminiHochberg) {
  const auto p = AdjustBenjaminiHochberg(std::vector<double>{0.01, 0.04, 0.03, std::nan(""), 0.9});
  // Ranks 1, 3, 2, 4 of four: 0.04, 0.0533, min(0.06, 0.0533), 0.9.
  EXPECT_NEAR(p[0], 0.04, 1e-15);
  EXPECT_NEAR(p[1], 0.16 / 3, 1e-15);
  EXPECT_NEAR(p[2], 0.16 / 3, 1e-15);
  EXPECT_TRUE(std::isnan(p[3]));
  EXPECT_NEAR(p[4], 0.9, 1e-15);
}

TEST(MultipleTesting, AdjustsByHolm) {
  const auto p = AdjustHolm(std::vector<double>{0.01, 0.04, 0.03, std::nan(""), 0.9});
  EXPECT_NEAR(p[0], 0.04, 1e-15);
  EXPECT_NEAR(p[1], 0.09, 1e-15);  // not below that of 0.03
  EXPECT_NEAR(p[2], 0.09, 1e-15);
  EXPECT_TRUE(std::isnan(p[3]));
  EXPECT_NEAR(p[4], 0.9, 1e-15);
  EXPECT_TRUE(AdjustHolm({}).empty());
}

TEST(Proportion, NormalQuantilesAreTheTextbookOnes) {
  EXPECT_NEAR(NormalQuantile(0.975), 1.959963984540054, 1e-12);
  EXPECT_NEAR(NormalQuantile(0.8), 0.8416212335729143, 1e-12);
  EXPECT_NEAR(NormalQuantile(1e-12), -7.034483825, 1e-8);
  EXPECT_NEAR(NormalTail(1.959963984540054), 0.025, 1e-15);
}

TEST(Proportion, WilsonIntervalsStayInsideZeroToOne) {
  // 10 of 20: centre 1/2, (1.96 / (1 + z2/20)) sqrt(1/80 + z2/1600) to either side.
  const Interval half = WilsonInterval(10, 20);
  EXPECT_NEAR(half.low, 0.2992980081982124, 1e-12);
  EXPECT_NEAR(half.high, 0.7007019918017876, 1e-12);
  EXPECT_EQ(WilsonInterval(0, 20).low, 0);
  EXPECT_GT(WilsonInterval(0, 20).high, 0.1);
  EXPECT_EQ(WilsonInterval(20, 20).high, 1);
  EXPECT_TRUE(std::isnan(WilsonInterval(0, 0).low));
}

TEST(OddsRatio, AddsAHalfToEachCell) {
  EXPECT_NEAR(LogOddsRatio({10, 5, 3, 7}), std::log(10.5 * 7.5 / (5.5 * 3.5)), 1e-15);
  EXPECT_EQ(LogOddsRatio({0, 0, 0, 0}), 0);
}

TEST(MantelHaenszel, OfOneTableIsItsOddsRatioWithWoolfsVariance) {
  MantelHaenszel pooled;
  pooled.Add({10, 5, 3, 7});
  EXPECT_NEAR(pooled.odds_ratio(), 70.0 / 15, 1e-14);
  EXPECT_NEAR(pooled.log_variance(), 1.0 / 10 + 1.0 / 5 + 1.0 / 3 + 1.0 / 7, 1e-14);
}

// Simpson's paradox: within either token nothing differs, pooled carelessly much does.
TEST(MantelHaenszel, RemovesWhatStrataExplain) {
  MantelHaenszel pooled;
  pooled.Add({90, 10, 9, 1});
  pooled.Add({1, 9, 10, 90});
  pooled.Add({0, 0, 0, 0});
  EXPECT_NEAR(pooled.odds_ratio(), 1, 1e-12);
  EXPECT_GT(LogOddsRatio({91, 19, 19, 91}), 3);
  EXPECT_TRUE(std::isnan(MantelHaenszel().odds_ratio()));
}

}  // namespace
}  // namespace moescope::study
