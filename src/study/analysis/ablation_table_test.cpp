#include "study/analysis/ablation_table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace moescope::study {
namespace {

// Units of 100 predictions with losses of their own; branch 0 adds `added` to every prediction of
// the baseline, branch 1 twice as much with noise by unit.
AblationDataset Dataset(const std::string& name, int n_units, double added, uint32_t seed) {
  AblationDataset dataset{
      .name = name, .unit_by = "", .n_units = n_units, .predictions = {}, .losses = {}};
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  for (int unit = 0; unit < n_units; ++unit) {
    const double baseline = 300 + 50 * normal(random);
    dataset.predictions.push_back(100);
    dataset.losses.push_back(baseline);
    dataset.losses.push_back(baseline + 100 * added);
    dataset.losses.push_back(baseline + 200 * added + normal(random));
  }
  return dataset;
}

TEST(AblationTable, PairsTheLossesOfAUnit) {
  ThreadPool pool(2);
  const auto rows =
      AblationTable({Dataset("a", 30, 0.5, 1), Dataset("b", 20, 0.1, 2)}, 2, {}, pool);
  ASSERT_EQ(rows.size(), 6u);
  // All together first, each prediction counting alike.
  EXPECT_EQ(rows[0].dataset, "");
  EXPECT_EQ(rows[0].predictions, 5000);
  EXPECT_NEAR(rows[0].effect, (30 * 0.5 + 20 * 0.1) / 50, 1e-12);
  EXPECT_EQ(rows[1].dataset, "a");
  EXPECT_NEAR(rows[1].effect, 0.5, 1e-12);
  EXPECT_NEAR(rows[1].loss - rows[1].baseline_loss, 0.5, 1e-12);
  // Every unit has the same effect, so its interval is a point though losses scatter widely.
  ASSERT_TRUE(rows[1].interval);
  EXPECT_NEAR(rows[1].interval->low, 0.5, 1e-12);
  EXPECT_NEAR(rows[1].interval->high, 0.5, 1e-12);
  EXPECT_EQ(rows[4].branch, 1);
  ASSERT_TRUE(rows[4].interval);
  EXPECT_LT(rows[4].interval->low, 1.0);
  EXPECT_GT(rows[4].interval->high, 1.0);
  EXPECT_LT(rows[4].interval->high - rows[4].interval->low, 0.02);
}

TEST(AblationTable, HasNoIntervalWithFewUnits) {
  ThreadPool pool(1);
  const auto rows = AblationTable({Dataset("a", 30, 0.5, 1), Dataset("b", 9, 0.1, 2)}, 2, {}, pool);
  EXPECT_FALSE(rows[0].interval);
  EXPECT_EQ(rows[0].why_no_interval, "a data set without one: b");
  EXPECT_TRUE(rows[1].interval);
  EXPECT_FALSE(rows[2].interval);
  EXPECT_EQ(rows[2].why_no_interval, "9 units, fewer than 10");
}

}  // namespace
}  // namespace moescope::study
