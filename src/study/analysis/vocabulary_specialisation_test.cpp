#include "study/analysis/vocabulary_specialisation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "study/analysis/planted_routes.h"

namespace moescope::study {
namespace {

std::vector<VocabularyCell> Compute(const PlantedRoutes& planted, int64_t min_count = 10,
                                    int n_threads = 2) {
  ThreadPool pool(n_threads);
  VocabularyOptions options;
  options.min_count = min_count;
  return ComputeVocabulary(planted.rows, planted.layer, options, pool);
}

TEST(Vocabulary, CountsATinyCaseByHand) {
  // Token 5: {0,1} {0,2} {3,dropped}; token 6: {1,2} {1,0}; a row without experts; token 7 once.
  RowColumnsBuilder builder;
  builder.BeginDocument(0, "d", "u");
  builder.BeginSequence();
  const int32_t tokens[] = {5, 6, 5, 6, 5, 5, 7};
  for (int32_t position = 0; position < 7; ++position) {
    builder.AddRow(tokens[position], position, false);
  }
  PlantedRoutes planted = {builder.Finish(), {}};
  planted.layer.n_experts = 4;
  planted.layer.experts_per_token = 2;
  planted.layer.experts = {0, 1, 1, 2, 0, 2, 1, 0, 3, -1, -1, -1, 3, 2};
  const auto cells = Compute(planted, 2);
  ASSERT_EQ(cells.size(), 2u);
  EXPECT_EQ(cells[0].ids, 2);
  EXPECT_EQ(cells[0].occurrences, 5);
  EXPECT_DOUBLE_EQ(cells[0].coverage, 5.0 / 6);
  EXPECT_DOUBLE_EQ(cells[0].type_weighted, (2.0 / 3 + 1) / 2);
  EXPECT_DOUBLE_EQ(cells[0].token_weighted, 4.0 / 5);
  EXPECT_TRUE(std::isnan(cells[0].held_out));
  // Before a 5: rows 1 {1,2}, 3 {1,0}, 4 {3}; before a 6: rows 0 {0,1}, 2 {0,2}.
  EXPECT_EQ(cells[1].target, VocabularyTarget::kNext);
  EXPECT_EQ(cells[1].ids, 2);
  EXPECT_DOUBLE_EQ(cells[1].type_weighted, (2.0 / 3 + 1) / 2);
}

TEST(Vocabulary, IndependentRoutesLieOnTheirNullAndNotOnTheEvenShare) {
  PlantedText text;
  text.n_documents = 100;
  text.rows_per_document = 200;
  text.n_token_ids = 1000;  // 20 occurrences each
  const auto cells = Compute(PlantRoutes(text, std::vector<double>(8, 0.125), 0));
  for (const VocabularyCell& cell : cells) {
    // One of these shares varies by about 0.08, so the mean of a thousand by 0.0025.
    EXPECT_NEAR(cell.type_weighted, cell.null_type_weighted, 4 * 0.0027);
    EXPECT_GT(cell.null_type_weighted, 0.35);
    const double error = std::sqrt(0.25 * 0.75 / 10000);
    EXPECT_NEAR(cell.held_out, 0.25, 4 * error);
  }
}

TEST(Vocabulary, FindsARouterThatSeesTheTokenOrTheNextOne) {
  PlantedText text;
  text.n_documents = 60;
  text.rows_per_document = 500;
  for (const bool next : {false, true}) {
    auto planted = PlantRoutes(text, std::vector<double>(8, 0.125), 0);
    Random random(3);
    for (int64_t row = 0; row + 1 < planted.rows.n_rows(); ++row) {
      const int seen = planted.rows.token_id[row + (next ? 1 : 0)];
      if (random.Uniform() >= 0.7) continue;
      planted.layer.experts[row * 2] = static_cast<int16_t>(seen % 8);
      planted.layer.experts[row * 2 + 1] = static_cast<int16_t>((seen + 1 + random.Below(7)) % 8);
    }
    const auto cells = Compute(planted);
    const VocabularyCell& seeing = cells[next ? 1 : 0];
    const VocabularyCell& blind = cells[next ? 0 : 1];
    const double expected = 0.7 + 0.3 * 0.25;
    const double error = std::sqrt(expected * (1 - expected) / 15000);
    EXPECT_NEAR(seeing.held_out, expected, 4 * error);
    EXPECT_NEAR(seeing.token_weighted, expected, 4 * error);
    EXPECT_LT(seeing.held_out_interval->low, expected + 2 * error);
    EXPECT_GT(seeing.held_out_interval->high, expected - 2 * error);
    EXPECT_NEAR(blind.type_weighted, blind.null_type_weighted, 0.01);
  }
}

TEST(Vocabulary, IsTheSameForAnyNumberOfThreads) {
  PlantedText text;
  const auto planted = PlantRoutes(text, {0.4, 0.3, 0.2, 0.1}, 0.2);
  const auto one = Compute(planted, 10, 1), three = Compute(planted, 10, 3);
  EXPECT_EQ(one[0].null_type_weighted, three[0].null_type_weighted);
  EXPECT_EQ(one[1].held_out_interval->low, three[1].held_out_interval->low);
}

}  // namespace
}  // namespace moescope::study
