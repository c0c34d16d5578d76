#include "study/analysis/repetition.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "study/analysis/expert_sets.h"
#include "study/analysis/locality.h"
#include "study/analysis/planted_routes.h"
#include "study/analysis/token_null.h"

namespace moescope::study {
namespace {

// Rows given as {token, first, second}; a document each list, all in one data set.
PlantedRoutes TinyRoutes(const std::vector<std::vector<std::array<int, 3>>>& documents,
                         int n_experts) {
  RowColumnsBuilder builder;
  PlantedRoutes planted;
  for (size_t d = 0; d < documents.size(); ++d) {
    builder.BeginDocument(static_cast<int64_t>(d), "tiny", "unit " + std::to_string(d));
    builder.BeginSequence();
    builder.AddRow(1, 0, true);
    for (size_t i = 0; i < documents[d].size(); ++i) {
      const auto& [token, first, second] = documents[d][i];
      builder.AddRow(token, static_cast<int32_t>(i) + 1, false);
      planted.layer.experts.push_back(static_cast<int16_t>(first));
      planted.layer.experts.push_back(static_cast<int16_t>(second));
    }
  }
  planted.rows = builder.Finish();
  planted.layer.n_experts = n_experts;
  planted.layer.experts_per_token = 2;
  return planted;
}

RepetitionCell OnlyCell(const PlantedRoutes& planted, const RepetitionOptions& options = {}) {
  ThreadPool pool(2);
  const auto cells = ComputeRepetition(planted.rows, planted.layer, options, pool);
  EXPECT_EQ(cells.size(), 1u);
  return cells[0];
}

TEST(Repetition, CountsATinyCaseByHand) {
  // Document 0: firsts 0 0 1, sets {0,1} {0,2} {1,3}. Document 1: firsts 2 2, sets {2,3} {2,3}.
  const auto planted =
      TinyRoutes({{{10, 0, 1}, {11, 0, 2}, {10, 1, 3}}, {{10, 2, 3}, {11, 2, 3}}}, 4);
  const RepetitionCell cell = OnlyCell(planted);
  EXPECT_EQ(cell.pairs, 3);
  EXPECT_EQ(cell.first_repeats, 2);
  EXPECT_EQ(cell.any_overlaps, 2);
  EXPECT_DOUBLE_EQ(cell.first_repeat, 2.0 / 3);
  // Uniform, 2 of 4: 1/4, and 1 - C(2,2)/C(4,2).
  EXPECT_DOUBLE_EQ(cell.uniform.first_repeat, 0.25);
  EXPECT_DOUBLE_EQ(cell.uniform.any_overlap, 1 - 1.0 / 6);
  // Marginal: first counts 2 1 2 of 5 rows: (2 + 0 + 2) / 20. Disjoint unordered pairs of rows:
  // {0,1} with {2,3} twice, {0,2} with {1,3}: 3 of 10.
  EXPECT_DOUBLE_EQ(cell.marginal.first_repeat, 4.0 / 20);
  EXPECT_DOUBLE_EQ(cell.marginal.any_overlap, 1 - 3.0 / 10);
  // Shuffle: document 0 has 1 of 3 pairs of rows equal, over 2 places; document 1 the only pair.
  EXPECT_DOUBLE_EQ(cell.shuffle.first_repeat, (2 * (1.0 / 3) + 1) / 3);
  EXPECT_DOUBLE_EQ(cell.shuffle.any_overlap, (2 * (2.0 / 3) + 1) / 3);
  // Token: pair (10, 11) of document 0 gets document 1's only occurrences: firsts 2 2. Pair
  // (11, 10) the same. Pair (10, 11) of document 1: 10 is {0,1} or {1,3} (first 0 or 1), 11 is
  // {0,2} (first 0): half repeat; {0,1} meets {0,2}, {1,3} does not.
  EXPECT_DOUBLE_EQ(cell.token_coverage, 1);
  EXPECT_DOUBLE_EQ(cell.token.first_repeat, (1 + 1 + 0.5) / 3);
  EXPECT_DOUBLE_EQ(cell.token.any_overlap, (1 + 1 + 0.5) / 3);
  EXPECT_DOUBLE_EQ(cell.token_covered.first_repeat, 2.0 / 3);
  EXPECT_EQ(cell.why_no_interval, "2 units, fewer than 10");
  EXPECT_FALSE(cell.first_repeat_interval.has_value());
}

TEST(Repetition, LeavesPairsOfEqualTokensOutOfObservationAndNulls) {
  const auto planted =
      TinyRoutes({{{10, 0, 1}, {10, 0, 2}, {11, 0, 3}}, {{10, 2, 3}, {11, 2, 3}}}, 4);
  RepetitionOptions options;
  options.differing_tokens = true;
  const RepetitionCell cell = OnlyCell(planted, options);
  EXPECT_EQ(cell.pairs, 2);
  EXPECT_EQ(cell.first_repeats, 2);
  // Pairs of rows whose tokens differ: rows 0, 1, 3 have token 10 (firsts 0 0 2), rows 2, 4 token
  // 11 (firsts 0 2): 6 pairs, 3 of them with equal firsts.
  EXPECT_DOUBLE_EQ(cell.marginal.first_repeat, 3.0 / 6);
  EXPECT_DOUBLE_EQ(cell.shuffle.first_repeat, 1);
}

TEST(Repetition, LagsStayInsideASequenceAndSkipSpecialRows) {
  RowColumnsBuilder builder;
  builder.BeginDocument(0, "d", "u");
  for (int sequence = 0; sequence < 2; ++sequence) {
    builder.BeginSequence();
    for (int32_t position = 0; position < 5; ++position) builder.AddRow(7, position, position == 2);
  }
  PlantedRoutes planted = {builder.Finish(), {}};
  planted.layer.n_experts = 2;
  planted.layer.experts_per_token = 1;
  planted.layer.experts.assign(8, 0);
  RepetitionOptions options;
  // Positions 0 1 3 4 are plain: at lag 1 (0,1) (3,4); at lag 2 (1,3); at lag 3 (0,3) (1,4).
  for (const auto& [lag, pairs] :
       std::vector<std::pair<int, int>>{{1, 4}, {2, 2}, {3, 4}, {4, 2}, {5, 0}}) {
    options.lag = lag;
    EXPECT_EQ(OnlyCell(planted, options).pairs, pairs) << "lag " << lag;
  }
  options.lag = 65;
  EXPECT_THROW(OnlyCell(planted, options), Error);
}

TEST(Repetition, SeveralLagsAtOnceAreThoseOneByOne) {
  PlantedText text;
  text.n_documents = 25;
  text.rows_per_document = 60;
  const auto planted = PlantRoutes(text, {0.4, 0.3, 0.2, 0.1}, 0.3);
  ThreadPool pool(2);
  RepetitionOptions options;
  const std::vector<int> lags = {1, 3, 64};  // no pairs are 64 apart
  const auto cells = ComputeRepetitionAtLags(planted.rows, planted.layer, lags, options, pool);
  ASSERT_EQ(cells.size(), 3u);
  for (size_t l = 0; l < lags.size(); ++l) {
    options.lag = lags[l];
    const RepetitionCell one = OnlyCell(planted, options);
    EXPECT_EQ(cells[l].lag, lags[l]);
    EXPECT_EQ(cells[l].pairs, one.pairs);
    EXPECT_EQ(cells[l].first_repeats, one.first_repeats);
    EXPECT_EQ(cells[l].any_overlaps, one.any_overlaps);
    EXPECT_EQ(cells[l].token_coverage, one.token_coverage);
    if (one.pairs == 0) continue;
    EXPECT_EQ(cells[l].shuffle.first_repeat, one.shuffle.first_repeat);
    EXPECT_EQ(cells[l].token.any_overlap, one.token.any_overlap);
    EXPECT_EQ(cells[l].first_repeat_interval->low, one.first_repeat_interval->low);
  }
}

TEST(Repetition, LagsAreWrittenAsNumbersAndRanges) {
  EXPECT_EQ(ParseLags("4,1,2-3,3"), (std::vector<int>{1, 2, 3, 4}));
  EXPECT_EQ(ParseLags("1-64").size(), 64u);
  for (const char* text : {"", "0", "65", "1-65", "3-2", "1,", "1-", "-3", "1 2", "a"}) {
    EXPECT_THROW(ParseLags(text), Error) << text;
  }
}

TEST(Repetition, ADroppedSlotNeverRepeats) {
  const auto planted = TinyRoutes({{{5, -1, -1}, {5, -1, -1}, {5, 0, -1}, {5, 0, 1}}}, 2);
  const RepetitionCell cell = OnlyCell(planted);
  EXPECT_EQ(cell.first_repeats, 1);
  EXPECT_EQ(cell.any_overlaps, 1);
  EXPECT_DOUBLE_EQ(cell.marginal.any_overlap, 2.0 / 12);
}

// Routers of known law, 10^6 tokens, error below 4 standard errors.
PlantedText MillionTokens(uint64_t seed) {
  PlantedText text;
  text.n_documents = 1000;
  text.rows_per_document = 1000;
  text.seed = seed;
  return text;
}

double SumOfSquares(const std::vector<double>& shares) {
  return std::inner_product(shares.begin(), shares.end(), shares.begin(), 0.0);
}

RepetitionOptions Quick() {
  RepetitionOptions options;
  options.bootstrap.n_samples = 200;
  return options;
}

TEST(PlantedRouter, IndependentUniformRoutesRepeatAsTheUniformNullSays) {
  const auto planted = PlantRoutes(MillionTokens(1), std::vector<double>(8, 0.125), 0);
  const RepetitionCell cell = OnlyCell(planted, Quick());
  const double pairs = static_cast<double>(cell.pairs);
  EXPECT_EQ(cell.pairs, 999000);
  EXPECT_DOUBLE_EQ(cell.uniform.any_overlap, 13.0 / 28);
  const double error1 = std::sqrt(0.125 * 0.875 / pairs);
  const double error2 = std::sqrt(13.0 / 28 * 15.0 / 28 / pairs);
  EXPECT_NEAR(cell.first_repeat, 0.125, 4 * error1);
  EXPECT_NEAR(cell.any_overlap, 13.0 / 28, 4 * error2);
  for (const NullRepetition& null : {cell.marginal, cell.shuffle, cell.token}) {
    EXPECT_NEAR(null.first_repeat, 0.125, 4 * error1);
    EXPECT_NEAR(null.any_overlap, 13.0 / 28, 4 * error2);
  }
  EXPECT_DOUBLE_EQ(cell.token_coverage, 1);
  EXPECT_LT(cell.first_repeat_interval->low, cell.first_repeat);
  EXPECT_GT(cell.first_repeat_interval->high, cell.first_repeat);
}

TEST(PlantedRouter, IndependentSkewedRoutesRejectTheUniformNullButNotTheMarginalOne) {
  const std::vector<double> shares = {0.3, 0.2, 0.15, 0.1, 0.1, 0.05, 0.05, 0.05};
  const auto planted = PlantRoutes(MillionTokens(2), shares, 0);
  const RepetitionCell cell = OnlyCell(planted, Quick());
  const double expected = SumOfSquares(shares);
  const double error = std::sqrt(expected * (1 - expected) / static_cast<double>(cell.pairs));
  EXPECT_NEAR(cell.first_repeat, expected, 4 * error);
  EXPECT_GT(cell.first_repeat - cell.uniform.first_repeat, 100 * error);
  EXPECT_NEAR(cell.first_repeat, cell.marginal.first_repeat, 4 * error);
  EXPECT_NEAR(cell.first_repeat, cell.shuffle.first_repeat, 4 * error);
  EXPECT_NEAR(cell.any_overlap, cell.marginal.any_overlap,
              4 * std::sqrt(0.25 / static_cast<double>(cell.pairs)));
  EXPECT_GT(cell.first_repeat_interval->low, cell.uniform.first_repeat);
}

TEST(PlantedRouter, StickyRoutesRepeatByTheirFormulaAndFadeWithTheLag) {
  const std::vector<double> shares = {0.3, 0.2, 0.15, 0.1, 0.1, 0.05, 0.05, 0.05};
  const double rho = 0.35, base = SumOfSquares(shares);
  const auto planted = PlantRoutes(MillionTokens(3), shares, rho);
  for (int lag : {1, 2, 5}) {
    RepetitionOptions options = Quick();
    options.lag = lag;
    const RepetitionCell cell = OnlyCell(planted, options);
    const double stuck = std::pow(rho, lag);
    const double expected = stuck + (1 - stuck) * base;
    // Pairs are dependent: repeats come in runs of mean length 1 / (1 - rho).
    const double error = std::sqrt(expected * (1 - expected) / static_cast<double>(cell.pairs) *
                                   (1 + rho) / (1 - rho));
    EXPECT_NEAR(cell.first_repeat, expected, 4 * error) << "lag " << lag;
    EXPECT_NEAR(cell.marginal.first_repeat, base, 4 * error);
  }
}

// Every null against plain simulation of its own definition.
TEST(RepetitionNulls, ShuffleAgreesWithShufflingRows) {
  PlantedText text;
  text.n_documents = 30;
  text.rows_per_document = 40;
  const auto planted = PlantRoutes(text, {0.5, 0.2, 0.1, 0.1, 0.05, 0.05}, 0.4);
  const RepetitionCell cell = OnlyCell(planted);
  double repeats = 0, overlaps = 0, squares = 0;
  const int n_shuffles = 400;
  RepetitionOptions observe;
  observe.nulls = false;
  for (int s = 0; s < n_shuffles; ++s) {
    PlantedRoutes shuffled = planted;
    Random random(Combine(77, s));
    for (const SequenceRange& sequence : planted.rows.sequences) {
      for (int64_t i = sequence.n_rows - 1; i > 0; --i) {
        const int64_t j = static_cast<int64_t>(random.Below(i + 1));
        int16_t* experts = shuffled.layer.experts.data() + sequence.first_row * 2;
        std::swap_ranges(experts + i * 2, experts + i * 2 + 2, experts + j * 2);
      }
    }
    const RepetitionCell draw = OnlyCell(shuffled, observe);
    repeats += draw.first_repeat / n_shuffles;
    overlaps += draw.any_overlap / n_shuffles;
    squares += draw.first_repeat * draw.first_repeat / n_shuffles;
  }
  const double error = std::sqrt((squares - repeats * repeats) / n_shuffles);
  EXPECT_NEAR(cell.shuffle.first_repeat, repeats, 4 * error);
  EXPECT_NEAR(cell.shuffle.any_overlap, overlaps, 6 * error);
}

TEST(RepetitionNulls, DrawnTokenNullAgreesWithTheExactOne) {
  // A router that follows the token, so that the null is far from the others.
  PlantedText text;
  text.n_documents = 60;
  text.rows_per_document = 200;
  auto planted = PlantRoutes(text, std::vector<double>(8, 0.125), 0);
  for (int64_t row = 0; row < planted.rows.n_rows(); row += 2) {
    planted.layer.experts[row * 2] = static_cast<int16_t>(planted.rows.token_id[row] % 3);
    planted.layer.experts[row * 2 + 1] = static_cast<int16_t>(3 + planted.rows.token_id[row] % 5);
  }
  ThreadPool pool(2);
  const ExpertSets sets(planted.layer);
  for (bool differing : {false, true}) {
    const PairRule rule = {1, differing};
    std::vector<TokenNullSums> both;
    ASSERT_TRUE(
        ExactTokenNull(planted.rows, 0, planted.layer, sets, std::span(&rule, 1), pool, both));
    const TokenNullSums exact = both[0];
    const TokenNullSums drawn = DrawnTokenNull(planted.rows, 0, planted.layer, sets, rule, 5, pool);
    EXPECT_EQ(exact.covered, drawn.covered);
    EXPECT_EQ(exact.first_repeats, drawn.first_repeats);
    EXPECT_EQ(exact.any_overlaps, drawn.any_overlaps);
    const double n = static_cast<double>(exact.covered);
    const double error = std::sqrt(0.25 / (n * kTokenNullDraws));
    EXPECT_NEAR(exact.expected_first_repeats / n, drawn.expected_first_repeats / n, 4 * error);
    EXPECT_NEAR(exact.expected_any_overlaps / n, drawn.expected_any_overlaps / n, 4 * error);
  }
}

TEST(RepetitionNulls, TokenNullExplainsARouterThatOnlySeesTheToken) {
  PlantedText text;
  text.n_documents = 200;
  text.rows_per_document = 500;
  auto planted = PlantRoutes(text, std::vector<double>(8, 0.125), 0);
  for (int64_t row = 0; row < planted.rows.n_rows(); ++row) {
    planted.layer.experts[row * 2] = static_cast<int16_t>(planted.rows.token_id[row] % 8);
    planted.layer.experts[row * 2 + 1] = static_cast<int16_t>((planted.rows.token_id[row] + 1) % 8);
  }
  const RepetitionCell cell = OnlyCell(planted, Quick());
  EXPECT_DOUBLE_EQ(cell.token.first_repeat, cell.token_covered.first_repeat);
  EXPECT_DOUBLE_EQ(cell.token.any_overlap, cell.token_covered.any_overlap);
}

TEST(RepetitionNulls, CoverageIsTheShareOfPairsWhoseTokensOccurElsewhere) {
  const auto planted =
      TinyRoutes({{{10, 0, 1}, {11, 0, 1}, {12, 0, 1}}, {{10, 0, 1}, {11, 0, 1}}}, 4);
  const RepetitionCell cell = OnlyCell(planted);
  EXPECT_DOUBLE_EQ(cell.token_coverage, 2.0 / 3);  // (11, 12) has no second 12
  const auto single = TinyRoutes({{{10, 0, 1}, {11, 0, 1}}}, 4);
  EXPECT_DOUBLE_EQ(OnlyCell(single).token_coverage, 0);
  EXPECT_TRUE(std::isnan(OnlyCell(single).token.first_repeat));
}

TEST(RepetitionNulls, EstimatedOverlapsAgreeWithCountedOnes) {
  // 6 of 64 experts: thousands of different sets. Two groups, one below the exact limit.
  LayerColumns layer;
  layer.n_experts = 64;
  layer.experts_per_token = 6;
  Random random(9);
  const int n_rows = 20000;
  for (int row = 0; row < n_rows; ++row) {
    std::vector<int16_t> experts;
    while (experts.size() < 6) {
      // Skewed: products of uniforms favour low numbers.
      const auto expert = static_cast<int16_t>(64 * random.Uniform() * random.Uniform());
      if (std::find(experts.begin(), experts.end(), expert) == experts.end())
        experts.push_back(expert);
    }
    layer.experts.insert(layer.experts.end(), experts.begin(), experts.end());
  }
  const ExpertSets sets(layer);
  std::vector<int16_t> first(n_rows);
  for (int row = 0; row < n_rows; ++row) first[row] = layer.experts[row * 6];
  PairCounter counter(sets, 64);
  const PairCounts all = counter.AllPairs(first, sets.set_of_row(), 1);
  ASSERT_GT(sets.size(), PairCounter::kExactSets);
  double met = 0;
  for (int a = 0; a < n_rows; ++a) {
    for (int b = a + 1; b < n_rows; ++b)
      met += sets.Meet(sets.set_of_row()[a], sets.set_of_row()[b]);
  }
  const double share = 2 * met / all.pairs;
  const double error =
      std::sqrt(share * (1 - share) / (static_cast<double>(PairCounter::kDrawsPerRow) * n_rows));
  EXPECT_NEAR(all.any_overlaps / all.pairs, share, 4 * error);
}

TEST(Repetition, IsTheSameForAnyNumberOfThreads) {
  PlantedText text;
  text.n_documents = 40;
  text.rows_per_document = 300;
  const auto planted = PlantRoutes(text, {0.4, 0.3, 0.2, 0.1}, 0.2);
  ThreadPool one(1), three(3);
  const RepetitionCell a = ComputeRepetition(planted.rows, planted.layer, {}, one)[0];
  const RepetitionCell b = ComputeRepetition(planted.rows, planted.layer, {}, three)[0];
  EXPECT_EQ(a.shuffle.any_overlap, b.shuffle.any_overlap);
  EXPECT_EQ(a.token.any_overlap, b.token.any_overlap);
  EXPECT_EQ(a.any_overlap_interval->low, b.any_overlap_interval->low);
}

// On one stream: overlap over all consecutive rows / (K N) is the hit ratio of an LRU cache of K.
TEST(Locality, OverlapEqualsTheHitRatioOfACacheOfAsManyExpertsAsARowChooses) {
  PlantedText text;
  text.n_documents = 1;
  text.rows_per_document = 20000;
  text.bos = false;
  const auto planted = PlantRoutes(text, {0.3, 0.2, 0.15, 0.1, 0.1, 0.05, 0.05, 0.05}, 0.3);
  const auto cell = ComputeLocality(planted.rows, planted.layer, {2, 4, 8})[0];
  const double n_rows = 20000;
  EXPECT_NEAR(cell.lru_hit[0], cell.overlap_share * (n_rows - 1) / n_rows, 1e-12);
  EXPECT_LT(cell.lru_hit[0], cell.lru_hit[1]);
  EXPECT_DOUBLE_EQ(cell.lru_hit[2], 1 - 8.0 / (2 * n_rows));  // all but the first touches
}

TEST(Locality, FollowsALeastRecentlyUsedCacheByHand) {
  // Choices in order: 0 1 | 2 0 | 1 0, cache of 2. Row 1 finds {0, 1}: 0 hits. Afterwards 0 is the
  // most recent, then 2. Row 2 finds {0, 2}: 0 hits.
  const auto planted = TinyRoutes({{{5, 0, 1}, {5, 2, 0}, {5, 1, 0}}}, 4);
  const auto cell = ComputeLocality(planted.rows, planted.layer, {1, 2})[0];
  EXPECT_DOUBLE_EQ(cell.lru_hit[0], 1.0 / 6);  // cache of 1 after row 0 holds 1: misses; then 0
  EXPECT_DOUBLE_EQ(cell.lru_hit[1], 2.0 / 6);
  EXPECT_DOUBLE_EQ(cell.overlap_share, 0.5);
  EXPECT_DOUBLE_EQ(cell.max_load, 3 / 1.5);
}

}  // namespace
}  // namespace moescope::study
