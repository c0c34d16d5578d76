#include "study/analysis/accuracy.h"

#include <gtest/gtest.h>

#include "study/analysis/proportion.h"

namespace moescope::study {
namespace {

std::vector<Answered> Items(int n_correct, int n, int items_a_unit, double chance) {
  std::vector<Answered> items;
  for (int i = 0; i < n; ++i) {
    items.push_back({std::to_string(i / items_a_unit), i < n_correct, chance});
  }
  return items;
}

TEST(Accuracy, ItemsThatAreUnitsHaveWilsonsInterval) {
  ThreadPool pool(2);
  const Accuracy accuracy = MeasureAccuracy(Items(60, 100, 1, 0.25), "a", {}, pool);
  EXPECT_DOUBLE_EQ(accuracy.share, 0.6);
  EXPECT_EQ(accuracy.method, "wilson");
  const Interval expected = WilsonInterval(60, 100);
  EXPECT_EQ(accuracy.interval->low, expected.low);
  EXPECT_EQ(accuracy.interval->high, expected.high);
  EXPECT_FALSE(accuracy.at_chance);
}

// 20 units of 5 equal answers say less than 100 items.
TEST(Accuracy, UnitsOfSeveralItemsAreResampledWhole) {
  ThreadPool pool(2);
  const Accuracy accuracy = MeasureAccuracy(Items(60, 100, 5, 0.25), "a", {}, pool);
  EXPECT_EQ(accuracy.method, "bootstrap");
  EXPECT_EQ(accuracy.n_units, 20);
  ASSERT_TRUE(accuracy.interval);
  const Interval by_items = WilsonInterval(60, 100);
  EXPECT_GT(accuracy.interval->high - accuracy.interval->low, 1.8 * (by_items.high - by_items.low));
  const Accuracy few = MeasureAccuracy(Items(20, 40, 5, 0.25), "a", {}, pool);
  EXPECT_FALSE(few.interval);
  EXPECT_EQ(few.why_no_interval, "8 units, fewer than 10");
}

TEST(Accuracy, IsAtChanceWithinTwoStandardErrorsOfGuessing) {
  ThreadPool pool(2);
  // 100 items of 4 choices: 0.25 +- 2 * 0.0433.
  EXPECT_TRUE(MeasureAccuracy(Items(33, 100, 1, 0.25), "a", {}, pool).at_chance);
  EXPECT_FALSE(MeasureAccuracy(Items(34, 100, 1, 0.25), "a", {}, pool).at_chance);
  EXPECT_TRUE(MeasureAccuracy(Items(17, 100, 1, 0.25), "a", {}, pool).at_chance);
  EXPECT_FALSE(MeasureAccuracy(Items(16, 100, 1, 0.25), "a", {}, pool).at_chance);
  EXPECT_FALSE(MeasureAccuracy(Items(0, 100, 1, 0), "a", {}, pool).at_chance)
      << "nobody guesses a number";
}

}  // namespace
}  // namespace moescope::study
