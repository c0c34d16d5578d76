#include "study/analysis/super_experts.h"

#include <gtest/gtest.h>

#include <random>

namespace moescope::study {
namespace {

// 8 layers of 8 experts with peaks of 1 to 2; one of 5,000 at `layer`, and massive from there on.
struct Cells {
  std::vector<OutputPeak> peaks;
  std::vector<ResidualPeak> residuals;
};
Cells Planted(int layer, double peak = 5000) {
  Cells cells;
  for (int l = 0; l < 8; ++l) {
    for (int e = 0; e < 8; ++e) {
      cells.peaks.push_back({l, e, l == layer && e == 3 ? peak : 1 + (8 * l + e) / 64.0, 0});
    }
    cells.residuals.push_back({l >= layer ? peak : 2, 0.5, 0});
  }
  return cells;
}

TEST(SuperExperts, AreAFindingOnlyWithAllThreeSigns) {
  const Cells cells = Planted(1);
  std::vector<SuperExpert> found = FindSuperExperts(cells.peaks, cells.residuals);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].layer, 1);
  EXPECT_EQ(found[0].expert, 3);
  EXPECT_TRUE(found[0].massive && found[0].stands_out);
  EXPECT_FALSE(found[0].finding());  // nothing was removed yet
  const std::vector<double> random(20, 0.1), few(19, 0.1);
  JudgeEffects(2, few, found[0]);
  EXPECT_FALSE(found[0].finding()) << "19 cells are too few";
  JudgeEffects(0.1, random, found[0]);
  EXPECT_FALSE(found[0].finding()) << "no more than another";
  JudgeEffects(2, random, found[0]);
  EXPECT_TRUE(found[0].finding());
}

TEST(SuperExperts, AreNotSoughtInTheLastQuarter) {
  const Cells cells = Planted(6);
  EXPECT_TRUE(FindSuperExperts(cells.peaks, cells.residuals).empty());
}

TEST(SuperExperts, NeedMassiveActivationsThatLast) {
  Cells cells = Planted(1);
  cells.residuals[4].peak = 50;
  EXPECT_FALSE(FindSuperExperts(cells.peaks, cells.residuals)[0].massive);
  cells = Planted(1);
  cells.residuals[4].median = 6;  // 5,000 is less than 1,000 times it
  EXPECT_FALSE(FindSuperExperts(cells.peaks, cells.residuals)[0].massive);
  cells = Planted(1);
  cells.residuals[7].peak = 50;  // a last layer takes it away again
  EXPECT_TRUE(FindSuperExperts(cells.peaks, cells.residuals)[0].massive);
}

// With 64 cells the published rule flags the largest of nearly any model; the signs do not.
TEST(SuperExperts, AsPublishedFlagsModelsThatHaveNone) {
  int n_flagged = 0;
  for (uint32_t seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    std::lognormal_distribution<double> peak(0, 0.3);
    Cells cells = Planted(8);
    for (OutputPeak& cell : cells.peaks) cell.peak = peak(random);
    const std::vector<SuperExpert> found = FindSuperExperts(cells.peaks, cells.residuals);
    n_flagged += !found.empty();
    for (const SuperExpert& expert : found) EXPECT_FALSE(expert.massive || expert.stands_out);
  }
  EXPECT_NEAR(n_flagged / 200.0, 0.75, 0.1);
}

TEST(SuperExperts, AreComparedWithCellsThatAreNotFlagged) {
  const Cells cells = Planted(1);
  const std::vector<SuperExpert> found = FindSuperExperts(cells.peaks, cells.residuals);
  const std::vector<size_t> random = RandomCells(cells.peaks, found, 20, 1);
  EXPECT_EQ(random.size(), 20u);
  EXPECT_TRUE(std::is_sorted(random.begin(), random.end()));
  EXPECT_EQ(std::count(random.begin(), random.end(), size_t{11}), 0);
  EXPECT_EQ(RandomCells(cells.peaks, found, 20, 1), random);
  EXPECT_NE(RandomCells(cells.peaks, found, 20, 2), random);
  EXPECT_EQ(RandomCells(cells.peaks, found, 100, 1).size(), 63u);
}

}  // namespace
}  // namespace moescope::study
