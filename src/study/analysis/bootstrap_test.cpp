#include "study/analysis/bootstrap.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace moescope::study {
namespace {

TEST(Quantile, InterpolatesBetweenOrderStatistics) {
  const std::vector<double> values = {1, 2, 4, 8};
  EXPECT_DOUBLE_EQ(Quantile(values, 0), 1);
  EXPECT_DOUBLE_EQ(Quantile(values, 1), 8);
  EXPECT_DOUBLE_EQ(Quantile(values, 0.5), 3);
  EXPECT_DOUBLE_EQ(Quantile(values, 0.25), 1.75);
}

TEST(Bootstrap, GivesNoIntervalBelowTenUnits) {
  ThreadPool pool(1);
  const std::vector<Ratio> ratios = {{0, 1}};
  EXPECT_TRUE(BootstrapRatios(std::vector<double>(9 * 2, 1.0), 2, ratios, 1, {}, pool).empty());
  EXPECT_EQ(BootstrapRatios(std::vector<double>(10 * 2, 1.0), 2, ratios, 1, {}, pool).size(), 1u);
  EXPECT_EQ(WhyNoInterval(9, ""), "9 units, fewer than 10");
  EXPECT_EQ(WhyNoInterval(1, ""), "1 unit, fewer than 10");
  EXPECT_EQ(WhyNoInterval(1, "-"), "a single stream");
  EXPECT_EQ(WhyNoInterval(10, "-"), "");
}

TEST(Bootstrap, IsTheSameForAnyNumberOfThreads) {
  std::vector<double> sums;
  Random random(5);
  for (int unit = 0; unit < 40; ++unit) {
    const double n = static_cast<double>(1 + random.Below(1000));
    sums.push_back(std::floor(n * random.Uniform()));
    sums.push_back(n);
  }
  const std::vector<Ratio> ratios = {{0, 1}};
  ThreadPool one(1), three(3);
  const auto a = BootstrapRatios(sums, 2, ratios, 7, {}, one);
  const auto b = BootstrapRatios(sums, 2, ratios, 7, {}, three);
  EXPECT_EQ(a[0].low, b[0].low);
  EXPECT_EQ(a[0].high, b[0].high);
  EXPECT_LT(a[0].low, a[0].high);
  const auto other_key = BootstrapRatios(sums, 2, ratios, 8, {}, one);
  EXPECT_NE(a[0].low, other_key[0].low);
}

// The width of a percentile interval of a mean is 2 * 1.96 standard errors for many units.
TEST(Bootstrap, IntervalOfAMeanHasTheWidthOfTheNormalOne) {
  std::vector<double> sums;
  Random random(11);
  double mean = 0, square = 0;
  const int n_units = 400;
  for (int unit = 0; unit < n_units; ++unit) {
    const double value = random.Uniform();
    mean += value / n_units;
    square += value * value / n_units;
    sums.push_back(value);
    sums.push_back(1);
  }
  const double error = std::sqrt((square - mean * mean) / n_units);
  ThreadPool pool(1);
  const Ratio ratio = {0, 1};
  const auto interval = BootstrapRatios(sums, 2, std::span(&ratio, 1), 1, {}, pool)[0];
  EXPECT_NEAR((interval.low + interval.high) / 2, mean, 0.2 * error);
  EXPECT_NEAR(interval.high - interval.low, 2 * 1.96 * error, 0.3 * error);
}

// Corpora whose units differ in rate (a normal effect on the rate, sizes differing fivefold): the
// interval must cover the rate of the population in about 95 of 100. Binomial counts are replaced
// by their rate plus normal noise, which is what makes a thousand corpora cheap.
double Coverage(int n_corpora, int n_units, int n_samples) {
  const double rate = 0.3, unit_effect = 0.05;
  ThreadPool pool(0);
  int covered = 0;
  for (int corpus = 0; corpus < n_corpora; ++corpus) {
    Random random(Combine(2024, corpus));
    const auto normal = [&] {
      double sum = -6;
      for (int i = 0; i < 12; ++i) sum += random.Uniform();
      return sum;
    };
    std::vector<double> sums;
    for (int unit = 0; unit < n_units; ++unit) {
      const double n = 1000 + static_cast<double>(random.Below(4000));
      const double unit_rate = rate + unit_effect * normal();
      sums.push_back(std::round(n * unit_rate + std::sqrt(n * rate * (1 - rate)) * normal()));
      sums.push_back(n);
    }
    const Ratio ratio = {0, 1};
    BootstrapOptions options;
    options.n_samples = n_samples;
    const auto interval = BootstrapRatios(sums, 2, std::span(&ratio, 1),
                                          static_cast<uint64_t>(corpus), options, pool)[0];
    covered += interval.low <= rate && rate <= interval.high;
  }
  return static_cast<double>(covered) / n_corpora;
}

TEST(Bootstrap, IntervalsCoverTheTruthInNinetyFiveOfAHundredSimulatedCorpora) {
  const double coverage = Coverage(1000, 50, 1000);
  EXPECT_GE(coverage, 0.93);
  EXPECT_LE(coverage, 0.97);
}

}  // namespace
}  // namespace moescope::study
