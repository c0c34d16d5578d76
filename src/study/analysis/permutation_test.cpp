#include "study/analysis/permutation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "base/random.h"

namespace moescope::study {
namespace {

std::vector<std::vector<int32_t>> All(const LabelPermutations& permutations, size_t n_units) {
  std::vector<std::vector<int32_t>> all(permutations.size(), std::vector<int32_t>(n_units));
  for (int64_t i = 0; i < permutations.size(); ++i) permutations.Fill(i, all[i]);
  return all;
}

TEST(LabelPermutations, EnumerateEveryOtherArrangementOnceWhenThereAreFew) {
  const std::vector<int32_t> observed = {1, 0, 2, 0, 1};  // 5! / (2! 2! 1!) = 30
  const LabelPermutations permutations(observed, 3, 100, 1);
  EXPECT_TRUE(permutations.is_exact());
  EXPECT_EQ(permutations.n_arrangements(), 30);
  ASSERT_EQ(permutations.size(), 29);
  const auto all = All(permutations, observed.size());
  const std::set<std::vector<int32_t>> different(all.begin(), all.end());
  EXPECT_EQ(different.size(), 29u);
  EXPECT_FALSE(different.contains(observed));
  for (auto labels : all) {
    std::sort(labels.begin(), labels.end());
    EXPECT_EQ(labels, (std::vector<int32_t>{0, 0, 1, 1, 2}));
  }
}

TEST(LabelPermutations, DrawEveryArrangementEvenlyWhenThereAreMany) {
  const std::vector<int32_t> observed = {0, 0, 1, 1};
  // Six arrangements, which five draws cannot list: 4 < 6 - 1.
  EXPECT_FALSE(LabelPermutations(observed, 2, 4, 1).is_exact());
  EXPECT_TRUE(LabelPermutations(observed, 2, 5, 1).is_exact());
  std::vector<int32_t> large(30);
  for (int i = 0; i < 10; ++i) large[i] = 1;
  const LabelPermutations permutations(large, 2, 20000, 7);
  ASSERT_FALSE(permutations.is_exact());
  EXPECT_EQ(permutations.size(), 20000);
  EXPECT_NEAR(permutations.n_arrangements(), 30045015, 0.5);  // 30 choose 10
  std::vector<int> times(30);
  for (const auto& labels : All(permutations, 30)) {
    int sum = 0;
    for (int i = 0; i < 30; ++i) times[i] += labels[i], sum += labels[i];
    ASSERT_EQ(sum, 10);
  }
  const double error = std::sqrt(20000 * (1.0 / 3) * (2.0 / 3));
  for (int count : times) EXPECT_NEAR(count, 20000.0 / 3, 4.5 * error);
}

TEST(LabelPermutations, CapTheNumberOfArrangements) {
  std::vector<int32_t> labels(2000);
  for (int i = 0; i < 1000; ++i) labels[i] = 1;
  EXPECT_EQ(LabelPermutations(labels, 2, 10, 1).n_arrangements(), kManyArrangements);
}

// Values 1, 2, 4, 8 of four units, the group holding the last two: its mean less that of the rest
// is 4.5, the largest of the six, so p = 1/6; from both sides 2/6, as the mirror image is -4.5.
TEST(MaxTFamily, AgreesWithEnumerationByHand) {
  const std::vector<double> values = {1, 2, 4, 8};
  const std::vector<int32_t> observed = {0, 0, 1, 1};
  const auto difference = [&](const std::vector<int32_t>& labels) {
    double sum = 0;
    for (int i = 0; i < 4; ++i) sum += (labels[i] == 1 ? values[i] : -values[i]) / 2;
    return sum;
  };
  const LabelPermutations permutations(observed, 2, 9999, 1);
  std::vector<double> permuted;
  for (const auto& labels : All(permutations, 4)) permuted.push_back(difference(labels));
  const double at = difference(observed);
  EXPECT_EQ(at, 4.5);
  for (const Sides sides : {Sides::kUpper, Sides::kBoth}) {
    MaxTFamily family(permutations.size(), sides);
    family.Add(std::span(&at, 1), permuted);
    const PermutedCell cell = family.Finish()[0];
    EXPECT_DOUBLE_EQ(cell.p, sides == Sides::kUpper ? 1.0 / 6 : 2.0 / 6);
    EXPECT_DOUBLE_EQ(cell.p_max, cell.p);
    EXPECT_NEAR(cell.mean, 0, 1e-15);
    // The six values: +-4.5, +-2.5, +-1.5... as 15/2 - sums of pairs {3, 5, 6, 9, 10, 12}.
    EXPECT_NEAR(cell.deviation, std::sqrt((4.5 * 4.5 + 2.5 * 2.5 + 1.5 * 1.5) / 3), 1e-12);
  }
}

// Two cells, four permutations, all by hand: standardised values and their maxima.
TEST(MaxTFamily, ComparesEachCellWithTheLargestOfAll) {
  const std::vector<double> observed = {2, 30};
  const std::vector<double> permuted = {0,  0,    //
                                        1,  -30,  //
                                        -2, 10,   //
                                        -1, -10};
  MaxTFamily family(4, Sides::kUpper);
  family.Add(observed, permuted);
  const auto cells = family.Finish();
  // Means 0; deviations sqrt(10 / 5) and sqrt(2000 / 5).
  EXPECT_NEAR(cells[0].statistic, 2 / std::sqrt(2.0), 1e-12);
  EXPECT_NEAR(cells[1].statistic, 30 / 20.0, 1e-12);
  EXPECT_DOUBLE_EQ(cells[0].p, 1.0 / 5);
  // Largest of each permutation: 0, 0.707, 0.5, -0.5: none reaches either cell.
  EXPECT_DOUBLE_EQ(cells[0].p_max, 1.0 / 5);
  EXPECT_DOUBLE_EQ(cells[1].p_max, 1.0 / 5);
  EXPECT_NEAR(family.critical_value(), 0.85 * 1 / std::sqrt(2.0) + 0.15 * 0.5, 1e-12);
}

TEST(MaxTFamily, TakesBlocksAsOneFamilyAndLeavesOutCellsThatCannotVary) {
  const std::vector<double> observed = {1, 5, std::nan("")};
  const std::vector<double> permuted = {3, 5, 0, -1, 5, 0, -3, 5, 0};
  MaxTFamily whole(3, Sides::kBoth), blocks(3, Sides::kBoth);
  whole.Add(observed, permuted);
  for (int c = 0; c < 3; ++c) {
    const std::vector<double> column = {permuted[c], permuted[3 + c], permuted[6 + c]};
    blocks.Add(std::span(observed).subspan(c, 1), column);
  }
  const auto a = whole.Finish(), b = blocks.Finish();
  for (int c = 0; c < 3; ++c) EXPECT_EQ(a[c].p_max, b[c].p_max);
  EXPECT_EQ(whole.critical_value(), blocks.critical_value());
  EXPECT_DOUBLE_EQ(a[0].p_max, 1);  // the smallest of the four
  EXPECT_EQ(a[1].p, 1);
  EXPECT_EQ(a[2].p_max, 1);
}

TEST(PermutationP, CountsTheObservedLabels) {
  EXPECT_DOUBLE_EQ(PermutationP(0, 9999), 1e-4);
  EXPECT_DOUBLE_EQ(PermutationP(9999, 9999), 1);
  EXPECT_DOUBLE_EQ(PermutationP(0, 0), 1);
}

}  // namespace
}  // namespace moescope::study
