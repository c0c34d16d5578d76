#include "study/report/token_counts.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace moescope::study {
namespace {

// Token 0 always goes to experts 0 and 1, token 1 to 1 and 2, one of token 2 to 0 alone (the second
// slot dropped).
RowColumns Rows() {
  RowColumns rows;
  rows.token_id = {0, 1, 0, 2, 0, 1};
  return rows;
}

LayerColumns Layer() {
  LayerColumns layer;
  layer.layer = 4;
  layer.n_experts = 3;
  layer.experts_per_token = 2;
  layer.experts = {0, 1, 1, 2, 0, 1, 0, -1, 1, 0, 2, 1};
  return layer;
}

TEST(TokenCounts, CountsEverySlotOnceAndLeavesDroppedOnesOut) {
  const TokenCounts counts = CountTokens(Rows(), Layer(), 4);
  EXPECT_EQ(counts.layer, 4);
  EXPECT_EQ(counts.occurrences, (std::vector<int64_t>{3, 2, 1, 0}));
  EXPECT_EQ(counts.chosen, (std::vector<int32_t>{3, 3, 0, 0, 2, 2, 1, 0, 0, 0, 0, 0}));
  EXPECT_EQ(counts.expert_rows, (std::vector<int64_t>{4, 5, 2}));
}

TEST(TokenCounts, LiftIsTheTokensShareOverTheExpertsShareOfAllTokens) {
  const TokenCounts counts = CountTokens(Rows(), Layer(), 4);
  const std::vector<TypicalToken> tokens = TypicalTokens(counts, 2, ExpertTokenOrder::kLift, 1, 10);
  ASSERT_EQ(tokens.size(), 1u);
  EXPECT_EQ(tokens[0].token_id, 1);
  EXPECT_EQ(tokens[0].count, 2);
  EXPECT_DOUBLE_EQ(tokens[0].share_of_token, 1.0);
  EXPECT_DOUBLE_EQ(tokens[0].lift, 1.0 / (2.0 / 6.0));
}

TEST(TokenCounts, TypicalTokensPreferTheMoreFrequentAmongEqualLifts) {
  const TokenCounts counts = CountTokens(Rows(), Layer(), 4);
  const std::vector<TypicalToken> tokens = TypicalTokens(counts, 0, ExpertTokenOrder::kLift, 1, 10);
  ASSERT_EQ(tokens.size(), 2u);
  EXPECT_EQ(tokens[0].token_id, 0);
  EXPECT_EQ(tokens[1].token_id, 2);
  EXPECT_EQ(TypicalTokens(counts, 0, ExpertTokenOrder::kLift, 2, 10).size(), 1u)
      << "token 2 is seen once only";
  EXPECT_EQ(TypicalTokens(counts, 0, ExpertTokenOrder::kLift, 1, 1).size(), 1u);
}

TEST(TokenCounts, ExcessPutsFrequentTokensBeforeRareOnesOfEqualLift) {
  // Expert 0 takes 4 of 6 rows: token 0 has 3 - 3 x 2/3 = 1 too many, token 2 has 1 - 2/3.
  const TokenCounts counts = CountTokens(Rows(), Layer(), 4);
  const std::vector<TypicalToken> tokens =
      TypicalTokens(counts, 0, ExpertTokenOrder::kExcess, 1, 10);
  ASSERT_EQ(tokens.size(), 2u);
  EXPECT_EQ(tokens[0].token_id, 0);
  // Expert 1 takes 5 of 6: token 1 has 2 - 5/3, token 0 has 3 - 5/2, which is more.
  const auto second = TypicalTokens(counts, 1, ExpertTokenOrder::kExcess, 1, 10);
  ASSERT_EQ(second.size(), 2u);
  EXPECT_EQ(second[0].token_id, 0);
  EXPECT_EQ(second[1].token_id, 1);
}

TEST(TokenCounts, AnExpertNeverChosenHasNoTokens) {
  LayerColumns layer = Layer();
  layer.n_experts = 4;
  EXPECT_TRUE(
      TypicalTokens(CountTokens(Rows(), layer, 4), 3, ExpertTokenOrder::kLift, 1, 10).empty());
}

TEST(TokenCounts, RefusesTokensOutsideTheVocabulary) {
  try {
    CountTokens(Rows(), Layer(), 2);
    FAIL() << "token 2 of a vocabulary of 2 was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
  }
}

TEST(TokenCounts, RowsWithoutATokenIdAreLeftOut) {
  RowColumns rows = Rows();
  rows.token_id[3] = -1;
  const TokenCounts counts = CountTokens(rows, Layer(), 4);
  EXPECT_EQ(counts.occurrences, (std::vector<int64_t>{3, 2, 0, 0}));
  EXPECT_EQ(counts.chosen[2 * 3], 0);
}

TEST(TokenCounts, FrequentTokensComeByCountThenId) {
  EXPECT_EQ(FrequentTokens({5, 0, 7, 5, 1}, 3), (std::vector<int32_t>{2, 0, 3}));
  EXPECT_EQ(FrequentTokens({0, 1}, 3), (std::vector<int32_t>{1}));
}

}  // namespace
}  // namespace moescope::study
