#include "study/analysis/cross_layer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "study/analysis/planted_routes.h"

namespace moescope::study {
namespace {

CrossLayerCell Compute(const RowColumns& rows, const std::vector<int16_t>& first,
                       const std::vector<int16_t>& second, int n_experts = 4) {
  ThreadPool pool(2);
  return ComputeCrossLayer(rows, n_experts, {0, 1}, first, second, {}, pool)[0];
}

TEST(MutualInformation, IsThatOfTablesByHand) {
  EXPECT_DOUBLE_EQ(InformationOf({5, 0, 0, 5}, 2).plug_in, 1);
  EXPECT_NEAR(InformationOf({5, 0, 0, 5}, 2).miller_madow, 1 + 1 / (20 * std::log(2.0)), 1e-12);
  EXPECT_NEAR(InformationOf({2, 4, 3, 6}, 2).plug_in, 0, 1e-12);
  EXPECT_NEAR(InformationOf({2, 4, 3, 6}, 2).miller_madow, -1 / (30 * std::log(2.0)), 1e-12);
  EXPECT_TRUE(std::isnan(InformationOf({0, 0, 0, 0}, 2).plug_in));
}

TEST(CrossLayer, CountsRowsThatHaveBothChoices) {
  PlantedText text;
  text.n_documents = 1;
  text.rows_per_document = 4;
  const RowColumns rows = MakePlantedText(text);
  const CrossLayerCell cell = Compute(rows, {0, 1, -1, 1}, {1, 0, 0, -1}, 2);
  EXPECT_EQ(cell.rows, 2);
  EXPECT_EQ(cell.counts, (std::vector<int64_t>{0, 1, 1, 0}));
  EXPECT_DOUBLE_EQ(cell.information.plug_in, 1);
}

// Of 10,000 rows and 50 ids, each with a 4 x 4 table: the sum of 50 chi-squared variables of 9
// degrees of freedom over 2 ln 2 times the rows; and once more, 1/19 of it, for the shifts.
const double kGivenTokenError = std::sqrt(50 * 18.0 * (1 + 1.0 / 19)) / (2 * std::log(2.0) * 10000);

std::vector<int16_t> Even(const RowColumns& rows, uint64_t seed) {
  Random random(seed);
  std::vector<int16_t> choices(rows.n_rows());
  for (int16_t& expert : choices) expert = static_cast<int16_t>(random.Below(4));
  return choices;
}

TEST(CrossLayer, IndependentLayersSayNothingOnceCorrected) {
  const RowColumns rows = MakePlantedText({});
  const CrossLayerCell cell = Compute(rows, Even(rows, 11), Even(rows, 12));
  // 2 n ln 2 times the information is chi-squared with 9 degrees of freedom.
  const double scale = 2.0 * 10000 * std::log(2.0);
  EXPECT_NEAR(cell.information.miller_madow, 0, 4 * std::sqrt(18.0) / scale);
  EXPECT_NEAR(cell.shift_null, 9 / scale, 4 * std::sqrt(18.0 / 99) / scale);
  EXPECT_GT(cell.p_value, 0.01);
  EXPECT_NEAR(cell.given_token.plug_in, cell.given_token_null, 4 * kGivenTokenError);
}

TEST(CrossLayer, ALayerThatFollowsTheOtherSaysWhatItsLawSays) {
  PlantedText text;
  text.n_documents = 200;
  const RowColumns rows = MakePlantedText(text);
  const auto first = Even(rows, 11);
  auto second = Even(rows, 12);
  Random random(13);
  for (size_t row = 0; row < second.size(); ++row) {
    if (random.Uniform() < 0.4) second[row] = first[row];
  }
  const CrossLayerCell cell = Compute(rows, first, second);
  const double same = 0.4 + 0.6 / 4, other = 0.6 / 4;
  const double bits = 2 + same * std::log2(same) + 3 * other * std::log2(other);
  // By the delta method the variance is that of log p(x, y) / (p(x) p(y)).
  const double a = std::log2(4 * same), b = std::log2(4 * other);
  const double error = std::sqrt((same * a * a + 3 * other * b * b - bits * bits) / 20000);
  EXPECT_NEAR(cell.information.miller_madow, bits, 4 * error);
  EXPECT_LT(cell.interval->low, bits + 2 * error);
  EXPECT_GT(cell.interval->high, bits - 2 * error);
  EXPECT_DOUBLE_EQ(cell.p_value, 0.01);
  EXPECT_LT(cell.shift_null, 0.002);
  // The token has nothing to do with it.
  EXPECT_NEAR(cell.given_token.miller_madow, bits, 0.01);
  EXPECT_DOUBLE_EQ(cell.token_coverage, 1);
}

TEST(CrossLayer, LayersThatBothFollowTheTokenShareNothingElse) {
  const RowColumns rows = MakePlantedText({});
  auto first = Even(rows, 11), second = Even(rows, 12);
  Random random(13);
  for (size_t row = 0; row < first.size(); ++row) {
    if (random.Uniform() < 0.7) first[row] = static_cast<int16_t>(rows.token_id[row] % 4);
    if (random.Uniform() < 0.7) second[row] = static_cast<int16_t>(rows.token_id[row] % 4);
  }
  const CrossLayerCell cell = Compute(rows, first, second);
  EXPECT_GT(cell.information.miller_madow, 0.3);
  EXPECT_NEAR(cell.given_token.plug_in, cell.given_token_null, 4 * kGivenTokenError);
}

TEST(CrossLayer, PairsAreWrittenWithColonsOrMadeOfLayers) {
  using Pairs = std::vector<std::pair<int, int>>;
  const std::vector<int> layers = {0, 1, 2, 3, 4};
  EXPECT_EQ(ParseLayerPairs("0:4,3:1", layers), (Pairs{{0, 4}, {3, 1}}));
  EXPECT_EQ(ParseLayerPairs("0,2,4", layers), (Pairs{{0, 2}, {0, 4}, {2, 4}}));
  EXPECT_EQ(ParseLayerPairs("", layers),
            (Pairs{{0, 1}, {1, 2}, {2, 3}, {3, 4}, {0, 2}, {0, 4}, {2, 4}}));
  for (const char* text : {"0:5", "0:", ":1", "0:1:2", "0:1,", "1:1", "3", "a:b"}) {
    EXPECT_THROW(ParseLayerPairs(text, layers), Error) << text;
  }
  EXPECT_THROW(ParseLayerPairs("", {0}), Error);
}

}  // namespace
}  // namespace moescope::study
